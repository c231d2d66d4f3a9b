"""Daft: in this process, or on the Ray cluster at FINOPS_ENGINE_ADDRESS. It reads the same SQL as DuckDB."""

import threading
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
from django.conf import settings

from attribution import steps, sweep
from attribution.engines.engine import Unreachable, require_listening
from attribution.sweep import decoding_shares
from finops.core import env

env.preset("DO_NOT_TRACK", "true")  # else Daft tells its makers of every start

import daft  # noqa: E402
import ray  # noqa: E402
from daft.pickle import cloudpickle  # noqa: E402

# Days run side by side, and Daft on Ray ends a query where another thread begins one.
_one_at_a_time = threading.Lock()


@cache
def _connect(address: str) -> None:
    """Once a process: Daft keeps its first runner."""
    cloudpickle.register_pickle_by_value(sweep)  # the cluster's machines do not have this program
    if not address:
        daft.set_runner_native()
        return
    require_listening(address)  # Ray itself tries for many minutes
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise Unreachable(address, str(error)) from error
    daft.set_runner_ray(noop_if_initialized=True)


class Day:
    """One day's requests in Daft."""

    def __init__(self, files: Sequence[str]) -> None:
        with _one_at_a_time:
            _connect(settings.FINOPS_ENGINE_ADDRESS)
        self._tables = {"requests": daft.read_parquet(list(files))}
        self._tables["raw"] = self._query(
            steps.text("raw", microseconds="cast(time as bigint)", which="true")
        )

    def _query(self, sql: str) -> daft.DataFrame:
        return daft.sql(sql, register_globals=False, **self._tables)

    def add(self, name: str, rows: pa.Table) -> None:
        self._tables[name] = daft.from_arrow(rows)

    def rows(self, sql: str) -> pa.Table:
        query = self._query(sql)
        with _one_at_a_time:
            return query.to_arrow()

    def add_decoded(self, sql: str) -> None:
        rows = self._query(sql)
        kinds = {column.name: column.dtype for column in rows.schema() if column.name != "batch"}

        def shared(*columns: daft.Series) -> pa.StructArray:
            found = {name: column.to_arrow() for name, column in zip(kinds, columns, strict=True)}
            start, end = (found[name].to_numpy() for name in ("decode_start", "decode_end"))
            found["share"] = pa.array(decoding_shares(np.zeros_like(start), start, end))
            return pa.StructArray.from_arrays(list(found.values()), names=list(found))

        share = daft.func.batch(return_dtype=daft.DataType.struct(kinds))(shared)
        of_batch = rows.groupby("batch").map_groups(share(*(rows[name] for name in kinds)).alias("request"))
        self._tables["decoded"] = of_batch.select(
            *(daft.col("request").get(name).alias(name) for name in kinds)
        )
