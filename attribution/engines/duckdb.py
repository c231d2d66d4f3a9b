"""The engine that needs nothing else: the day's own DuckDB."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import steps
from attribution.engines.engine import decoding, gather, open_gathered, others
from attribution.numbers import Survey
from attribution.sweep import swept as sweep

ROWS = 400_000  # that are swept together: some 120 MB
_MINUTE = 60 * 10**6  # microseconds


class DuckDB:
    """Reads the view `requests`. Memory does not grow with the number of requests."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self._con = con
        con.execute(f"create or replace view raw as {_raw('true')}")

    def ask(self, name: str) -> pa.Table:
        return self._con.sql(steps.text(name)).to_arrow_table()

    def gather(self, swept: Mapping[int, int], survey: Survey, measures: Sequence[str]) -> None:
        open_gathered(self._con)
        self._con.execute(f"insert into gathered by name {gather('raw', others(swept, survey), measures)}")
        if swept:
            self.add_swept(swept, survey, measures)

    def add_swept(self, swept: Mapping[int, int], survey: Survey, measures: Sequence[str]) -> None:
        """Add to `gathered` the requests that decode in these batches."""
        together = gather("decoded", "row.done", ("batch_tokens", *measures))
        for rows in sweep(as_asked(self._con, decoding(swept, survey))):
            self._con.register("decoded", rows)
            self._con.execute(f"insert into gathered by name {together}")
            self._con.unregister("decoded")


def as_asked(con: DuckDBPyConnection, which: str, rows: int = ROWS) -> Iterator[tuple[pa.Table, int]]:
    """The rows of `raw` for which `which` holds, each with its `batch`, as they were asked, about so many at a time.

    Each part comes with the moment (microseconds) from which on those after it were asked, and so decode.
    """
    raw = _raw("time >= make_timestamptz($first) and time < make_timestamptz($until)")
    query = f"select * exclude (share) from ({steps.text('decoding_rows', rows=f'({raw})', which=which)})"
    for first, until in pairwise(_moments(con, rows)):
        yield con.sql(query, params={"first": first, "until": until}).to_arrow_table(), until


def _moments(con: DuckDBPyConnection, rows: int) -> list[int]:
    """Full minutes, between two of which about so many requests were asked; before the first and after the last, none."""
    minutes = con.execute(
        "select epoch_us(time) // $minute * $minute as start, count(*) from requests group by start order by start",
        {"minute": _MINUTE},
    ).fetchall()
    moments: list[int] = []
    held = 0
    for start, count in minutes:
        if not moments or held + count > rows:
            moments.append(start)
            held = 0
        held += count
    return [*moments, minutes[-1][0] + _MINUTE] if minutes else []


def _raw(which: str) -> str:
    return steps.text("raw", microseconds="epoch_us(time)", which=which)
