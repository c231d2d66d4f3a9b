"""Garbage: files that nobody can ask for any more, and what killed processes left behind.

A file is kept while it is in force, for some days after (whoever reads an older snapshot is not disturbed, and
a report can be read as it was), and for as long as a closed month or the explanation of a day needs it.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from django.conf import settings

from attribution import queries as attributed
from attribution.day import WRITTEN
from finops.core import warehouse
from finops.core.layers import LAYERS
from finops.core.models import ManifestFile, Snapshot
from finops.core.periods import ChargePeriod
from ingest import spool
from reports.models import ClosedMonth

_LAYERS = frozenset(layer.name for layer in LAYERS)


@dataclass(frozen=True)
class Garbage:
    """What can go: files that were in force once, and files that never were (or whose row is gone)."""

    ended: tuple[ManifestFile, ...]
    strays: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.ended) + len(self.strays)

    @property
    def paths(self) -> list[Path]:
        return [*(warehouse.folder() / file.path for file in self.ended), *self.strays]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths if path.exists())


def find(now: datetime | None = None) -> Garbage:
    now = now or datetime.now(UTC)
    return Garbage(tuple(_ended(now)), tuple(_strays(now)))


def collect(now: datetime | None = None) -> Garbage:
    """Delete the garbage; what it was. Safe to interrupt, and beside readers and writers.

    The rows of ended files stay, marked, so that whoever asks for that state is told; layers leave no trace.
    """
    with warehouse.the_commit_lock():
        found = find(now)
        layers = [file.pk for file in found.ended if file.dataset in _LAYERS]
        ManifestFile.objects.filter(pk__in=layers).delete()
        kept = [file.pk for file in found.ended if file.dataset not in _LAYERS]
        ManifestFile.objects.filter(pk__in=kept).update(collected=True)
    for path in found.paths:  # after the commit: where we stop here, they are strays to the next
        path.unlink(missing_ok=True)
    spool.sweep()
    return found


def _ended(now: datetime) -> Iterator[ManifestFile]:
    """Files that ended before the days of grace, and that nobody needs."""
    grace = now - timedelta(days=settings.FINOPS_KEEP_DAYS)
    before = Snapshot.objects.filter(created__lt=grace).order_by("-id").values_list("id", flat=True).first()
    if before is None:
        return
    needs = _Needs.now()
    for file in ManifestFile.objects.filter(until_snapshot__lte=before, collected=False).order_by("id"):
        if not needs.file(file):
            yield file


@dataclass(frozen=True)
class _Needs:
    """The snapshots that must stay readable: whole, or what a day is computed from."""

    closed: list[int]  # in order, as are the others
    looking_at: dict[date, list[int]]  # each day, of the runs in force: theirs who look at it
    of_any_day: list[int]

    @classmethod
    def now(cls) -> "_Needs":
        """Closed months, versions that were reopened too; and what explains their days and today's."""
        closed = sorted(set(ClosedMonth.objects.values_list("snapshot", flat=True)))
        looking_at: dict[date, set[int]] = {}
        for snapshot in (None, *closed):
            for run in attributed.runs(snapshot=snapshot).values():
                for looked_at in ChargePeriod.days(run.looked_from, run.looked_until + timedelta(days=1)):
                    looking_at.setdefault(looked_at, set()).add(run.computed_from)
        return cls(
            closed,
            {day: sorted(snapshots) for day, snapshots in looking_at.items()},
            sorted(set().union(*looking_at.values())),
        )

    def file(self, file: ManifestFile) -> bool:
        if file.dataset in _LAYERS:
            return False
        if _any_in_force(file, self.closed):
            return True
        if file.dataset in WRITTEN:  # a day is computed from its inputs and roll-ups
            return False
        if file.first_day is None or file.last_day is None:
            return _any_in_force(file, self.of_any_day)
        return any(
            _any_in_force(file, self.looking_at[day])
            for day in ChargePeriod.days(file.first_day, file.last_day + timedelta(days=1))
            if day in self.looking_at
        )


def _any_in_force(file: ManifestFile, snapshots: list[int]) -> bool:
    """Whether the file was in force at one of the snapshots, which are in order."""
    at = bisect_left(snapshots, file.since_snapshot)
    return at < len(snapshots) and (file.until_snapshot is None or snapshots[at] < file.until_snapshot)


def _strays(now: datetime) -> Iterator[Path]:
    """Unfinished, spilled and unreferenced files that no process can still be about to use: by age."""
    before = (now - timedelta(hours=settings.FINOPS_STRAY_HOURS)).timestamp()
    known: Collection[str] = set(ManifestFile.objects.filter(collected=False).values_list("path", flat=True))
    root = warehouse.folder()
    for path in sorted(root.glob("*/*")):
        is_ours = path.parent.name == "spill" or path.suffix in {".part", ".parquet"}
        if not is_ours or not path.is_file() or str(path.relative_to(root)) in known:
            continue
        if path.stat().st_mtime < before:
            yield path
