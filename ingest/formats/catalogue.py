"""The small tables people keep: hosts, owners and currency rates, in CSV or Parquet."""

from pathlib import Path

import duckdb

from ingest.formats.tables import opened, require_columns
from ingest.sources.files import InputFile

REQUIRED = {
    "hosts": ("host", "resource_id"),
    "owners": ("kind", "name", "team"),
    "rates": ("date", "currency", "rate"),
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    "hosts": ("valid_from", "valid_to"),
    "owners": ("cost_center", "owner_email", "valid_from", "valid_to"),
    "rates": (),
}


def catalogue_text(con: duckdb.DuckDBPyConnection, kind: str, file: InputFile, spool: Path) -> str:
    """SQL of a file's rows: file, line, malformed and each column as trimmed text, NULL where empty."""
    table = opened(con, file, spool)
    require_columns(table, file.name, *REQUIRED[kind])
    cells = []
    for name in (*REQUIRED[kind], *OPTIONAL[kind]):
        found = table.find(name)
        cells.append(
            f"{f'nullif(trim({table.text(found)}), {chr(39) * 2})' if found else 'null::varchar'} as {name}"
        )
    return (
        'select "#file" as file, "#line" as line, "#malformed" as malformed, '
        f"{', '.join(cells)} from ({table.sql})"
    )
