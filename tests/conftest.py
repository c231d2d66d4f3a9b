import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

from finops.core import results
from tests.postgres import database
from tests.processes import at, finish, manage

# The same examples on every machine and run: a failure that comes and goes helps nobody.
hypothesis.settings.register_profile("finops", derandomize=True, deadline=None)
hypothesis.settings.load_profile("finops")

# A skip whose reason names one of these is for want of it. With FINOPS_TEST_ALL set it fails the run.
SERVICES = re.compile(r"PostgreSQL|Redis|Valkey|[Cc]hromium|browser")


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path, monkeypatch):
    """Every test has a data folder of its own, nothing in memory, and readers whose passwords are hashed quickly."""
    monkeypatch.setattr(results, "_results", results.Results())
    settings.FINOPS_DATA_DIR = tmp_path / "data"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return settings.FINOPS_DATA_DIR


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    """SQLite in a file, as users have it: in memory, a connection would not wait for who writes beside."""
    kept = settings.DATABASES["default"]
    if kept["ENGINE"].endswith("sqlite3"):
        file = tmp_path_factory.mktemp("database") / "tests.sqlite3"
        kept.setdefault("TEST", {})["NAME"] = str(file)


@pytest.fixture
def one_core(settings):
    """A test process has a core, and days of a few rows take a third less on it."""
    settings.FINOPS_CORES = 1


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    finish(manage(at(folder), "migrate", "-v0"))
    return folder / "finops.sqlite3"


@pytest.fixture(scope="session")
def migrated_postgresql(tmp_path_factory) -> Iterator[str]:
    """Its name."""
    with database() as address:
        finish(manage(at(tmp_path_factory.mktemp("migrated"), address), "migrate", "-v0"))
        yield address.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request, tmp_path) -> Iterator[dict[str, str]]:
    """The environment of processes with a data folder and a database of their own, which has its tables."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    like = request.getfixturevalue(f"migrated_{request.param}")
    if request.param == "sqlite":
        shutil.copy(like, folder)
        yield at(folder)
    else:
        with database(like) as address:
            yield at(folder, address)


def _skipped(terminal) -> Iterator[tuple[str, str]]:
    """Reason and place of each skipped test."""
    for report in terminal.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield reason.removeprefix("Skipped: "), report.nodeid


def _for_want_of_a_service(terminal) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for reason, place in _skipped(terminal):
        if SERVICES.search(reason):
            found.setdefault(reason, []).append(place)
    return found


def pytest_sessionfinish(session, exitstatus):
    """Where everything must run, a skip for want of a service or browser is a failure."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        terminal
        and os.environ.get("FINOPS_TEST_ALL")
        and exitstatus == 0
        and _for_want_of_a_service(terminal)
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """The last lines name what was not tested, and why."""
    wanting = _for_want_of_a_service(terminalreporter)
    others = sum(1 for reason, _ in _skipped(terminalreporter) if not SERVICES.search(reason))
    if others:
        terminalreporter.write_line(f"{others} skipped for other reasons: pytest -rs names them")
    for reason, places in sorted(wanting.items()):
        terminalreporter.write_line(f"NOT TESTED, {len(places)} tests: {reason}")
        for place in places:
            terminalreporter.write_line(f"  {place}")
    if not wanting:
        terminalreporter.write_line("nothing was skipped for want of a service or browser")
