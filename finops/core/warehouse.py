"""The warehouse: immutable Parquet files, and a manifest that says which are in force.

Writers put files beside the others and then switch the manifest in one transaction of Django's
database, under one global lock. Readers take the file list of one snapshot and read it in their
own DuckDB: they see all of a commit or none of it, and an older number reads an older state.
"""

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import duckdb
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from finops.core import manifest
from finops.core.datasets import DATASETS, DELIVERED
from finops.core.errors import FinopsError
from finops.core.layers import LAYERS
from finops.core.models import ManifestFile, Snapshot

_LOCK = 0x66696E6F7073  # one number for all writers, on PostgreSQL
_SHAPES = {**DATASETS, **{layer.name: layer.shape for layer in LAYERS}}

# A higher level makes no smaller files of these, nor does a larger dictionary: both only take time.
FORMAT = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 10000"


class Overtaken(FinopsError):
    """A partition changed since the snapshot that the new files were computed from."""


class Damaged(FinopsError):
    """A file in force is missing, or is not what was written."""


class Collected(FinopsError):
    """An earlier state was asked for whose files are no longer kept."""


@dataclass(frozen=True)
class NewFile:
    """A file that is written and not yet in force."""

    dataset: str
    partition: str
    path: str
    rows: int
    sha256: str
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True)
class Partition:
    """What one commit replaces or adds to, such as ("requests", "gateway/2026-09-07")."""

    dataset: str
    name: str


def partition(dataset: str, *values: str | date) -> str:
    """The name of a partition from the values of its columns; `all` where it has none."""
    if len(values) != len(_SHAPES[dataset].partition):
        raise ValueError(f"{dataset} is partitioned by {_SHAPES[dataset].partition}, not {values}")
    return "/".join(quote(str(value), safe=" :@+=,") for value in values) or "all"


def folder() -> Path:
    return Path(settings.FINOPS_DATA_DIR) / "warehouse"


# In a block of `one_state`: the snapshot that was the newest when it was first asked for.
_state: ContextVar[list[int] | None] = ContextVar("state", default=None)


@contextmanager
def one_state() -> Iterator[None]:
    """All that is read in the block is of one snapshot, whatever is committed meanwhile: figures of a page agree."""
    token = _state.set([])
    try:
        yield
    finally:
        _state.reset(token)


def latest() -> int:
    """The newest snapshot's number; 0 where nothing was ever committed."""
    known = _state.get()
    if known is None:
        return manifest.latest(folder())
    if not known:
        known.append(manifest.latest(folder()))
    return known[0]


def in_force(snapshot: int | None = None) -> QuerySet[ManifestFile]:
    """The files that a reader of this snapshot (by default the newest) sees."""
    if snapshot is None:
        return ManifestFile.objects.order_by("partition", "id").filter(until_snapshot=None)
    return manifest.in_force(snapshot)


def files(
    dataset: str,
    snapshot: int | None = None,
    *,
    partitions: Iterable[str] | None = None,
    touching: tuple[date, date] | None = None,
) -> list[ManifestFile]:
    """A dataset's files at a snapshot; `touching` keeps those with rows in [first, end)."""
    found = manifest.files(folder(), dataset, latest() if snapshot is None else snapshot)
    if partitions is not None:
        wanted = set(partitions)
        found = [file for file in found if file.partition in wanted]
    if touching is not None:
        first, end = touching
        found = [
            file
            for file in found
            if file.first_day is None
            or file.last_day is None
            or (file.first_day < end and file.last_day >= first)
        ]
    return list(found)


# The moment (of time.monotonic) by which what a page asks for must be there.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop the queries of connections opened in the block once the time is over: duckdb.InterruptException."""
    token = _deadline.set(time.monotonic() + seconds if seconds else None)
    try:
        yield
    finally:
        _deadline.reset(token)


def require_time() -> None:
    """Raises duckdb.InterruptException where the time of `time_limit` is over: between many short queries."""
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() > deadline:
        raise duckdb.InterruptException("the time limit of this page is over")


def _limited(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    deadline = _deadline.get()
    if deadline is not None:
        left = max(1, int((deadline - time.monotonic()) * 1000))
        con.execute(f"set max_execution_time = {left}")
    return con


def connect(memory: str = "", threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB of this process alone: in memory, UTC, spilling to the data folder.

    One of a single thread has others beside it: two of them stay within a gibibyte.
    """
    spill = folder() / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory or ("350MB" if threads == 1 else "700MB"),
        "temp_directory": str(spill),
        "TimeZone": "UTC",
        "autoinstall_known_extensions": False,
    }
    config["threads"] = threads or settings.FINOPS_CORES
    return _limited(duckdb.connect(":memory:", config=config))


_warm: dict[tuple[int, Path], duckdb.DuckDBPyConnection] = {}
_warm_lock = threading.Lock()


@contextmanager
def reading() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the DuckDB that all readers of this process share, which knows the files it has seen before.

    For small reads: what is made in it must be TEMP, which no other connection sees.
    """
    place = (os.getpid(), folder())  # a process that was forked starts its own
    with _warm_lock:
        if place not in _warm:
            for other in [one for one in _warm if one[0] == place[0]]:
                del _warm[other]  # a parent's must stay: its threads are not in this process
            # Readers come side by side, in this one DuckDB: a query need not be cut up as well.
            _warm[place] = connect("700MB", threads=1)
            # Cursors do not see what is only set for this connection.
            _warm[place].execute("set global parquet_metadata_cache = true; set max_execution_time = 0")
        con = _warm[place].cursor()
    try:
        yield _limited(con)
    finally:
        con.close()


def view(
    con: duckdb.DuckDBPyConnection,
    dataset: str,
    found: Sequence[ManifestFile | NewFile],
    name: str | None = None,
    *,
    temp: bool = False,
) -> None:
    """Make the files readable under `name`, by default the dataset's: an empty table of its shape where none are.

    `temp`: for this connection alone, as one of `reading` needs it.
    """
    kind = "temp view" if temp else "view"
    con.execute(f'create or replace {kind} "{name or dataset}" as {rows_of(dataset, found)}')


def rows_of(
    dataset: str, found: Sequence[ManifestFile | NewFile], columns: Iterable[str] | None = None
) -> str:
    """The query that reads the files' rows, all columns or some; no row where there are no files.

    Raises Collected where one of the files is no longer kept, Damaged where one is missing.
    """
    kinds = _SHAPES[dataset].columns
    names = list(kinds) if columns is None else list(columns)
    if not found:
        return f"select {', '.join(f'null::{kinds[name]} as {name}' for name in names)} where false"
    for file in found:
        if isinstance(file, ManifestFile) and file.collected:
            raise Collected(
                f"{dataset} {file.partition} as it was before snapshot {file.until_snapshot} is no longer kept: "
                "only what a closed month reads, and what was in force in the last days"
            )
        if not (folder() / file.path).exists():
            raise Damaged(_missing(file))
    paths = ", ".join(f"'{folder() / file.path}'" for file in found)
    read = ", ".join(f"{name}::HUGEINT as {name}" if kinds[name] == "HUGEINT" else name for name in names)
    # Days were written by several versions of the program: a column may be missing in old ones.
    return f"select {read} from read_parquet([{paths}], hive_partitioning = false, union_by_name = true)"


def damaged(found: Iterable[ManifestFile], contents: bool = False) -> Iterator[str]:
    """The files that are missing or, where their contents are read as well, not what was written; each in words."""
    for file in found:
        path = folder() / file.path
        if not path.exists():
            yield _missing(file)
        elif not _ends(path) or (contents and _digest(path) != file.sha256):
            first = "" if file.dataset in DATASETS else "delete it, and "
            yield f"{file.dataset} {file.partition}: {path} is not what was written: {first}{_remedy(file)}"


def is_there(found: Iterable[ManifestFile | NewFile]) -> bool:
    """Whether none of the files is missing."""
    return all((folder() / file.path).exists() for file in found)


def _missing(file: ManifestFile | NewFile) -> str:
    return f"{file.dataset} {file.partition}: {folder() / file.path} is missing: {_remedy(file)}"


def _remedy(file: ManifestFile | NewFile) -> str:
    if file.dataset in DELIVERED:
        return "restore it from a backup"
    if file.dataset in DATASETS:
        return "`attribute --force` of its day writes it again"
    return "`compact` writes it again"


def _ends(path: Path) -> bool:
    """Whether a file has the end of a Parquet file: it was not cut off."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4))
        return stream.read() == b"PAR1"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_view(
    con: duckdb.DuckDBPyConnection,
    dataset: str,
    snapshot: int | None = None,
    *,
    touching: tuple[date, date] | None = None,
    name: str | None = None,
    temp: bool = False,
) -> None:
    """`view` of what is in force at the snapshot."""
    view(con, dataset, files(dataset, snapshot, touching=touching), name, temp=temp)


def write(
    con: duckdb.DuckDBPyConnection,
    dataset: str,
    partition_name: str,
    query: str,
    parameters: Mapping[str, object] | None = None,
    days: tuple[date, date] | None = None,
    order: Sequence[str] | None = None,
    row_group: int | None = None,
    same: Mapping[str, str] = MappingProxyType({}),
) -> NewFile:
    """Write a query's rows, cast and ordered as the dataset wants them, to a new file.

    Durable on return (fsync, rename) and not yet in force. `days`: first and last UTC day that
    the rows touch. `order`: columns of the query that give the dataset's order more cheaply.
    `row_group`: about how many rows a reader can skip at once. `same`: SQL of the columns that have one
    value in all rows, which are then not carried through the sort.
    Raises duckdb.Error where the query lacks a column or a cast fails.
    """
    shape = _SHAPES[dataset]
    # Parquet has no 128-bit integer: a HUGEINT would silently become a double, a decimal does not.
    columns = ", ".join(
        f"cast({same.get(column, column)} as {'DECIMAL(38,0)' if kind == 'HUGEINT' else kind}) as {column}"
        for column, kind in shape.columns.items()
    )
    ranks = ", ".join(f"{column} nulls first" for column in order or shape.order)
    ordered = f"({query}) order by {ranks}" if ranks else f"({query})"
    target = folder() / dataset / f"{uuid.uuid4().hex}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".parquet.part")
    groups = f", row_group_size {row_group}" if row_group else ""
    rows = con.execute(
        f"copy (select {columns} from {ordered}) to '{part}' ({FORMAT}{groups})",
        parameters or {},
    ).fetchall()[0][0]
    digest = _publish(part, target)
    first, last = days if days else (None, None)
    return NewFile(dataset, partition_name, str(target.relative_to(folder())), rows, digest, first, last)


def _publish(part: Path, target: Path) -> str:
    """Make a finished file durable under its name; its SHA-256."""
    digest = _digest(part)
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.rename(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return digest


@contextmanager
def the_commit_lock() -> Iterator[None]:
    """One transaction that no other committing process can be in at the same time.

    SQLite: transactions begin IMMEDIATE (settings). PostgreSQL: an advisory lock to the transaction's end.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        yield


def commit(
    replaces: Sequence[NewFile] = (),
    adds: Sequence[NewFile] = (),
    ends: Sequence[Partition] = (),
    *,
    computed_from: int,
    note: str = "",
    beside: Callable[[int], None] | None = None,
    unchanged: Sequence[Partition] = (),
) -> int:
    """Put files in force, in place of what their partitions held (`replaces`) or beside it (`adds`).

    `ends` empties partitions; `unchanged` names partitions that were only read, and must not have
    changed either; `beside` saves the Django rows that belong to the files, in the same transaction,
    and is given the new snapshot's number. Readers see all of it or none of it.
    Raises Overtaken where one of the partitions has changed since `computed_from`: compute again.
    """
    replaced = {Partition(file.dataset, file.partition) for file in replaces} | set(ends)
    touched = replaced | {Partition(file.dataset, file.partition) for file in adds} | set(unchanged)
    with the_commit_lock():
        _require_unchanged(touched, computed_from)
        number = manifest.latest(folder()) + 1
        Snapshot.objects.create(id=number, note=note)
        for dataset, names in _by_dataset(replaced).items():
            ManifestFile.objects.filter(dataset=dataset, partition__in=names, until_snapshot=None).update(
                until_snapshot=number
            )
        ManifestFile.objects.bulk_create(
            ManifestFile(
                dataset=file.dataset,
                partition=file.partition,
                path=file.path,
                rows=file.rows,
                sha256=file.sha256,
                first_day=file.first_day,
                last_day=file.last_day,
                since_snapshot=number,
            )
            for file in [*replaces, *adds]
        )
        if beside:
            beside(number)
    return number


def _by_dataset(partitions: Iterable[Partition]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for one in partitions:
        grouped.setdefault(one.dataset, []).append(one.name)
    return grouped


def _require_unchanged(partitions: Iterable[Partition], computed_from: int) -> None:
    for dataset, names in _by_dataset(partitions).items():
        changed = (
            ManifestFile.objects.filter(dataset=dataset, partition__in=names)
            .filter(Q(since_snapshot__gt=computed_from) | Q(until_snapshot__gt=computed_from))
            .values_list("partition", flat=True)
            .first()
        )
        if changed is not None:
            raise Overtaken(f"{dataset} {changed} has changed since snapshot {computed_from}")
