"""The newest file lists, kept in memory: each process asks for all of them once, and then for what changed."""

import threading
from bisect import insort
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db.models import Q, QuerySet

from finops.core.models import ManifestFile, Snapshot


@dataclass(frozen=True)
class _Lists:
    """Every dataset's files in force at one snapshot, in the order of partitions."""

    snapshot: int
    created: datetime  # a number whose transaction was rolled back is given again
    files: dict[str, list[ManifestFile]]


_newest: dict[Path, tuple[int, datetime]] = {}  # by warehouse, as last read from the database
_lists: dict[Path, _Lists] = {}
_lock = threading.Lock()


def in_force(snapshot: int) -> QuerySet[ManifestFile]:
    """The files that a reader of this snapshot sees."""
    files = ManifestFile.objects.order_by("partition", "id")
    return files.filter(since_snapshot__lte=snapshot).filter(
        Q(until_snapshot=None) | Q(until_snapshot__gt=snapshot)
    )


def latest(folder: Path) -> int:
    """The newest snapshot's number; 0 where nothing was ever committed."""
    newest = Snapshot.objects.order_by("-id").values_list("id", "created").first()
    if newest is None:
        _newest.pop(folder, None)
        return 0
    _newest[folder] = newest
    return newest[0]


def state(folder: Path, snapshot: int) -> Hashable | None:
    """What tells the newest state from every other; None of an earlier one."""
    newest = _newest.get(folder)
    return None if newest is None or newest[0] != snapshot else (folder, *newest)


def files(folder: Path, dataset: str, snapshot: int) -> list[ManifestFile]:
    """A dataset's files at a snapshot; no query where it is the newest one and known already."""
    newest = _newest.get(folder)
    if newest is None or newest[0] != snapshot:
        return list(in_force(snapshot).filter(dataset=dataset))
    known = _lists.get(folder)
    if known is None or (known.snapshot, known.created) != newest:
        with _lock:
            known = _lists.get(folder)
            if known is None or (known.snapshot, known.created) != newest:
                known = _advanced(known, *newest) or _read(*newest)
                _lists.clear()  # one warehouse a process; tests have many
                _lists[folder] = known
    return list(known.files.get(dataset, ()))


def _read(snapshot: int, created: datetime) -> _Lists:
    found: dict[str, list[ManifestFile]] = {}
    for file in in_force(snapshot):
        found.setdefault(file.dataset, []).append(file)
    return _Lists(snapshot, created, found)


def _advanced(known: _Lists | None, snapshot: int, created: datetime) -> _Lists | None:
    """The lists of a later snapshot, from what came and went since; None where that cannot be told."""
    if known is None or known.snapshot >= snapshot:
        return None
    if not Snapshot.objects.filter(pk=known.snapshot, created=known.created).exists():
        return None
    ended = ManifestFile.objects.filter(
        since_snapshot__lte=known.snapshot, until_snapshot__gt=known.snapshot, until_snapshot__lte=snapshot
    )
    gone: dict[str, set[int]] = {}
    for dataset, number in ended.values_list("dataset", "id"):
        gone.setdefault(dataset, set()).add(number)
    begun: dict[str, list[ManifestFile]] = {}
    for file in in_force(snapshot).filter(since_snapshot__gt=known.snapshot):
        begun.setdefault(file.dataset, []).append(file)
    files = dict(known.files)
    for dataset in gone.keys() | begun.keys():
        left = [file for file in files.get(dataset, ()) if file.pk not in gone.get(dataset, ())]
        for file in begun.get(dataset, ()):
            insort(left, file, key=lambda one: (one.partition, one.pk))
        files[dataset] = left
    return _Lists(snapshot, created, files)
