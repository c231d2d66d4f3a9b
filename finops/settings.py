"""Django's settings. Every environment variable of the program is read in this file."""

import os
import re
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from finops.core import env

BASE_DIR = Path(__file__).resolve().parent.parent

FINOPS_DATA_DIR = Path(env.text("FINOPS_DATA_DIR", "./data")).expanduser().resolve()
FINOPS_CURRENCY = env.text("FINOPS_CURRENCY", "USD").upper()
if not re.fullmatch(r"[A-Z]{3}", FINOPS_CURRENCY):
    raise ImproperlyConfigured(f"FINOPS_CURRENCY={FINOPS_CURRENCY!r}: expected an ISO 4217 code such as USD")
FINOPS_HOST_LABELS = env.words(
    "FINOPS_HOST_LABELS", ["Hostname", "hostname", "node", "kubernetes_node", "instance"]
)

DEBUG = env.flag("DEBUG", True)
SECRET_KEY = env.text("SECRET_KEY", "")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY is missing: with DEBUG=False a secret must be set")
    # Local use: one secret per data folder, so that sessions outlive a restart.
    _secret_file = FINOPS_DATA_DIR / "secret_key"
    if not _secret_file.exists():
        FINOPS_DATA_DIR.mkdir(parents=True, exist_ok=True)
        _secret_file.write_text(secrets.token_urlsafe(50))
        _secret_file.chmod(0o600)
    SECRET_KEY = _secret_file.read_text().strip()

FINOPS_SITE_URL = env.text("FINOPS_SITE_URL", "http://127.0.0.1:8000").rstrip("/")  # for links in mails
_site = urlsplit(FINOPS_SITE_URL)
if _site.scheme not in {"http", "https"} or not _site.hostname:
    raise ImproperlyConfigured(f"FINOPS_SITE_URL={FINOPS_SITE_URL!r}: expected https://host")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", _site.hostname])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [f"{_site.scheme}://{_site.netloc}"])
for _origin in CSRF_TRUSTED_ORIGINS:
    if not re.match(r"https?://[^/]+$", _origin):
        raise ImproperlyConfigured(f"CSRF_TRUSTED_ORIGINS={_origin!r}: expected https://host, without a path")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG

INSTALLED_APPS = [
    "finops",
    "finops.core",
    "ingest",
    "attribution",
    "anomalies",
    "reports",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "csp",
    "django_htmx",
    "django_celery_beat",
    "django_celery_results",
]


def _port(variable: str, parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{variable}: the port after {parts.hostname} is not a number") from None


def _database(url: str) -> dict[str, Any]:
    if not url:
        FINOPS_DATA_DIR.mkdir(parents=True, exist_ok=True)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FINOPS_DATA_DIR / "finops.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {**_database(""), "NAME": unquote(parts.path)}
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL={parts.scheme}:…: expected postgres://user:password@host:port/name"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(_port("DATABASE_URL", parts) or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


DATABASES = {"default": _database(env.text("DATABASE_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "csp.middleware.CSPMiddleware",
]
ROOT_URLCONF = "finops.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
WSGI_APPLICATION = "finops.wsgi.application"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = FINOPS_DATA_DIR / "static"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "reports.assets.PlotlyFinder",
]
if DEBUG:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns where it is missing
else:  # `collectstatic` first: names carry a hash, files are compressed once
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        # The two style sheets that plotly puts into the page: an empty one, and its own rules.
        "style-src": [
            SELF,
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='",
        ],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}


_mail = urlsplit(env.text("EMAIL_URL", ""))  # unset: mails become files
if _mail.geturl() and (_mail.scheme not in {"smtp", "smtp+tls", "smtps"} or not _mail.hostname):
    raise ImproperlyConfigured(
        "EMAIL_URL: expected smtp://host:25, smtp+tls://user:password@host:587 or smtps://user:password@host:465"
    )
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend" if _mail.scheme else "finops.core.mail.EmlFiles"
EMAIL_FILE_PATH = FINOPS_DATA_DIR / "mail"
EMAIL_HOST = _mail.hostname or "localhost"
EMAIL_PORT = _port("EMAIL_URL", _mail) or {"smtp+tls": 587, "smtps": 465}.get(_mail.scheme, 25)
EMAIL_HOST_USER = unquote(_mail.username or "")
EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
EMAIL_USE_TLS = _mail.scheme == "smtp+tls"
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"finops@{_site.hostname}")

# A container may have fewer cores than its machine, which is what programs see.
FINOPS_CORES = env.integer("FINOPS_CORES", os.cpu_count() or 1, least=1)

# Pages: how long one may compute, and how much each process remembers of what it told.
FINOPS_PAGE_SECONDS = env.integer("FINOPS_PAGE_SECONDS", 20, least=1)
FINOPS_CACHE_MB = env.integer("FINOPS_CACHE_MB", 64)
# Garbage: how long what is no longer in force can still be read, and how old a file that never was must be.
FINOPS_KEEP_DAYS = env.integer("FINOPS_KEEP_DAYS", 30, least=1)
FINOPS_STRAY_HOURS = env.integer("FINOPS_STRAY_HOURS", 48, least=1)

# Where single requests are rolled up. Only the cluster's engines need packages that the product does not.
FINOPS_ENGINE = env.choice("FINOPS_ENGINE", "duckdb", ["duckdb", "daft", "spark"])
for _package in {"daft": ["daft", "ray"], "spark": ["pyspark", "sqlglot"]}.get(FINOPS_ENGINE, []):
    if find_spec(_package) is None:
        raise ImproperlyConfigured(
            f"FINOPS_ENGINE={FINOPS_ENGINE}: {_package} is not installed: "
            "run `make engines`, and from .venv-engines"
        )
FINOPS_ENGINE_ADDRESS = env.text("FINOPS_ENGINE_ADDRESS", "")  # unset: in this process
FINOPS_ENGINE_FILES = env.text("FINOPS_ENGINE_FILES", "").rstrip("/")

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "")
if CELERY_BROKER_URL and urlsplit(CELERY_BROKER_URL).scheme not in {"redis", "rediss", "amqp", "amqps"}:
    raise ImproperlyConfigured("CELERY_BROKER_URL: expected redis://host:port/number or amqp://…")
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_TASK_ACKS_LATE = True  # every step can be repeated: a killed worker's task runs again
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_RESULT_BACKEND = "django-db"
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
FINOPS_PULL_SECONDS = env.integer("FINOPS_PULL_SECONDS", 900, least=1)  # how often landing/ is looked at

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django": {"handlers": [], "propagate": True}},  # said once, by the root
    "root": {
        "handlers": ["stderr"],
        "level": env.choice("LOG_LEVEL", "WARNING", ["DEBUG", "INFO", "WARNING", "ERROR"]),
    },
}
