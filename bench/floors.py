"""What the machine needs at least: the same columns read once, the same file copied. CPU seconds, by DuckDB alone.

`python -m bench.floors NAME FOLDER` prints one of them, of a folder that `bench.sample` wrote.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from bench.sample import find

# What attribution needs of a request, as the log has it.
TEXTS = ("model", "model_version", "feature", "tenant", "environment", "region", "host", "status")
NUMBERS = ("input_tokens", "cached_input_tokens", "output_tokens", "latency_ms", "ttft_ms")


def read_once(files: Sequence[Path], gpu_ms: bool) -> float:
    """Sums of the numbers, lengths of the texts: a `max` would be answered from statistics."""
    numbers = (*NUMBERS, "gpu_ms") if gpu_ms else NUMBERS
    asked = [
        *(f"sum(length({name}))" for name in TEXTS),
        *(f"sum({name})" for name in numbers),
        "sum(epoch_us(timestamp))",
        "sum(len(gpu_uuid))",
        "sum(length(gpu_uuid[1]))",
        "count(*) filter (where cached)",
    ]
    return _cpu(*(f"select {', '.join(asked)} from '{file}'" for file in files))


def copy(files: Sequence[Path]) -> float:
    """Parquet to Parquet, day by day, compressed as the warehouse is."""
    with tempfile.TemporaryDirectory(dir=files[0].parent) as out:
        form = "format parquet, compression zstd, compression_level 1"
        return _cpu(*(f"copy (from '{file}') to '{out}/copy' ({form})" for file in files))


def read_lines(files: Sequence[Path]) -> float:
    """JSON lines to a table in memory, with the types told."""
    kinds = {
        **dict.fromkeys(("request_id", *TEXTS), "varchar"),
        **dict.fromkeys(NUMBERS, "bigint"),
        "gpu_ms": "bigint",
        "timestamp": "timestamptz",
        "gpu_uuid": "varchar[]",
        "cached": "boolean",
    }
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in kinds.items())
    return _cpu(
        *(
            "create or replace temp table log as "
            f"from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"
            for file in files
        )
    )


FLOORS = {
    "read": lambda files: read_once(files, gpu_ms=False),
    "read with gpu_ms": lambda files: read_once(files, gpu_ms=True),
    "copy": copy,
    "lines": read_lines,
}


def _cpu(*statements: str) -> float:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        started = time.process_time()
        for statement in statements:
            con.execute(statement).fetchall()
        return time.process_time() - started


if __name__ == "__main__":
    print(FLOORS[sys.argv[1]](find(Path(sys.argv[2])).requests))
