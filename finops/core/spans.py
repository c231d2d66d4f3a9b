"""Reading many days fast: from the layers where they hold what the days say now, from the days where not.

A day that is attributed again shows at once: it is read by itself, and left out of its month's layer, until
the month is compacted anew.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, TypeVar, cast

from duckdb import DuckDBPyConnection

from finops.core import manifest, warehouse
from finops.core.layers import LAYERED, Layer, layers_of
from finops.core.models import ManifestFile
from finops.core.periods import ChargePeriod, next_month

LOOSE = 7  # days of a month that may be newer than its layers before it is compacted again


@dataclass(frozen=True)
class Rows:
    """What stands after FROM, in parentheses, and the files that it reads."""

    text: str
    files: tuple[ManifestFile, ...]


def content(datasets: Sequence[str], first: date, end: date, snapshot: int | None = None) -> str:
    """What tells one content of the days in [first, end) from another: a digest of the hashes of their files.

    Reading a layer instead of the days it was made from changes nothing.
    """
    snapshot = warehouse.latest() if snapshot is None else snapshot

    def digest() -> str:
        found = [file for name in datasets for file in warehouse.files(name, snapshot, touching=(first, end))]
        return sha256("".join(file.sha256 for file in found).encode()).hexdigest()

    return _remembered(snapshot, ("content", tuple(datasets), first, end), digest)


def rows(
    dataset: str,
    columns: Collection[str],
    first: date,
    end: date,
    snapshot: int | None = None,
    *,
    whole_months: bool = False,
) -> Rows:
    """A dataset's rows of the UTC days in [first, end), summed up over other columns than `columns` where that is
    quicker; rows of days outside may be among them.

    `whole_months`: a month of which all days lie within the span may be one day, the first of them.
    """
    snapshot = warehouse.latest() if snapshot is None else snapshot
    names = ("day", *(name for name in columns if name != "day"))
    what = ("rows", dataset, names, first, end, whole_months)
    found = _remembered(snapshot, what, lambda: _rows(dataset, names, first, end, snapshot, whole_months))
    if not warehouse.is_there(found.files):  # somebody has thrown a layer away since
        return _rows(dataset, names, first, end, snapshot, whole_months)
    return found


def _rows(
    dataset: str, names: Sequence[str], first: date, end: date, snapshot: int, whole_months: bool
) -> Rows:
    layers = {layer: _by_month(warehouse.files(layer.name, snapshot)) for layer in layers_of(dataset)}
    parts = _Parts()
    for month, days in _by_month(warehouse.files(dataset, snapshot)).items():
        wanted = [file for file in days if first <= _day(file) < end]
        if not wanted:
            continue
        whole = whole_months and len(wanted) == len(days)
        for layer, copies in layers.items():
            if (
                month not in copies
                or not set(names) <= layer.columns.keys()
                or (layer.by_month and not whole)
                or not warehouse.is_there(copies[month][:1])
            ):
                continue
            copy = copies[month][0]
            loose = [file for file in days if file.since_snapshot > copy.since_snapshot]
            if (loose and layer.by_month) or sum(file not in loose for file in wanted) < 2:
                continue
            if not loose and _held(layers, month, copy) != sum(file.rows for file in days):
                continue  # a day went without another in its place
            parts.copies[layer].append(copy)
            parts.loose[layer] += [_day(file) for file in loose]
            parts.days += [file for file in wanted if file in loose]
            break
        else:
            parts.days += wanted
    return parts.rows(dataset, names)


Found = TypeVar("Found")
_memory: OrderedDict[Hashable, Any] = OrderedDict()
_memory_lock = threading.Lock()
_MOST = 512


def _remembered(snapshot: int, what: Hashable, find: Callable[[], Found]) -> Found:
    """What was found before for the same question at the newest snapshot."""
    state = manifest.state(warehouse.folder(), snapshot)
    if state is None:
        return find()
    with _memory_lock:
        if (state, what) in _memory:
            return cast(Found, _memory[state, what])
    found = find()
    with _memory_lock:
        _memory[state, what] = found
        while len(_memory) > _MOST:
            _memory.popitem(last=False)
    return found


@dataclass
class _Parts:
    """Which files are read, and how."""

    copies: dict[Layer, list[ManifestFile]] = field(default_factory=lambda: defaultdict(list))
    loose: dict[Layer, list[date]] = field(default_factory=lambda: defaultdict(list))
    days: list[ManifestFile] = field(default_factory=list)

    def rows(self, dataset: str, names: Sequence[str]) -> Rows:
        texts, files = [], []
        for layer, copies in self.copies.items():
            text = warehouse.rows_of(layer.name, copies, names)
            if self.loose[layer]:
                text += " where " + " and ".join(f"day <> date '{day}'" for day in self.loose[layer])
            texts.append(text)
            files += copies
        if self.days or not texts:
            texts.append(warehouse.rows_of(dataset, self.days, names))
            files += self.days
        return Rows(f"({' union all '.join(texts)})", tuple(files))


def _held(layers: dict[Layer, dict[date, list[ManifestFile]]], month: date, copy: ManifestFile) -> int | None:
    """How many rows of days a month's layers were made of: the one that sums nothing up says it."""
    for layer, copies in layers.items():
        if not layer.sums and month in copies and copies[month][0].since_snapshot == copy.since_snapshot:
            return copies[month][0].rows
    return None


def open_view(
    con: DuckDBPyConnection,
    dataset: str,
    snapshot: int | None = None,
    *,
    touching: tuple[date, date] | None = None,
) -> None:
    """A temporary view of a dataset that has layers; rows of other days may be among them."""
    shape = layers_of(dataset)[-1].columns
    found = rows(dataset, list(shape), *(touching or (date.min, date.max)), snapshot)
    con.execute(f'create or replace temp view "{dataset}" as from {found.text}')


def _by_month(files: Iterable[ManifestFile]) -> dict[date, list[ManifestFile]]:
    found: dict[date, list[ManifestFile]] = {}
    for file in files:
        found.setdefault(_day(file).replace(day=1), []).append(file)
    return found


def _day(file: ManifestFile) -> date:
    """Of a day's file the day; of a layer's a day of its month."""
    if file.first_day is None:
        raise ValueError(f"{file.path} names no day")
    return file.first_day


# Compaction


def compact(loose: int = 1, progress: Callable[[date, int, int], None] | None = None) -> list[str]:
    """Make the layers of months of which at least so many days are newer than their layers; which these are.

    Each month is a commit of its own. One that is attributed meanwhile is left for the next time.
    """
    snapshot = warehouse.latest()
    months = {month for dataset in LAYERED for month in _by_month(warehouse.files(dataset, snapshot))}
    outdated = {
        month: found for month in sorted(months) if (found := list(_outdated(month, snapshot, loose)))
    }
    done = []
    for number, (month, found) in enumerate(outdated.items(), 1):
        files: list[warehouse.NewFile] = []
        with closing(warehouse.connect("700MB", threads=1)) as con:
            for dataset, days in found:
                warehouse.view(con, dataset, days)
                files += [_written(con, layer, month, days) for layer in layers_of(dataset)]
        try:
            warehouse.commit(
                files,
                computed_from=snapshot,
                # Days that the month had none of as well: one that came meanwhile is in no layer.
                unchanged=[
                    warehouse.Partition(dataset, warehouse.partition(dataset, day))
                    for dataset, _ in found
                    for day in ChargePeriod.days(month, next_month(month))
                ],
                note=f"compaction of {month:%Y-%m}",
            )
        except warehouse.Overtaken:
            continue
        done.append(f"{month:%Y-%m}")
        if progress:
            progress(month, number, len(outdated))
    return done


def _outdated(month: date, snapshot: int, loose: int) -> Iterator[tuple[str, list[ManifestFile]]]:
    """The datasets whose layers of a month must be made, with their days; a single day needs none."""
    for dataset in LAYERED:
        days = warehouse.files(dataset, snapshot, touching=(month, next_month(month)))
        if len(days) < 2:
            continue
        made = [
            file
            for layer in layers_of(dataset)
            for file in warehouse.files(layer.name, snapshot, partitions=[_name(layer, month)])
        ]
        whole = len(made) == len(layers_of(dataset)) and warehouse.is_there(made)
        since = min((file.since_snapshot for file in made), default=0)
        if sum(not whole or file.since_snapshot > since for file in days) >= loose:
            yield dataset, days


def _written(
    con: DuckDBPyConnection, layer: Layer, month: date, days: Sequence[ManifestFile]
) -> warehouse.NewFile:
    span = (min(_day(file) for file in days), max(_day(file) for file in days))
    return warehouse.write(
        con, layer.name, _name(layer, month), layer.query, days=span, row_group=layer.row_group
    )


def _name(layer: Layer, month: date) -> str:
    return warehouse.partition(layer.name, f"{month:%Y-%m}")
