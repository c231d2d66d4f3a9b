"""A data folder whose disk is full: said in a line, and nothing is lost."""

import os
import subprocess

import pytest

from tests.processes import at, finish, manage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a small disk")
LOG = '{{"request_id": "r{0}", "timestamp": "2026-01-05T10:00:{1:02}Z", "model": "m{0}", "tenant": "t{0}"}}\n'


@pytest.fixture
def disk(tmp_path):
    """Of eight MiB, with a data folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no small disk can be made here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_same_command_completes_it_later(disk, tmp_path):
    log = tmp_path / "requests.jsonl"
    log.write_text("".join(LOG.format(number, number % 60) for number in range(20_000)))
    environment = at(disk / "data")
    finish(manage(environment, "migrate", "-v0"))
    ballast = disk / "ballast"
    with ballast.open("wb") as stream:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
        stream.write(b"x" * (free - 300_000))
    process = manage(environment, "ingest", "requests", str(log))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.startswith("the disk is full; what was in force before still is")
    assert said.count("\n") == 1
    ballast.unlink()
    assert "20,000" in finish(manage(environment, "ingest", "requests", str(log)))
