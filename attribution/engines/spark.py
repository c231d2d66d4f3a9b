"""Spark: in this process, or the cluster whose master is FINOPS_ENGINE_ADDRESS. sqlglot says DuckDB's SQL in its words."""

import sys
import threading
import warnings
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import sqlglot
from django.conf import settings
from pyspark import cloudpickle
from pyspark.errors import ArithmeticException
from pyspark.sql import DataFrame, SparkSession

from attribution import steps, sweep
from attribution.engines.engine import TooLarge, Unreachable, require_listening
from attribution.sweep import decoding_shares

_ALONE = "local[*]"
_connecting = threading.Lock()  # days run side by side, in one session


def _connect(address: str) -> SparkSession:
    """This process's session. What is not said here, `spark-defaults.conf` in SPARK_CONF_DIR does."""
    cloudpickle.register_pickle_by_value(sweep)  # the cluster's machines do not have this program
    master = address or _ALONE
    # It warns of every pandas that is newer than itself; nothing here is given to pandas.
    warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
    with _connecting:
        if master.startswith("spark://"):
            require_listening(master.partition(",")[0])  # Spark itself tries for a minute
        try:
            session = (
                SparkSession.builder.master(master)
                .appName("finops")
                .config("spark.sql.session.timeZone", "UTC")
                .config("spark.sql.ansi.enabled", "true")  # a sum beyond 64 bits is an error
                .config("spark.ui.enabled", "false")
                .config("spark.ui.showConsoleProgress", "false")
                .config("spark.log.level", "ERROR")
                .getOrCreate()
            )
        except Exception as error:
            raise Unreachable(master, str(error)) from error
        if master.startswith("local"):
            session.sparkContext.pythonExec = sys.executable  # elsewhere PYSPARK_PYTHON says which
    return session


def in_spark(sql: str) -> str:
    """The same query in Spark's words; an error where it has none."""
    queries: list[str] = sqlglot.transpile(
        sql, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    return queries[0]


class Day:
    """One day's requests in Spark."""

    def __init__(self, files: Sequence[str]) -> None:
        self._spark = _connect(settings.FINOPS_ENGINE_ADDRESS).newSession()  # its tables are its own
        requests = self._spark.read.option("mergeSchema", "true").parquet(*files)
        requests.createTempView("requests")
        self._query(steps.text("raw", microseconds="unix_micros(time)", which="true")).createTempView("raw")

    def _query(self, sql: str) -> DataFrame:
        return self._spark.sql(in_spark(sql))

    def add(self, name: str, rows: pa.Table) -> None:
        self._spark.createDataFrame(rows).createTempView(name)

    def rows(self, sql: str) -> pa.Table:
        try:
            return self._query(sql).toArrow()
        except ArithmeticException as error:  # seen by Spark before it could be proved
            raise TooLarge("a number or a sum left 64 bits") from error

    def add_decoded(self, sql: str) -> None:
        rows = self._query(sql)

        def shared(batch: pa.Table) -> pa.Table:
            start, end = (batch[name].to_numpy() for name in ("decode_start", "decode_end"))
            share = pa.array(decoding_shares(np.zeros_like(start), start, end))
            return batch.set_column(batch.column_names.index("share"), "share", share)

        rows.groupBy("batch").applyInArrow(shared, rows.schema).createTempView("decoded")
