"""What every command of the program does alike: exit codes, errors in words, schema, progress."""

import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from finops.core.errors import FinopsError, UsageError, in_words

PATIENCE = 10  # by which long work steps back behind the pages where they share the cores: see nice(1)


class Progress:
    """Rows, rate and time left, on one line of a terminal; silent elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = stream.isatty()
        self.started = time.monotonic()
        self.last = 0.0

    def __call__(
        self, what: str, done: int, total: int | None = None, unit: str = "rows", share: float | None = None
    ) -> None:
        """So much is done, of a total; or a share of the whole where no total is known."""
        now = time.monotonic()
        if total is not None:
            share = done / total if total else 1.0
        if not self.shown or (now - self.last < 0.2 and share != 1):
            return
        self.last = now
        spent = max(now - self.started, 0.001)
        of = f" of {total:,}" if total else ""
        line = f"{what}: {done:,}{of} {unit}, {done / spent:,.0f} a second"
        if share:
            line += f", {spent * (1 - share) / share:,.0f} s left"
        self.stream.write(f"\r\x1b[K{line}")
        self.stream.flush()

    def clear(self) -> None:
        if self.shown and self.last:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


class Command(BaseCommand):
    """Exit 0 on success, 1 where nothing could be done, 2 on wrong usage; errors go to stderr.

    Under `call_command` the same failures are raised as CommandError with that `returncode`.
    """

    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        self._called_from_command_line = True
        parser = self.create_parser(argv[0], argv[1])
        options = vars(parser.parse_args(argv[2:]))
        arguments = options.pop("args", ())
        try:
            self.execute(*arguments, **options)
        except CommandError as error:
            if options.get("traceback"):
                raise
            if str(error):
                self.stderr.write(str(error))
            sys.exit(error.returncode)
        except KeyboardInterrupt:
            self.stderr.write("interrupted; what was in force before still is")
            sys.exit(130)
        except BrokenPipeError:
            # The reader of our output (such as `head`) has seen enough.
            sys.stderr.close()
            sys.exit(0)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            bring_schema_up_to_date()
            return super().execute(*args, **options)
        except FinopsError as error:
            raise CommandError(str(error), returncode=2 if isinstance(error, UsageError) else 1) from error
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise CommandError(f"{error.filename}: {error.strerror}", returncode=1) from error
        except Exception as error:
            said = in_words(error)
            if said is None:
                raise
            raise CommandError(said, returncode=1) from error

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        shown = Progress(sys.stderr)
        try:
            yield shown
        finally:
            shown.clear()


def bring_schema_up_to_date() -> None:
    """Migrate the embedded database where a migration is missing; a server's is the operator's to migrate."""
    if connection.vendor != "sqlite" or not _unapplied():
        return
    folder = Path(settings.FINOPS_DATA_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _unapplied():
            call_command("migrate", verbosity=0, interactive=False)


def _unapplied() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
