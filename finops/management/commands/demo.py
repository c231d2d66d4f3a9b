"""`demo`: the sample organisation in a data folder of its own, through the whole pipeline, and served."""

import os
import shutil
import socket
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from finops.core.command import Command as BaseCommand
from finops.core.errors import UsageError
from finops.core.periods import parse_day

MARKER = "finops-demo"  # a file that says: this folder was made by the demo, and may be made anew
# What a person may have set for the real installation must not reach the demo: its database, its mail server.
ITS_OWN = (
    "ALLOWED_HOSTS",
    "CELERY_BROKER_URL",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "DEBUG",
    "DEFAULT_FROM_EMAIL",
    "EMAIL_URL",
    "FINOPS_CACHE_MB",
    "FINOPS_CURRENCY",
    "FINOPS_ENGINE",
    "FINOPS_ENGINE_ADDRESS",
    "FINOPS_ENGINE_FILES",
    "FINOPS_HOST_LABELS",
    "FINOPS_KEEP_DAYS",
    "FINOPS_PAGE_SECONDS",
    "FINOPS_PULL_SECONDS",
    "FINOPS_STRAY_HOURS",
    "LOG_LEVEL",
    "SECRET_KEY",
)
HOST = "127.0.0.1"
OF_SETTINGS = {"secret_key", "static"}  # what they put into an empty data folder


class Command(BaseCommand):
    help = "Build the sample organisation in a data folder of its own, run everything on it, and serve it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--serve", action="store_true", help=f"then serve it on {HOST}, next free port")
        parser.add_argument("--end", help="the day after its last day of data; default: today (UTC)")
        parser.add_argument("--seed", type=int, default=1, help="another seed is another organisation")
        parser.add_argument("--folder", help="where to build it; default: demo/ in the data folder")
        parser.add_argument("--port", type=int, help="where to serve it; default: the first free from 8000")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Before anything is read or written: settings come from the environment, so start again with the demo's."""
        try:
            self.end = parse_day(options["end"]) if options["end"] else datetime.now(UTC).date()
        except UsageError as error:
            raise CommandError(str(error), returncode=2) from error
        folder = Path(options["folder"] or default_folder()).expanduser().resolve()
        claim(folder)
        port = options["port"] or free_port()
        wanted = {"FINOPS_DATA_DIR": str(folder), "FINOPS_SITE_URL": f"http://{HOST}:{port}"}
        if wanted.items() - os.environ.items() or os.environ.keys() & set(ITS_OWN):
            environment = {name: value for name, value in os.environ.items() if name not in ITS_OWN}
            again = [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo"]
            again += ["--folder", str(folder), "--port", str(port), "--seed", str(options["seed"])]
            again += ["--end", options["end"]] if options["end"] else []
            again += ["--serve"] if options["serve"] else []
            sys.stdout.flush()
            os.execve(again[0], again, environment | wanted)
        empty(folder)
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        from finops import demo

        with self.progress() as progress:
            demo.build(
                settings.FINOPS_DATA_DIR, self.end, options["seed"], say=self.stdout.write, progress=progress
            )
        if options["serve"]:
            self.stdout.write(f"\nOther commands see it with FINOPS_DATA_DIR={settings.FINOPS_DATA_DIR}")
            self.stdout.write(f"Serving on {settings.FINOPS_SITE_URL} (Ctrl-C stops it)")
            self.stdout.flush()
            address = settings.FINOPS_SITE_URL.removeprefix("http://")
            serve = [sys.executable, str(settings.BASE_DIR / "manage.py"), "runserver", "--noreload", address]
            os.execve(serve[0], serve, dict(os.environ))
        self.stdout.write(
            f"\nServe it: FINOPS_DATA_DIR={settings.FINOPS_DATA_DIR} .venv/bin/python manage.py runserver"
        )


def default_folder() -> Path:
    """demo/ in the data folder; where that is a demo's already, itself."""
    here = Path(settings.FINOPS_DATA_DIR)
    return here if (here / MARKER).exists() else here / "demo"


def claim(folder: Path) -> None:
    """Mark the folder as the demo's; refuse one that holds anything the demo did not make."""
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is not a folder; choose another with --folder", returncode=1)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER).exists() and {path.name for path in folder.iterdir()} - OF_SETTINGS:
        raise CommandError(
            f"{folder} holds files that the demo did not make; choose another with --folder", returncode=1
        )
    (folder / MARKER).write_text("Made by manage.py demo, which empties this folder when it runs again.\n")


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in {MARKER, "secret_key"}:  # the settings have already read the secret
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def free_port(first: int = 8000) -> int:
    """The first port from 8000 on which nobody listens."""
    for port in range(first, first + 100):
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((HOST, port))
            except OSError:
                continue
            return port
    raise CommandError(
        f"no free port on {HOST} from {first} to {first + 99}; choose one with --port", returncode=1
    )
