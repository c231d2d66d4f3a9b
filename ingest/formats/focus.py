"""FOCUS 1.0 to 1.3, in CSV or Parquet: any column may be missing but the costs and the charge period."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from finops.core import focus
from ingest.formats import tables
from ingest.formats.tables import Table, literal, require_columns
from ingest.sources.files import InputFile

REQUIRED = ("BilledCost", "EffectiveCost", "ChargePeriodStart", "ChargePeriodEnd")


@dataclass(frozen=True)
class BillPiece:
    """SQL of some rows: file, line, malformed, each FOCUS column as text, and the others in `extra`."""

    text: str
    packed: int


def pieces(con: duckdb.DuckDBPyConnection, files: Sequence[InputFile], spool: Path) -> Iterator[BillPiece]:
    """A bill's files, piece by piece."""
    for piece in tables.pieces(con, files, spool):
        yield BillPiece(_text(piece.table, piece.files[0].name), piece.packed)


def _text(table: Table, name: str) -> str:
    require_columns(table, name, *REQUIRED)
    known = {column: table.find(column) for column in focus.COLUMNS}
    cells = [
        f"{f'present({table.text(found)})' if found else 'null::varchar'} as {focus.SNAKE[column]}"
        for column, found in known.items()
    ]
    return (
        'select "#file" as file, "#line" as line, "#malformed" as malformed, '
        f"{', '.join(cells)}, {_extra(table, {name for name in known.values() if name})} as extra "
        f"from ({table.sql})"
    )


def _extra(table: Table, known: set[str]) -> str:
    """The columns that FOCUS does not know, as one JSON object without its empty members."""
    pairs = [
        f"{literal(column)}, present({table.text(column)})" for column in table.columns if column not in known
    ]
    if not pairs:
        return "null::varchar"
    return f"nullif(json_merge_patch('{{}}', json_object({', '.join(pairs)}))::varchar, '{{}}')"
