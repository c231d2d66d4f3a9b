"""Tables of named columns, in CSV or Parquet, read as text whatever a sniffer would guess."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.sources.files import InputFile, Unreadable, unpacked

DELIMITERS = ",;\t|"
TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
ROWS = 400_000  # of Parquet that are read together
WIDE_ROWS = 30_000  # of all that a bill or a log may have as text, in a row group: these are held in memory
LONGEST_RECORD = 4_000_000  # bytes of a CSV record; DuckDB holds some buffers of twice that
LARGE = 64_000_000  # bytes from which on a CSV file is taken apart


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Table:
    """A readable table: its columns with their types, and SQL that yields them beside `#file` and `#line`.

    A CSV file's lines are its records, the header being the first; a Parquet file's its rows, from 1.
    `#malformed` says what is wrong with a row as such, and is NULL where nothing is.
    """

    columns: dict[str, str]
    sql: str

    def find(self, *names: str) -> str | None:
        """The column with the first of these names that there is, whatever its case."""
        folded = {fold(column): column for column in reversed(self.columns)}
        return next((folded[name.casefold()] for name in names if name.casefold() in folded), None)

    def text(self, column: str) -> str:
        """SQL that reads a column as text: doubles in their shortest digits, maps and lists as JSON."""
        kind = self.columns[column]
        name = quoted(column)
        if kind == "VARCHAR":
            return name
        if re.match(r'STRUCT\("?key"? .*, "?value"? .*\)\[\]$', kind):
            return f"to_json(map_from_entries({name}))::varchar"
        if kind.endswith("]") or kind.startswith(("MAP", "STRUCT")) or kind == "JSON":
            return f"to_json({name})::varchar"
        return f"{name}::varchar"

    def remark(self, column: str | None, macro: str) -> str:
        """SQL of the text of a column that `value` reads, where the value may be missing and the text is not."""
        if column is None:
            return "null::varchar"
        if self.columns[column] == "VARCHAR":
            return self.text(column)
        if macro == "names" and self.columns[column] == "VARCHAR[]":
            return "null::varchar"
        return f"case when {self.value(column, macro)} is null then {self.text(column)} end"

    def value(self, column: str | None, macro: str) -> str:
        """SQL that reads a column by a macro of `values`; straight where its type needs no text."""
        if column is None:
            return f"{macro}(null::varchar)"
        name, kind = quoted(column), self.columns[column]
        if macro == "moment" and kind == "TIMESTAMP WITH TIME ZONE":
            return name
        if macro == "moment" and kind in TIMESTAMPS:
            return f"utc({name}::timestamp)"
        if macro == "whole" and kind in INTEGERS:
            return f"{name}::bigint"
        if macro == "micro" and kind in INTEGERS:
            return f"case when abs({name}) < 9000000000000 then {name}::bigint * 1000000 end"
        if macro == "money" and kind in INTEGERS:
            return f"{name}::decimal(38, 12)"
        if macro == "names" and kind == "VARCHAR[]":
            return f"sorted_names({name})"
        return f"{macro}(nullif({self.text(column)}, ''))"


def fold(column: str) -> str:
    return column.strip().strip("\ufeff").casefold()


def opened(con: duckdb.DuckDBPyConnection, file: InputFile, spool: Path) -> Table:
    """One CSV or Parquet file as a table."""
    if file.is_parquet:
        return _parquet(parquet_shape(con, file, spool)[0], [(file, unpacked(file, spool))])
    return _csv(file, unpacked(file, spool))


@dataclass(frozen=True)
class TablePiece:
    """Some rows of a delivery's tables, the files they are from, and how many of their bytes they were."""

    table: Table
    files: Sequence[InputFile]
    packed: int


def pieces(con: duckdb.DuckDBPyConnection, files: Sequence[InputFile], spool: Path) -> Iterator[TablePiece]:
    """CSV and Parquet files as tables of some hundred thousand rows: small ones together, large ones in parts."""
    together: list[tuple[InputFile, Path]] = []
    shape: dict[str, str] = {}
    rows = 0
    for file in files:
        if not file.is_parquet:
            yield from _csv_pieces(con, file, spool)
            continue
        columns, count = parquet_shape(con, file, spool)
        if together and (columns != shape or rows + count > ROWS):
            yield _together(shape, together)
            together, rows = [], 0
        path = unpacked(file, spool)
        if count > ROWS:
            yield from _parts(file, path, columns, count)
        else:
            together.append((file, path))
            shape, rows = columns, rows + count
    if together:
        yield _together(shape, together)


def _together(columns: dict[str, str], files: Sequence[tuple[InputFile, Path]]) -> TablePiece:
    sources = [file for file, _ in files]
    return TablePiece(_parquet(columns, files), sources, sum(file.size for file in sources))


def _parts(file: InputFile, path: Path, columns: dict[str, str], rows: int) -> Iterator[TablePiece]:
    for condition, packed in _ranges(file, rows):
        yield TablePiece(_parquet(columns, [(file, path)], condition), [file], packed)


def _csv_pieces(con: duckdb.DuckDBPyConnection, file: InputFile, spool: Path) -> Iterator[TablePiece]:
    """A CSV file as a whole, or, where it is large, by way of a Parquet file of its texts."""
    path = unpacked(file, spool)
    table = _csv(file, path)
    if path.stat().st_size <= LARGE:
        yield TablePiece(table, [file], file.size)
        return
    copy = spool / f"{file.sha256}.parquet"
    (rows,) = con.execute(
        f"copy ({table.sql}) to {literal(str(copy))} (format parquet, row_group_size {WIDE_ROWS})"
    ).fetchall()[0]
    for condition, packed in _ranges(file, rows):
        part = f"select * from read_parquet({literal(str(copy))}, file_row_number = true) {condition}"
        yield TablePiece(Table(table.columns, part), [file], packed)
    copy.unlink()


def _ranges(file: InputFile, rows: int) -> Iterator[tuple[str, int]]:
    """Conditions that cut a Parquet file's rows into parts, and how much of the file each is."""
    parts = -(-rows // ROWS)
    for part in range(parts):
        first, end = rows * part // parts, rows * (part + 1) // parts
        yield f"where file_row_number >= {first} and file_row_number < {end}", file.size // parts


def _parquet(columns: dict[str, str], files: Sequence[tuple[InputFile, Path]], condition: str = "") -> Table:
    paths = ", ".join(literal(str(path)) for _, path in files)
    names = ", ".join(f"({literal(str(path))}, {literal(file.name)})" for file, path in files)
    return Table(
        columns,
        'select "#table".*, "#table".file_row_number + 1 as "#line", "#names".name as "#file", '
        f'null::varchar as "#malformed" from read_parquet([{paths}], hive_partitioning = false, '
        'binary_as_string = true, file_row_number = true, filename = true) as "#table" '
        f'join (values {names}) as "#names" (path, name) on "#table".filename = "#names".path {condition}',
    )


def parquet_shape(con: duckdb.DuckDBPyConnection, file: InputFile, spool: Path) -> tuple[dict[str, str], int]:
    """A Parquet file's columns with their types, and how many rows it has."""
    path = literal(str(unpacked(file, spool)))
    try:
        found = con.execute(
            f"describe select * from read_parquet({path}, hive_partitioning = false, binary_as_string = true)"
        ).fetchall()
        (rows,) = con.execute(f"select num_rows from parquet_file_metadata({path})").fetchall()[0]
    except duckdb.Error as error:
        raise Unreadable(f"{file.name}: the Parquet file cannot be read: {first_line(error)}") from error
    return {name: kind for name, kind, *_ in found}, rows


def first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _csv(file: InputFile, path: Path) -> Table:
    header, delimiter = csv_header(file, path)
    columns: dict[str, str] = {}
    for position, name in enumerate(header):
        name = name.strip() or f"column {position + 1}"
        while fold(name) in {fold(column) for column in columns}:
            name = f"{name} ({position + 1})"
        columns[name] = "VARCHAR"
    declared = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in [*columns, "#overflow"])
    return Table(
        columns,
        f'select *, row_number() over () + 1 as "#line", {literal(file.name)} as "#file", '
        "case when trim(\"#overflow\") <> '' then 'the row has more values than the header has columns' end "
        'as "#malformed" '
        f"from read_csv({literal(str(path))}, auto_detect = false, header = true, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', strict_mode = false, null_padding = true, "
        f"parallel = false, max_line_size = {LONGEST_RECORD}, buffer_size = {2 * LONGEST_RECORD}, columns = {{{declared}}})",
    )


def csv_header(file: InputFile, path: Path) -> tuple[list[str], str]:
    """The names in a CSV file's first line, and what stands between them."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        first = stream.readline(LONGEST_RECORD)
        while first and not first.strip():
            first = stream.readline(LONGEST_RECORD)
    if not first:
        raise Unreadable(f"{file.name}: the file is empty; expected a header line and rows")
    delimiter = max(DELIMITERS, key=lambda mark: (first.count(mark), mark == ","))
    return next(csv.reader(io.StringIO(first), delimiter=delimiter)), delimiter


def require_columns(table: Table, name: str, *wanted: str) -> None:
    """Raises Unreadable where a table lacks a column it cannot do without."""
    missing = [column for column in wanted if table.find(column) is None]
    if missing:
        shown = ", ".join(list(table.columns)[:8])
        raise Unreadable(
            f"{name}, line 1: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
            f"found the columns {shown[:300]}"
        )
