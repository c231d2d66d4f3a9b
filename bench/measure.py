"""A command's cost: CPU and wall seconds, and the most memory that it held."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cost:
    """CPU: user and system, all threads and children. `said`: what it wrote."""

    cpu: float
    wall: float
    megabytes: float
    said: str = ""


class Failed(Exception):
    """The command ended with an error; its output is in the message."""


def python(*arguments: object, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `python ARGUMENTS` from the project's root, and wait for it."""
    command = [sys.executable, *map(str, arguments)]
    started = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Cost(used.ru_utime + used.ru_stime, time.monotonic() - started, used.ru_maxrss / 1024, said)
