"""Readers at the pages while a day is attributed: how long each page takes, on a large organisation's year.

The real server runs as in production, with two processes of four threads; `manage.py attribute --force` of
the newest day runs beside it again and again. Readers ask for one page after the other without a pause.
"""

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
GUNICORN = ("--workers", "2", "--threads", "4", "--timeout", "120", "--log-level", "warning")
READERS = 8
END = date(2026, 9, 21)


@dataclass
class Readings:
    """Seconds by page, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def add(self, page: str, seconds: float) -> None:
        self.seconds.setdefault(page, []).append(seconds)

    def table(self) -> dict[str, dict[str, float]]:
        """Milliseconds at the percentiles, by page and of all."""
        every = [one for found in self.seconds.values() for one in found]
        return {page: _percentiles(found) for page, found in [*sorted(self.seconds.items()), ("all", every)]}


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = {f"p{p}": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1000 for p in (50, 95, 99)}
    return {"pages": len(ordered), **at, "mean": statistics.fmean(ordered) * 1000}


def addresses(picked: random.Random) -> Iterator[tuple[str, str]]:
    """What a reader asks for, without end: a page's name and its address.

    Two of five are overviews, two are among the views that everybody opens, and one is a view of the
    explorer that most likely nobody has asked for before: another grouping, span, grain and filter.
    """
    while True:
        kind = picked.random()
        if kind < 0.4:
            yield "overview", f"/{picked.choice(['', '', '', '?month=2026-08', '?month=2026-06'])}"
        elif kind < 0.8:
            days, by = (
                picked.choice([30, 30, 92, 365]),
                picked.choice(["model", "team", "feature", "tenant", ""]),
            )
            yield "explorer, a usual view", _explorer(END, days, by, "month" if days > 92 else "day")
        else:
            days = picked.choice([7, 30, 30, 90, 182, 365])
            end = END - timedelta(days=picked.choice([0, 0, 20, 51, 81]))
            by = picked.choice(["model", "team", "feature", "tenant", "environment", "region", ""])
            more = {"measure": picked.choice(["cost", "idle", "requests", "cpp_loaded"])}
            filtered = picked.random()
            if filtered < 0.3:
                more["team"] = f"team-{picked.randrange(12):02d}"
            elif filtered < 0.5:
                more["model"] = f"model-{picked.randrange(20):02d}"
            elif filtered < 0.6:
                more["tenant"] = f"tenant-{int(40 * picked.random() ** 2):04d}"
            grain = "month" if days > 31 and picked.random() < 0.5 else "day"
            span = "a month at most" if days < 31 else "more than a month"
            yield f"explorer, a new view of {span}", _explorer(end, days, by, grain, **more)


def _explorer(end: date, days: int, by: str, grain: str, **more: str) -> str:
    start = end - timedelta(days=days)
    return f"/explorer/?{urlencode({'start': start, 'end': end, 'by': by, 'grain': grain, **more})}"


class Reader:
    """A connection that stays open, with the session of one user."""

    def __init__(self, port: int, session: str) -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=120)
        self.headers = {"Cookie": f"sessionid={session}", "Accept-Encoding": "identity"}

    def get(self, address: str) -> tuple[int, bytes, float]:
        """Status, body and seconds."""
        started = time.perf_counter()
        try:
            self.connection.request("GET", address, headers=self.headers)
            response = self.connection.getresponse()
            body = response.read()
        except (http.client.HTTPException, ConnectionError):
            self.connection.close()  # the server ended a connection that was kept open: as browsers do, once more
            self.connection.request("GET", address, headers=self.headers)
            response = self.connection.getresponse()
            body = response.read()
        return response.status, body, time.perf_counter() - started


def environment(folder: Path) -> dict[str, str]:
    """As in production, but for the address."""
    return {
        **os.environ,
        "FINOPS_DATA_DIR": str(folder),
        "DEBUG": "false",
        "SECRET_KEY": "only for measuring" * 3,
        "DJANGO_SETTINGS_MODULE": "finops.settings",
    }


def sessions(folder: Path, users: Sequence[str]) -> list[str]:
    """Signs each of the users in; the keys of their sessions."""
    code = (
        "import sys, django; django.setup()\n"
        "from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY\n"
        "from django.contrib.auth.models import User\n"
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "for name in sys.argv[1:]:\n"
        "    user, store = User.objects.get(username=name), SessionStore()\n"
        "    store[SESSION_KEY] = str(user.pk)\n"
        "    store[BACKEND_SESSION_KEY] = 'django.contrib.auth.backends.ModelBackend'\n"
        "    store[HASH_SESSION_KEY] = user.get_session_auth_hash()\n"
        "    store.create()\n"
        "    print(store.session_key)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *users],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def cpu_seconds(process: int) -> float:
    """Of a process and its children, user and system."""
    spent = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.read_text().split(" (", 1)
            fields = rest.rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if process in (int(number), int(fields[1])):
            spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """The server as `docker-compose.yml` starts it, once it listens; its port and its process."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "finops.wsgi", "--bind", f"{HOST}:{port}", *GUNICORN]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(folder))
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection((HOST, port), timeout=1):
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.02)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def attributing(folder: Path, day: date) -> Iterator[list[float]]:
    """Attributes the day again and again, as long as the block runs; the seconds that each took."""
    ended, took = threading.Event(), []
    command = [sys.executable, "manage.py", "attribute", "--force", "--workers", "2"]
    command += ["--start", str(day), "--end", str(day + timedelta(days=1))]

    def again() -> None:
        while not ended.is_set():
            started = time.perf_counter()
            subprocess.run(command, cwd=ROOT, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
            took.append(time.perf_counter() - started)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def first_page(folder: Path, session: str) -> dict[str, float]:
    """Milliseconds from the server's start, and from its first answer, to the overview; nothing is warm."""
    started = time.perf_counter()
    with server(folder) as (port, _):
        health = Reader(port, session).get("/healthz")
        assert health[0] == 200, health
        status, _, seconds = Reader(port, session).get("/")
        assert status == 200, status
        return {"page": seconds * 1000, "with start": (time.perf_counter() - started) * 1000}


def read(port: int, keys: Sequence[str], seconds: float, seed: int = 1) -> Readings:
    """Readers at once, each asking without a pause until the time is over."""
    found, lock, until = Readings(), threading.Lock(), time.monotonic() + seconds

    def one(number: int, key: str) -> None:
        reader = Reader(port, key)
        for page, address in addresses(random.Random(seed * 100 + number)):
            if time.monotonic() > until:
                return
            status, _, took = reader.get(address)
            with lock:
                found.add(page, took)
                if status != 200:
                    found.errors.append(f"{status} {address}")

    threads = [threading.Thread(target=one, args=each) for each in enumerate(keys)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def run(
    folder: Path,
    seconds: float = 60,
    readers: int = READERS,
    quiet: bool = False,
    starts: int = 3,
    **size: int,
) -> dict[str, object]:
    """Build what is missing in the folder, and measure; `quiet`: without an attribution beside; `starts`: fresh servers.

    `size`: days, tenants and requests (of the last day) of the organisation, by default a year's.
    """
    day = END - timedelta(days=1)
    prepare(folder, **size)
    keys = sessions(folder, [("finance", "engineer", "owner", "finance")[n % 4] for n in range(readers)])
    fresh = [first_page(folder, keys[0]) for _ in range(starts)]
    with server(folder) as (port, process):
        read(port, keys, 5, seed=2)  # every thread of the server has answered once
        before = cpu_seconds(process)
        if quiet:
            found, took = read(port, keys, seconds), []
        else:
            with attributing(folder, day) as took:
                found = read(port, keys, seconds)
        spent = cpu_seconds(process) - before
    pages = sum(len(one) for one in found.seconds.values())
    return {
        "server's CPU ms a page": spent / pages * 1000,
        "first page": {name: min(one[name] for one in fresh) for name in fresh[0]},
        "pages": found.table(),
        "attributions": len(took),
        "errors": found.errors[:10],
    }


def prepare(folder: Path, **size: int) -> None:
    """The large organisation's year and the static files, where the folder has none yet."""
    if (folder / "large-organisation").exists():
        return
    manage = [sys.executable, "manage.py"]
    build = f"import django; django.setup(); from bench import large_organisation; large_organisation.build(**{size})"
    for command in (
        [*manage, "migrate", "--no-input", "--verbosity", "0"],
        [sys.executable, "-c", build],
        [*manage, "compact"],
        [*manage, "collectstatic", "--no-input", "--verbosity", "0"],
    ):
        subprocess.run(command, cwd=ROOT, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
    (folder / "large-organisation").write_text("made by bench.serving\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, required=True, help="a data folder of its own; filled where it is empty"
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--quiet", action="store_true", help="without an attribution beside")
    asked = parser.parse_args()
    found = run(asked.folder.resolve(), asked.seconds, asked.readers, asked.quiet)
    print_table(found)


def print_table(found: Mapping[str, object]) -> None:
    out = sys.stdout.write
    pages = found["pages"]
    assert isinstance(pages, dict)
    out(f"{'page':<44} {'pages':>6} {'p50':>8} {'p95':>8} {'p99':>8} ms\n")
    for page, one in pages.items():
        out(f"{page:<44} {one['pages']:>6} {one['p50']:>8.0f} {one['p95']:>8.0f} {one['p99']:>8.0f}\n")
    out(json.dumps({name: value for name, value in found.items() if name != "pages"}, indent=2) + "\n")


if __name__ == "__main__":
    main()
