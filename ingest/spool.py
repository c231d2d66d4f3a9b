"""What is between reading and committing: a folder for each ingest, which goes with it."""

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

STALE = 24 * 3600  # seconds after which a folder is a killed process's


@contextmanager
def folder() -> Iterator[Path]:
    """An empty one, for the block."""
    sweep()
    own = _root() / uuid.uuid4().hex
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def sweep() -> None:
    """Delete what killed processes left."""
    for old in _root().glob("*"):
        if time.time() - old.stat().st_mtime > STALE:
            shutil.rmtree(old, ignore_errors=True)


def _root() -> Path:
    return Path(settings.FINOPS_DATA_DIR) / "spool"
