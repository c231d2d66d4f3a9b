"""settings.py as it starts: a wrong value stops the program by name, and README knows every variable."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import at, manage

ROOT = Path(__file__).parent.parent


def start(tmp_path: Path, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A new process that reads the settings and then runs some code."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"from finops import settings\n{code}"],
        cwd=ROOT,
        env={**kept, "FINOPS_DATA_DIR": str(tmp_path / "data"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "perhaps"),
        ("FINOPS_CURRENCY", "dollars"),
        ("FINOPS_SITE_URL", "finops.example.com"),
        ("FINOPS_PULL_SECONDS", "0"),
        ("FINOPS_PAGE_SECONDS", "0"),
        ("FINOPS_CACHE_MB", "many"),
        ("FINOPS_KEEP_DAYS", "0"),
        ("FINOPS_STRAY_HOURS", "0"),
        ("CSRF_TRUSTED_ORIGINS", "finops.example.com"),
        ("DATABASE_URL", "mysql://root@db/finops"),
        ("DATABASE_URL", "postgres://finops@db:port/finops"),
        ("CELERY_BROKER_URL", "localhost:6379"),
        ("EMAIL_URL", "mail.example.com"),
        ("EMAIL_URL", "smtp://mail.example.com:submission"),
        ("LOG_LEVEL", "loud"),
        ("FINOPS_ENGINE", "sparc"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_the_variable(tmp_path, variable, value):
    started = start(tmp_path, **{variable: value})
    assert started.returncode != 0
    last = started.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured:")
    assert variable in last


def test_a_command_says_of_a_wrong_value_nothing_but_what_is_wrong(tmp_path):
    process = manage({**at(tmp_path), "FINOPS_KEEP_DAYS": "0"}, "collect_garbage")
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert said.startswith("FINOPS_KEEP_DAYS")
    assert said.count("\n") == 1


@pytest.mark.parametrize("variable", ["DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL"])
def test_a_wrong_address_is_refused_without_printing_its_password(tmp_path, variable):
    started = start(tmp_path, **{variable: "http://user:hunter2@host/x"})
    assert started.returncode != 0
    assert "hunter2" not in started.stderr.strip().splitlines()[-1]


def test_without_debug_a_missing_secret_is_an_error(tmp_path):
    started = start(tmp_path, DEBUG="false")
    assert "SECRET_KEY is missing" in started.stderr
    assert start(tmp_path, DEBUG="false", SECRET_KEY="s" * 50).returncode == 0


def test_locally_a_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path):
    show = "print(settings.SECRET_KEY)"
    first, second = start(tmp_path, show), start(tmp_path, show)
    assert len(first.stdout.strip()) > 40
    assert first.stdout == second.stdout
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o077 == 0


def test_in_production_cookies_are_secure_and_the_site_is_the_host(tmp_path):
    started = start(
        tmp_path,
        "print(settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE)\n"
        "print(settings.ALLOWED_HOSTS[-1], settings.CSRF_TRUSTED_ORIGINS)",
        DEBUG="false",
        SECRET_KEY="s" * 50,
        FINOPS_SITE_URL="https://finops.example.com/",
    )
    assert started.stdout.splitlines() == [
        "True True",
        "finops.example.com ['https://finops.example.com']",
    ]


def test_a_postgres_address_is_taken_apart(tmp_path):
    started = start(
        tmp_path,
        "db = settings.DATABASES['default']\n"
        "print(*[db[k] for k in ('NAME', 'USER', 'PASSWORD', 'HOST', 'PORT', 'OPTIONS')], sep='|')",
        DATABASE_URL="postgres://fin%40ops:p%2Fw@db:5433/finops?sslmode=require",
    )
    assert started.stdout.strip() == "finops|fin@ops|p/w|db|5433|{'sslmode': 'require'}"


def test_a_mail_server_is_taken_apart(tmp_path):
    started = start(
        tmp_path,
        "print(settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_HOST_USER,"
        " settings.EMAIL_USE_TLS)",
        EMAIL_URL="smtp+tls://me:pw@mail.example.com",
    )
    assert started.stdout.split()[0].endswith("smtp.EmailBackend")
    assert started.stdout.split()[1:] == ["mail.example.com", "587", "me", "True"]


def test_without_a_broker_tasks_run_in_the_calling_process(tmp_path):
    show = "print(settings.CELERY_TASK_ALWAYS_EAGER)"
    assert start(tmp_path, show).stdout.strip() == "True"
    assert start(tmp_path, show, CELERY_BROKER_URL="redis://127.0.0.1:6379/0").stdout.strip() == "False"


def test_mails_without_a_server_are_files_that_a_mail_program_opens(settings):
    from email import message_from_bytes, policy

    from django.core.mail import EmailMessage

    settings.EMAIL_BACKEND = "finops.core.mail.EmlFiles"
    settings.EMAIL_FILE_PATH = settings.FINOPS_DATA_DIR / "mail"
    EmailMessage("Your week", "Größe: 12.00", to=["owner@example.com"]).send()
    (written,) = settings.EMAIL_FILE_PATH.glob("*.eml")
    mail = message_from_bytes(written.read_bytes(), policy=policy.default)
    assert (mail["Subject"], mail["To"]) == ("Your week", "owner@example.com")
    assert "Größe: 12.00" in mail.get_content()


def variables_that_settings_reads() -> set[str]:
    """The first argument of each env.… call in settings.py."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "finops/settings.py").read_text()))
        if isinstance(node, ast.Call)
    ]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and isinstance(call.args[0], ast.Constant)
    }


def test_readme_names_exactly_the_variables_that_settings_reads():
    readme = (ROOT / "README.md").read_text()
    _, _, section = readme.partition("## Settings")
    table = re.findall(r"^\| `([A-Z_]+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert sorted(table) == sorted(variables_that_settings_reads())


def test_no_other_file_of_the_program_reads_the_environment():
    readers = {
        str(path.relative_to(ROOT))
        for app in ("finops", "ingest", "attribution", "anomalies", "reports")
        for path in (ROOT / app).rglob("*.py")
        if re.search(r"os\.(environ\b(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE\")|getenv)", path.read_text())
    }
    # demo starts itself again with the settings of its own folder.
    assert readers <= {"finops/core/env.py", "finops/management/commands/demo.py"}
