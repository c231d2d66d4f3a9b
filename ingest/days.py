"""What requests and GPU samples share: kept by (source, UTC day), added beside what a day has already.

Files are read piece by piece into one table. As often as that is full its rows go into files of the
warehouse, one a day. Where no row repeats another, nor one in force, these are what the commit adds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TypeVar

import duckdb
from django.conf import settings

from finops.core import warehouse
from finops.core.datasets import DATASETS
from finops.core.models import ManifestFile
from finops.core.warehouse import NewFile
from ingest.formats.tables import literal
from ingest.loading import Change, Context, Staged, remove, sql
from ingest.sources.files import InputFile, Unreadable

ROWS_HELD = 600_000  # rows of pieces, before they go into files
ROWS_IN_FILE = 2_000_000  # a day with more is written in parts
SMALL_FILE = 100_000  # rows; a day's files of fewer …
MANY_FILES = 24  # … are written anew as one where they are more than this
WRITERS = 2  # threads at most, each with the sort of a day in memory
PIECE = {"file": "VARCHAR", "line": "BIGINT", "reason": "VARCHAR"}  # what the table `piece` has of each row

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Piece:
    """SQL of some files' rows as the loader's `rows` reads them, and how many bytes of the files they were."""

    text: str
    packed: int
    first: str = ""  # SQL of few of them, where the loader reads some again
    same: Mapping[str, str] = field(default_factory=dict)  # columns with one value in all of them, as SQL


@dataclass
class _Day:
    """What a delivery brings for one day, and what was made of it beside the files in force then."""

    brought: list[NewFile] = field(default_factory=list)
    beside: tuple[int, ...] | None = None
    adds: list[NewFile] = field(default_factory=list)
    replaces: list[NewFile] = field(default_factory=list)

    @property
    def files(self) -> list[NewFile]:
        """The files of rows that count: those of the day as a whole where it is written anew."""
        return self.replaces or self.adds


class DayLoader(ABC):
    """Loads a dataset kept by (source, day). Subclasses say how files are read and which rows repeat."""

    dataset: str
    reads: str  # the name under which `rows` reads a piece
    rows: str  # the .sql file that makes rows of it: file, line, reason, day and the dataset's columns
    derived: Mapping[str, str] = MappingProxyType({})  # columns that follow from a row's others, as SQL
    checked: Mapping[str, str] = MappingProxyType({})  # those of them that are not written, and their types
    order: tuple[str, ...] | None = None  # gives the dataset's order at less cost
    identity: tuple[str, ...]  # what two rows of a day that repeat one another have in common
    loses: str  # the .sql file that chooses, among `repeated` rows, the places of those that do not count
    # Datasets of what a day's rows name, each with the SQL of its rows out of {rows}.
    names: Mapping[str, str]

    def __init__(self) -> None:
        self.days: dict[date, _Day] = {}
        self.named: dict[tuple[str, date], tuple[tuple[str, ...], list[NewFile]]] = {}
        self.same: dict[str, str] | None = None  # of the rows held, as Piece.same; None: no row is held
        self.good = 0
        self.written: list[NewFile] = []

    @abstractmethod
    def form(self, file: InputFile) -> str:
        """What a file looks like, in the words of `--format`."""

    @abstractmethod
    def pieces(self, context: Context) -> Iterator[Piece]:
        """The delivery's rows; each piece is used before the next is asked for."""

    def notes(self) -> list[str]:
        """What else a person should know, when all pieces are read."""
        return []

    def stage(self, context: Context) -> Staged:
        con = context.con
        self._require_format(context)
        con.execute("set checkpoint_threshold = '1TB'")  # tables that live for seconds need no compression
        con.execute("create table delivered (file varchar, number integer)")
        con.executemany(
            "insert into delivered values (?, ?)", [[file.name, n] for n, file in enumerate(context.files)]
        )
        con.execute("create table unusable (file varchar, line bigint, reason varchar)")
        size = max(sum(file.size for file in context.files), 1)
        read = held = done = 0
        for piece in self.pieces(context):
            count = self.read(context, piece, held)
            read, held, done = read + count, held + count, done + piece.packed
            context.report(f"reading {context.delivery.kind}", read, share=min(done / size, 1))
            if held >= ROWS_HELD:
                self._flush(context)
                held = 0
        self._flush(context)
        bad = con.execute("select count(*) from unusable").fetchall()[0][0]
        self.good = read - bad
        return Staged(
            rows=self.good,
            bad_rows=bad,
            problems="select file, line, reason, false as loaded from unusable",
            notes=self.notes(),
            newest_day=max(self.days, default=None),
        )

    def _require_format(self, context: Context) -> None:
        wanted = context.delivery.format
        for file in context.files if wanted != "auto" else []:
            form = self.form(file)
            if form != wanted:
                raise Unreadable(f"{file.name}: this is {form}, and --format says {wanted}")

    def read(self, context: Context, piece: Piece, held: int) -> int:
        """Add a piece's rows to the table `piece`, which holds some already: how many they are.

        Seen through the view `piece_rows`, the rows have all columns, and their place.
        """
        columns = ", ".join(self._open(context, piece))
        (count,) = context.con.execute(
            f"insert into piece by name select {columns} from ({self.rows_of(context, piece.text)})"
        ).fetchall()[0]
        return int(count)

    def _open(self, context: Context, piece: Piece) -> list[str]:
        """Have a column in the table `piece` for all but what is the same in the rows that it holds and that come."""
        con = context.con
        kinds = {**PIECE, **DATASETS[self.dataset].columns, **self.checked}
        same = {"source": literal(context.source), "delivery": str(context.delivery.pk), **piece.same}
        if len(context.files) == 1:
            same["file"] = literal(context.files[0].name)
        before, self.same = self.same, {**same}
        if before is None:
            declared = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items() if name not in same)
            con.execute(f"create table piece ({declared})")
        else:
            self.same = {name: value for name, value in before.items() if same.get(name) == value}
            for name in before.keys() - self.same.keys():
                con.execute(f'alter table piece add column "{name}" {kinds[name]} default {before[name]}')
        shown = "".join(f', cast({value} as {kinds[name]}) as "{name}"' for name, value in self.same.items())
        con.execute(f"create or replace temp view piece_rows as select rowid as place, *{shown} from piece")
        return [name for name in kinds if name not in self.same]

    def rows_of(self, context: Context, text: str) -> str:
        """SQL of a piece's rows, with every column that we know of them."""
        derived = "".join(f", {sql} as {name}" for name, sql in self.derived.items())
        return (
            f"with {self.reads} as not materialized ({text}) "
            f"select *, {literal(context.source)} as source, {context.delivery.pk} as delivery{derived} "
            f"from ({sql(self.rows)})"
        )

    def _flush(self, context: Context) -> None:
        """Write what was read to files of its days, and hold nothing."""
        if self.same is None:
            return
        con, same = context.con, self.same
        con.execute("insert into unusable select file, line, reason from piece_rows where reason is not null")
        con.execute("delete from piece where reason is not null")
        days = con.execute(
            f"select day, count(*), count(distinct {self._hash}) from piece group by day order by day"
        ).fetchall()
        repeating = [day for day, rows, distinct in days if distinct < rows]
        if repeating:
            self._drop_repeats(con, repeating)

        def write(con: duckdb.DuckDBPyConnection, day: date) -> tuple[date, list[NewFile]]:
            partition = warehouse.partition(self.dataset, context.source, day)
            rows = f"from piece where day = date '{day}'"
            return day, [
                warehouse.write(
                    con, self.dataset, partition, rows, days=(day, day), order=self.order, same=same
                )
            ]

        for day, files in in_threads(con, write, [day for day, _, _ in days]):
            self.days.setdefault(day, _Day()).brought.extend(files)
            self.written += files
        con.execute("drop table piece")
        self.same = None

    @property
    def _hash(self) -> str:
        return f"hash({', '.join(self.identity)})"

    def _drop_repeats(self, con: duckdb.DuckDBPyConnection, days: Sequence[date]) -> None:
        listed = ", ".join(f"date '{day}'" for day in days)
        con.execute(
            f"create or replace temp view repeated as select * from piece_rows where day in ({listed}) "
            f"and (day, {self._hash}) in (select day, {self._hash} from piece where day in ({listed}) "
            "group by all having count(*) > 1)"
        )
        con.execute(f"delete from piece where rowid in (select place from ({sql(self.loses)}))")

    def change(self, context: Context, basis: int) -> Change:
        change = Change()
        known = in_force_by_day(self.dataset, context.source, list(self.days))
        for number, (day, new) in enumerate(self.days.items()):
            before = known[day]
            self._settle(context, day, new, before)
            change.adds += new.adds
            change.replaces += new.replaces
            change.rows += sum(file.rows for file in [*new.adds, *new.replaces])
            if new.replaces:
                change.rows -= sum(file.rows for file in before)
            context.report(f"checking {context.delivery.kind}", number + 1, len(self.days), "days")
        change.duplicate_rows = self.good - change.rows
        change.adds += self._new_names(context)
        return change

    def _settle(self, context: Context, day: date, new: _Day, before: Sequence[ManifestFile]) -> None:
        """What is to be added to the day, or the day as a whole where that is to be written anew."""
        state = tuple(file.pk for file in before)
        if new.beside == state:
            return
        remove([file for file in [*new.adds, *new.replaces] if file not in new.brought])
        new.beside, new.adds, new.replaces = state, list(new.brought), []
        if not before and len(new.brought) == 1:
            return
        con = context.con
        paths = {str(warehouse.folder() / file.path): file for file in new.brought}
        losing = self._losing(con, before, paths)
        together: list[ManifestFile | NewFile] = [*before, *new.brought]
        small = sum(file.rows < SMALL_FILE for file in together)
        if any(path not in paths for path in losing) or small > MANY_FILES:
            new.adds, new.replaces = [], self._without_losers(context, day, together)
            return
        for path in losing:
            new.adds.remove(paths[path])
            if paths[path].rows > losing[path]:
                new.adds += self._without_losers(context, day, [paths[path]])

    def _losing(
        self, con: duckdb.DuckDBPyConnection, before: Sequence[ManifestFile], brought: Iterable[str]
    ) -> dict[str, int]:
        """How many rows of each file do not count; they are in `loser` (file_path, file_row)."""
        _day_files(con, [*(str(warehouse.folder() / file.path) for file in before), *brought])
        if not before and self._all_differ(con):
            con.execute("create or replace table loser (file_path varchar, file_row bigint)")
            return {}
        new = ", ".join(literal(path) for path in brought)
        con.execute(
            f"create or replace temp table repeated_hash as select {self._hash} as hash from day_files "
            f"where {self._hash} in (select {self._hash} from day_files where file_path in ({new})) "
            "group by 1 having count(*) > 1"
        )
        con.execute(
            "create or replace temp view repeated as select {'path': file_path, 'row': file_row} as place, "
            f"* from day_files where {self._hash} in (select hash from repeated_hash)"
        )
        con.execute(
            "create or replace table loser as "
            f"select place.path as file_path, place.row as file_row from ({sql(self.loses)})"
        )
        return dict(con.execute("select file_path, count(*) from loser group by 1 order by 1").fetchall())

    def _all_differ(self, con: duckdb.DuckDBPyConnection) -> bool:
        ((differ,),) = con.execute(
            f"select count(*) = count(distinct {self._hash}) from day_files"
        ).fetchall()
        return bool(differ)

    def _without_losers(
        self, context: Context, day: date, files: Sequence[ManifestFile | NewFile]
    ) -> list[NewFile]:
        """The files' rows that count, as one file or, where they are many, as several of alike size."""
        con = context.con
        _day_files(con, [str(warehouse.folder() / file.path) for file in files])
        parts = -(-sum(file.rows for file in files) // ROWS_IN_FILE)
        partition = warehouse.partition(self.dataset, context.source, day)
        rows = "select * from day_files anti join loser using (file_path, file_row)"
        new = [
            warehouse.write(
                con,
                self.dataset,
                partition,
                f"{rows} where {self._hash} % {parts} = {part}" if parts > 1 else rows,
                days=(day, day),
            )
            for part in range(parts)
        ]
        self.written += new
        return new

    def _new_names(self, context: Context) -> list[NewFile]:
        """Files of the names that the rows that count give a day, and it does not have yet."""
        days = list(self.days)
        known = {
            (dataset, day): files
            for dataset in self.names
            for day, files in in_force_by_day(dataset, context.source, days).items()
        }
        states = {
            (dataset, day): (*(file.path for file in files), *(file.path for file in self.days[day].files))
            for (dataset, day), files in known.items()
        }
        changed = [one for one in known if one not in self.named or self.named[one][0] != states[one]]
        for one in changed:
            remove(self.named.pop(one)[1] if one in self.named else [])

        def write(
            con: duckdb.DuckDBPyConnection, one: tuple[str, date]
        ) -> tuple[tuple[str, date], list[NewFile]]:
            return one, self._names_of(con, context.source, *one, known[one])

        for one, files in in_threads(context.con, write, changed):
            self.named[one] = (states[one], files)
            self.written += files
        return [file for one in known for file in self.named[one][1]]

    def _names_of(
        self,
        con: duckdb.DuckDBPyConnection,
        source: str,
        dataset: str,
        day: date,
        known: Sequence[ManifestFile],
    ) -> list[NewFile]:
        """A file of the names that are new on a day; none where there are none."""
        if not self.days[day].files:
            return []
        before = f"known_{dataset}_{day:%Y%m%d}"
        warehouse.view(con, dataset, known, before)
        paths = ", ".join(literal(str(warehouse.folder() / file.path)) for file in self.days[day].files)
        rows = f"read_parquet([{paths}], hive_partitioning = false, union_by_name = true)"
        columns = ", ".join(DATASETS[dataset].columns)
        file = warehouse.write(
            con,
            dataset,
            warehouse.partition(dataset, source, day),
            f"select {columns} from ({self.names[dataset].format(rows=rows)}) except select {columns} from {before}",
            days=(day, day),
        )
        if file.rows:
            return [file]
        remove([file])
        return []

    def discard(self, kept: Sequence[NewFile]) -> None:
        """Delete what was written and is not in force."""
        paths = {file.path for file in kept}
        remove([file for file in self.written if file.path not in paths])


def _day_files(con: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> None:
    """Make the rows of files readable as `day_files`, each with its path and its row there."""
    listed = ", ".join(literal(path) for path in paths)
    con.execute(
        "create or replace temp view day_files as select * exclude (filename, file_row_number), filename as file_path, "
        f"file_row_number as file_row from read_parquet([{listed}], hive_partitioning = false, union_by_name = true, "
        "filename = true, file_row_number = true)"
    )


def in_threads(
    con: duckdb.DuckDBPyConnection,
    work: Callable[[duckdb.DuckDBPyConnection, Item], Result],
    items: Sequence[Item],
) -> list[Result]:
    """The work on each item, some at a time, each with a cursor of its own."""

    def one(item: Item) -> Result:
        cursor = con.cursor()
        try:
            return work(cursor, item)
        finally:
            cursor.close()

    with ThreadPoolExecutor(min(WRITERS, settings.FINOPS_CORES)) as pool:
        return list(pool.map(one, items))


def in_force_by_day(dataset: str, source: str, days: Sequence[date]) -> dict[date, list[ManifestFile]]:
    """The files that each day of a source has now."""
    names = {warehouse.partition(dataset, source, day): day for day in days}
    found: dict[date, list[ManifestFile]] = {day: [] for day in days}
    for file in warehouse.files(dataset, partitions=names):
        found[names[file.partition]].append(file)
    return found
