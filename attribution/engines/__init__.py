"""Where single requests are looked at: in this process, or on the cluster that FINOPS_ENGINE names.

`world.py` says which files a day's requests are; `rollup.py` asks an engine about them, and what it answers is small.
Every engine answers the same SQL over integers, so each gives the same digits.
"""

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from duckdb import DuckDBPyConnection

from attribution.engines.cluster import Cluster
from attribution.engines.duckdb import DuckDB
from attribution.engines.engine import Engine, TooLarge, Unreachable
from finops.core import warehouse

__all__ = ["DuckDB", "Engine", "TooLarge", "Unreachable", "engine_of"]


def engine_of(con: DuckDBPyConnection, files: Sequence[Path]) -> Engine:
    """The engine of the settings over a day's requests.

    `files`: what the view `requests` of the connection reads; none where its rows are in no file, which DuckDB alone has.
    """
    if not files or settings.FINOPS_ENGINE == "duckdb":
        return DuckDB(con)
    # The cluster may know the folder, or the bucket that it shows, by another name.
    there = settings.FINOPS_ENGINE_FILES or str(warehouse.folder())
    requests = [f"{there}/{path.relative_to(warehouse.folder())}" for path in files]
    if settings.FINOPS_ENGINE == "daft":
        from attribution.engines import daft

        return Cluster(con, daft.Day(requests))
    from attribution.engines import spark

    return Cluster(con, spark.Day(requests))
