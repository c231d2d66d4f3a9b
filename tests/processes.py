"""Real processes with a data folder and a database of their own: the fixture `elsewhere` of conftest.py."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def at(folder: Path, address: str = "") -> dict[str, str]:
    """The environment of processes with this data folder and database, by default the one in the folder."""
    return {**os.environ, "FINOPS_DATA_DIR": str(folder), "DATABASE_URL": address}


def manage(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    """Start a management command."""
    return python(environment, "manage.py", *words)


def python(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What a process wrote to standard output; fails with what it complained of where it failed."""
    return ended(process)[0]


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Standard output and standard error of a process that succeeded."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err
