"""What the roll-up asks of an engine."""

import socket
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import steps
from attribution.numbers import Survey
from finops.core.errors import FinopsError


class TooLarge(FinopsError):
    """A day's numbers could leave 64 bits in an engine that might not notice."""


class Unreachable(FinopsError):
    """The cluster of FINOPS_ENGINE_ADDRESS did not let us in."""

    def __init__(self, address: str, because: str) -> None:
        first = next((line for line in because.splitlines() if line.strip()), "it did not say why")
        super().__init__(f"FINOPS_ENGINE_ADDRESS={address} cannot be used: {first}")


def require_listening(address: str) -> None:
    """Raises Unreachable where an address that names a host and port has nobody behind it."""
    found = urlsplit(address if "://" in address else f"//{address}")
    try:
        if found.hostname and found.port:
            socket.create_connection((found.hostname, found.port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise Unreachable(address, str(error)) from error


class Engine(Protocol):
    """One day's requests, as `raw`, beside the small tables `placed` and `number` of the day's own DuckDB."""

    def ask(self, name: str) -> pa.Table:
        """The rows of a step that is one query over raw, placed and number."""
        ...

    def gather(self, swept: Mapping[int, int], survey: Survey, measures: Sequence[str]) -> None:
        """Leave the table `gathered` in the day's own DuckDB (gather.sql), with the sums of these measures.

        `swept`: the batches to be weighed by how alone their requests decode, each with how many decode in it.
        These have the sums of `batch_tokens` as well.
        Raises TooLarge, before anything is left.
        """
        ...


def decoding(swept: Mapping[int, int], survey: Survey) -> str:
    """SQL: the rows of `raw` that are weighed by how alone they decode in these batches."""
    asked = "row.timed and not row.cached"
    if sum(swept.values()) == survey.timed:  # then in which batch they are need not be asked
        return asked
    return f"{asked} and {steps.BATCH} in ({', '.join(map(str, swept))})"


def others(swept: Mapping[int, int], survey: Survey) -> str:
    """SQL: all other rows of `raw`."""
    return f"not ({decoding(swept, survey)})" if swept else "true"


# What is summed beside `gpu_ms`, by measure.
_WEIGHTS = {
    "batch_tokens": "batch_tokens",
    "list_price": "list_price",
    "tokens": "tokens",
    "latency_ms": "latency_micro_ms",
}


def open_gathered(con: DuckDBPyConnection) -> None:
    """The table `gathered` without rows; a sum that is not asked for stays NULL in it."""
    con.execute(f"create table gathered as {gather('raw', 'true', tuple(_WEIGHTS))} limit 0")


def gather(rows: str, which: str, measures: Sequence[str]) -> str:
    """SQL: gather.sql of a table's rows for which `which` holds, with the sums of these measures."""
    sums = []
    for measure in measures:
        weight = f"request.{_WEIGHTS[measure]}"
        sums.append(f", sum({weight}) as {measure}")
        if measure != "list_price":
            sums.append(f", sum({weight} // request.size) as part_{measure}")
    return steps.text("gather", rows=rows, which=which, sums="".join(sums))
