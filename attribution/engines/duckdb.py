"""The engine that needs nothing else: the day's own DuckDB."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import steps, sweep
from attribution.engines.engine import gather, open_gathered, others
from attribution.numbers import Survey


class DuckDB:
    """Reads the view `requests`. Memory does not grow with the number of requests."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self._con = con
        con.execute(f"create or replace view raw as {steps.text('raw', microseconds='epoch_us(time)')}")

    def ask(self, name: str) -> pa.Table:
        return self._con.sql(steps.text(name)).to_arrow_table()

    def gather(self, swept: Mapping[int, int], survey: Survey, measures: Sequence[str]) -> None:
        open_gathered(self._con)
        self._con.execute(f"insert into gathered by name {gather('raw', others(swept), measures)}")
        self.add_swept(swept, measures)

    def add_swept(self, swept: Mapping[int, int], measures: Sequence[str]) -> None:
        """Add to `gathered` the requests that decode in these batches."""
        for rows in sweep.batches(self._con, swept):
            self._con.register("decoded", rows)
            together = gather("decoded", "true", ("batch_tokens", *measures))
            self._con.execute(f"insert into gathered by name {together}")
            self._con.unregister("decoded")
