"""A day's requests on a cluster: the same SQL, and the proof that its 64 bits were enough."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection

from attribution import numbers, steps
from attribution.engines.duckdb import DuckDB
from attribution.engines.engine import TooLarge, decoding, gather, open_gathered, others
from attribution.numbers import LARGEST, Survey

# One worker sweeps a batch, in memory, at about 300 bytes a row; a larger one is swept here, in stretches.
ROWS_OF_A_BATCH = 20_000_000
_LARGEST_VALUE = 10**26 - 1  # a DECIMAL(38,12)
_SMALL = ("placed", "number")


class Tables(Protocol):
    """A day's tables on a cluster; `raw` is there from the start."""

    def add(self, name: str, rows: pa.Table) -> None: ...

    def rows(self, sql: str) -> pa.Table:
        """The rows of a query in DuckDB's words."""
        ...

    def add_decoded(self, sql: str) -> None:
        """The query's rows as `decoded`, with their `share`: each `batch` is swept by itself (sweep.py)."""
        ...


class Cluster:
    """Looks at single requests on a cluster; what is small is brought there from the day's DuckDB, and back."""

    def __init__(self, con: DuckDBPyConnection, tables: Tables) -> None:
        self._con = con
        self._local = DuckDB(con)
        self._tables = tables
        self._brought: set[str] = set()

    def ask(self, name: str) -> pa.Table:
        return self._rows(steps.text(name))

    def _rows(self, sql: str) -> pa.Table:
        for name in _SMALL:
            if name not in self._brought and f"join {name} " in sql:
                self._tables.add(name, self._con.sql(f"from {name}").to_arrow_table())
                self._brought.add(name)
        return self._tables.rows(sql)

    def gather(self, swept: Mapping[int, int], survey: Survey, measures: Sequence[str]) -> None:
        limits = self._limits(survey)
        parts = [self._rows(gather("raw", others(swept, survey), measures))]
        there = {batch: rows for batch, rows in swept.items() if rows <= ROWS_OF_A_BATCH}
        if there:
            self._tables.add_decoded(steps.text("decoding_rows", rows="raw", which=decoding(there, survey)))
            parts.append(self._rows(gather("decoded", "true", ("batch_tokens", *measures))))
        _require_exact(parts, limits, survey)
        open_gathered(self._con)
        for part in parts:
            self._con.register("gathered_there", part)
            self._con.execute("insert into gathered by name from gathered_there")
            self._con.unregister("gathered_there")
        here = {batch: rows for batch, rows in swept.items() if batch not in there}
        if here:
            self._local.add_swept(here, survey, measures)

    def _limits(self, survey: Survey) -> dict[str, int]:
        """By what is summed, how much one request can add to it.

        Raises TooLarge where a weight is computed from more than 64 bits.
        """
        limits = {
            name: getattr(survey, name)
            for name in (
                "predictions", "input_tokens", "cached_input_tokens", "output_tokens", "gpu_ms", "latency_ms",
            )
        }  # fmt: skip
        columns = ", ".join((*numbers.TOKEN_NUMBERS, *numbers.PRICE_NUMBERS))
        for row in self._con.sql(f"select distinct {columns} from number").to_arrow_table().to_pylist():
            one = {name: int(number) for name, number in row.items() if number is not None}
            for measure, (rounded_from, weight) in numbers.heaviest(one, survey).items():
                if rounded_from > LARGEST:
                    raise TooLarge(f"a weight by {measure} could leave 64 bits")
                limits[measure] = max(limits.get(measure, 0), weight)
        return limits


def _require_exact(parts: list[pa.Table], limits: Mapping[str, int], survey: Survey) -> None:
    """No sum can have left 64 bits: none is of more requests than the largest row of `gathered` has."""
    most = max((pc.max(part["requests"]).as_py() or 0 for part in parts), default=0)
    for name, limit in limits.items():
        if most * limit > LARGEST:
            raise TooLarge(f"the {name} of {most:,} requests, summed up, could leave 64 bits")
    if most * (int(max(survey.value, -survey.least_value)) + 1) > _LARGEST_VALUE:
        raise TooLarge(f"the values of {most:,} requests, summed up, could leave 38 digits")
