"""Real processes that ingest into one warehouse, and are killed while they do, on SQLite and on PostgreSQL."""

import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ingest.arrivals import bill, charge
from tests.processes import at, finish, python

ROUNDS = 20
KILLS = 4


@dataclass(frozen=True)
class Undisturbed:
    """A command, what it gives when nothing happens to it, and how long its work takes."""

    command: tuple[object, ...]
    seconds: float
    before: bytes | list[str]
    after: bytes | list[str]


def run(environment: dict[str, str], *arguments: object) -> str:
    return finish(python(environment, *arguments))


def ready(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    """An ingest that has been imported and now begins its work."""
    process = python(environment, "-m", "tests.ingest.process", "ingest", *arguments)
    assert process.stdout
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def seconds(environment: dict[str, str], *arguments: object) -> float:
    process, began = ready(environment, *arguments), time.monotonic()
    finish(process)
    return time.monotonic() - began


def kill_in_the_middle(environment: dict[str, str], one: Undisturbed) -> None:
    chance = random.Random(7)
    for _ in range(KILLS):
        process = ready(environment, *one.command)
        time.sleep(chance.uniform(0, one.seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)


def requests(environment: dict[str, str]) -> list[str]:
    return run(environment, "-m", "tests.ingest.process", "dump").splitlines()[1:]


def charges(environment: dict[str, str], folder: Path) -> bytes:
    target = folder / "charges.csv"
    run(environment, "manage.py", "export", "charges", "--start=2026-09-01", "--end=2026-10-01", "-o", target)
    return target.read_bytes()


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("logs")
    for number in range(3):
        lines = [
            json.dumps(
                {
                    "request_id": f"{number}-{n % 9_000}",
                    "timestamp": 1788775200 + 86400 * (n % 3),
                    "model": "m",
                    "tenant": f"t{n % 7}",
                    "resource_id": f"i-{n % 5}",
                    "gpu_ms": n / 8,
                }
            )
            for n in range(10_000)
        ]
        (folder / f"{number}.jsonl").write_text("\n".join(lines))
    command = ("requests", *sorted(folder.glob("*.jsonl")), "--source", "gateway")
    there = at(folder / "data")
    run(there, "manage.py", "migrate", "-v0")
    spent = seconds(there, *command)
    return Undisturbed(command, spent, [], requests(there))


@pytest.fixture(scope="module")
def bills(tmp_path_factory) -> Undisturbed:
    """A month's bill, delivered before in another version."""
    folder = tmp_path_factory.mktemp("bills")
    earlier = bill(folder / "earlier.csv", *(charge(f"{n}.25", day=n % 29 + 1) for n in range(100)))
    later = bill(folder / "later.csv", *(charge(f"{n}.5", day=n % 29 + 1) for n in range(10_000)))
    there = at(folder / "data")
    run(there, "manage.py", "ingest", "billing", earlier)
    before = charges(there, folder)
    spent = seconds(there, "billing", later)
    return Undisturbed(("billing", later), spent, before, charges(there, folder))


def test_two_processes_that_add_to_one_day_lose_nothing_and_repeat_nothing(elsewhere, tmp_path):
    run(elsewhere, "-m", "tests.ingest.process", "add", "a", 1, tmp_path)
    adding = ("-m", "tests.ingest.process", "add")
    for process in [python(elsewhere, *adding, name, ROUNDS, tmp_path) for name in ("b", "c")]:
        finish(process)
    expected = [f"{name}-{n}" for name in ("b", "c", "both") for n in range(ROUNDS)]
    found = [line.split("'")[5] for line in requests(elsewhere) if line.startswith("requests ")]
    assert found == sorted([*expected, "every", "a-0"])


def test_a_killed_ingest_of_requests_is_completed_by_the_same_command(elsewhere, logs):
    kill_in_the_middle(elsewhere, logs)
    assert requests(elsewhere) in (logs.before, logs.after)  # all of it or none
    run(elsewhere, "manage.py", "ingest", *logs.command)
    assert requests(elsewhere) == logs.after


def test_a_killed_ingest_of_a_bill_is_completed_by_the_same_command(elsewhere, bills, tmp_path):
    run(elsewhere, "manage.py", "ingest", "billing", bills.command[1].with_name("earlier.csv"))
    kill_in_the_middle(elsewhere, bills)
    assert charges(elsewhere, tmp_path) in (bills.before, bills.after)
    run(elsewhere, "manage.py", "ingest", *bills.command)
    assert charges(elsewhere, tmp_path) == bills.after
