"""The canonical request log: JSON lines, or the same columns in CSV or Parquet. Prompts are never read."""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb

from ingest.formats import tables
from ingest.formats.lines import MARK, numbered_lines, read_ahead
from ingest.formats.plain import Parted, parted
from ingest.formats.tables import Table, literal, require_columns
from ingest.sources.files import InputFile, Unreadable

REQUIRED = ("request_id", "timestamp", "model")
TEXTS = (
    *"request_id model model_version feature tenant team environment region endpoint provider project".split(),
    *"host resource_id namespace pod status cached".split(),
)
# Read as values too, each by the macro (of ingest.formats.values) of this name.
VALUES = {
    "timestamp": "moment",
    **dict.fromkeys(
        ("input_tokens", "cached_input_tokens", "output_tokens", "batch_size", "predictions"), "whole"
    ),
    **dict.fromkeys(("gpu_ms", "latency_ms", "ttft_ms", "queue_ms"), "micro"),
    "value": "money",
    "gpu_uuid": "names",
}
FIELDS = (*TEXTS, *VALUES)
REMARKED = tuple(field for field in VALUES if field != "timestamp")  # texts that only tell what is wrong


# A number with more digits than a double keeps, and what stands around it as the value of a member.
LONG_NUMBER = literal(r":\s*-?[0-9.]{16}")
LONG_NUMBERS = literal(r"(:\s*)(-?[0-9.]{16,}(?:[eE][+-]?[0-9]+)?)(\s*[,}])")
FIRST = "first_line"  # of rows that are read again
FIRST_LINES = f"(from log_lines semi join {FIRST} using (line))"


@dataclass(frozen=True)
class LogPiece:
    """SQL of some of a log's rows, and in how many of them each field is that we do not know (0: not counted).

    A row is file, line, malformed, each field as text, and `FIELD_value` of those in VALUES.
    `first`: of the rows that the table FIRST (file, line) names. `lacks`: fields that no row has.
    """

    text: str
    first: str
    lacks: Set[str]
    unknown: dict[str, int]
    packed: int


def form(file: InputFile) -> str:
    """jsonl, csv or parquet."""
    if file.is_parquet:
        return "parquet"
    return "jsonl" if file.start(64).removeprefix(MARK).lstrip()[:1] in (b"{", b"[") else "csv"


def pieces(con: duckdb.DuckDBPyConnection, files: Sequence[InputFile], spool: Path) -> Iterator[LogPiece]:
    """A log's files, piece by piece; each must be used before the next is asked for."""
    for is_lines, some in groupby(files, lambda file: form(file) == "jsonl"):
        if is_lines:
            for file in some:
                yield from _lines(con, file)
        else:
            for piece in tables.pieces(con, list(some), spool):
                yield _rows(piece.table, piece.files[0].name, piece.packed)


def _lines(con: duckdb.DuckDBPyConnection, file: InputFile) -> Iterator[LogPiece]:
    """One JSON object a line."""
    if file.start(64).removeprefix(MARK).lstrip()[:1] == b"[":
        raise Unreadable(f"{file.name}, line 1: this is a JSON list; expected one JSON object a line")
    macros = {field: VALUES.get(field) for field in FIELDS}
    for part in read_ahead(parted(numbered_lines(file), macros)):
        if part.plain.num_rows:
            con.register("log_lines", part.plain)
            packed = 0 if part.others.num_rows else part.packed
            lacks = set(FIELDS) - part.kinds.keys()
            yield LogPiece(
                _plain(file, part, "log_lines"), _plain(file, part, FIRST_LINES), lacks, {}, packed
            )
            con.unregister("log_lines")
        if part.others.num_rows:
            con.register("log_lines", part.others)
            yield _others(con, file, part.packed)
            con.unregister("log_lines")


def _plain(file: InputFile, part: Parted, lines: str) -> str:
    """Plain lines: a number or a list is read as one, and its text is not asked for."""
    kinds = part.kinds
    texts = {field: f"request.{field}" for field in kinds if kinds[field].type == "VARCHAR"}
    values = {field: kinds[field].value.format(f"request.{field}") for field in VALUES if field in kinds}
    return (
        f"select {literal(file.name)} as file, line, null::varchar as malformed, {_cells(texts, values)} "
        f"from (select line, json_transform(text, {literal(part.shape)}) as request from {lines})"
    )


def _others(con: duckdb.DuckDBPyConnection, file: InputFile, packed: int) -> LogPiece:
    valid = "true"
    try:
        members = _members(con, valid)
    except duckdb.InvalidInputException:  # some line is no JSON; to ask each costs a fifth more
        valid = "json_valid(text)"
        members = _members(con, valid)
    told = [field for field in FIELDS if field in members]
    unknown = {field: rows for field, rows in members.items() if field not in FIELDS}
    return LogPiece(
        _objects(file, valid, told, "log_lines"),
        _objects(file, valid, told, FIRST_LINES),
        set(FIELDS).difference(told),
        unknown,
        packed,
    )


def _objects(file: InputFile, valid: str, told: Sequence[str], lines: str) -> str:
    """A line is parsed once, for the fields that are told of.

    DuckDB's JSON numbers are doubles: those with more digits are made texts before.
    """
    shape = literal(json.dumps(dict.fromkeys(told or FIELDS, "VARCHAR")))
    quoted = f"regexp_replace(text, {LONG_NUMBERS}, '\\1\"\\2\"\\3', 'g')"
    texts = {field: f"request.{field}" for field in told}
    values = {field: f"{VALUES[field]}({text})" for field, text in texts.items() if field in VALUES}
    return (
        f"select {literal(file.name)} as file, line, "
        f"case when request is null then 'the line is no JSON object' end as malformed, {_cells(texts, values)} from ("
        f"select line, case when {valid} then json_transform("
        f"case when json_valid(quoted) then quoted else text end, {shape}) end as request from ("
        f"select line, text, case when regexp_matches(text, {LONG_NUMBER}) then {quoted} end as quoted from {lines}))"
    )


def _cells(texts: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Every field's text and value, NULL where there is none."""
    return ", ".join(
        [
            *(f"{texts.get(field, 'null::varchar')} as {field}" for field in FIELDS),
            *(
                f"{values.get(field, f'{macro}(null::varchar)')} as {field}_value"
                for field, macro in VALUES.items()
            ),
        ]
    )


def _members(con: duckdb.DuckDBPyConnection, valid: str) -> dict[str, int]:
    """In how many lines each member is. Most lines have the same: they are counted together."""
    found = con.execute(
        "select field, sum(rows)::bigint from (select unnest(keys) as field, rows from ("
        "select any_value(keys) as keys, count(*) as rows from "
        f"(select json_keys(text) as keys from log_lines where {valid}) group by hash(keys))) "
        "group by field"
    ).fetchall()
    return dict(found)


def _rows(table: Table, name: str, packed: int) -> LogPiece:
    require_columns(table, name, *REQUIRED)
    found = {field: table.find(field) for field in FIELDS}
    cells = ", ".join(
        [
            *(
                f"{table.text(column) if column else 'null::varchar'} as {field}"
                for field, column in found.items()
                if field not in REMARKED
            ),
            *(f"{table.remark(found[field], VALUES[field])} as {field}" for field in REMARKED),
            *(f"{table.value(found[field], macro)} as {field}_value" for field, macro in VALUES.items()),
        ]
    )
    known = set(found.values())
    text = f'select "#file" as file, "#line" as line, "#malformed" as malformed, {cells} from ({table.sql})'
    return LogPiece(
        text,
        f"from ({text}) semi join {FIRST} using (file, line)",
        {field for field, column in found.items() if column is None},
        {column: 0 for column in table.columns if column not in known},
        packed,
    )
