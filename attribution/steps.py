"""The SQL of a step: loaded from its file, its blanks filled, run with the parameters that it names."""

import re
from collections.abc import Mapping
from contextlib import closing
from functools import cache, lru_cache
from pathlib import Path

from duckdb import DuckDBPyConnection

from attribution.shares import shares, whole_pieces
from finops.core import warehouse
from finops.core.datasets import KEYS, MEASURES

_ROWS = 500_000  # of pieces that are split together: some 100 MB
_FOLDER = Path(__file__).parent / "sql"
REDUCED = ("model", "team", "environment", "region")

Parameters = Mapping[str, object]  # of a SQL statement: dates, times and texts by name


def comma(columns: tuple[str, ...] = KEYS, prefix: str = "") -> str:
    return ", ".join(prefix + column for column in columns)


@cache
def _file(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text()


_GIVEN = tuple(measure for measure in MEASURES if measure != "requests")  # which a request may lack

# In whose batch a request decodes: of its set of units; on no unit, below 0, of its provider, project and model.
BATCH = "case when placed.unit_set > 0 then placed.unit_set else -number.served_by end"

_BLANKS = {
    "keys": comma(),
    "plain_keys": ", ".join(f"coalesce({column}, '') as {column}" for column in KEYS),
    "key_columns": ", ".join(f"{column} varchar" for column in KEYS),
    "batch": BATCH,
    "key_join": " and ".join(f"key.{column} = owned.{column}" for column in KEYS),
    "reduced_day_key": "(select * from day_key where "
    + " and ".join(f"{column} = ''" for column in KEYS if column not in REDUCED)
    + ") as day_key",
    "with_measures": ", ".join(f"with_{measure}" for measure in _GIVEN),
    "measure_counts": ", ".join(
        [
            "coalesce(sum(requests) filter (where succeeded), 0)::bigint as succeeded",
            "sum(requests)::bigint as uncached",
            *(
                f"coalesce(sum(requests) filter (where with_{measure}), 0)::bigint as any_{measure}, "
                f"coalesce(sum(requests) filter (where with_{measure} and succeeded), 0)::bigint as has_{measure}"
                for measure in _GIVEN
            ),
        ]
    ),
    "has_of": " ".join(f"when '{measure}' then today.has_{measure}" for measure in _GIVEN),
    "rank_of": " ".join(f"when '{measure}' then {rank}" for rank, measure in enumerate(MEASURES)),
    "weight_of": " ".join(f"when '{measure}' then weights.{measure}" for measure in _GIVEN),
    "part_of": " ".join(
        f"when '{measure}' then coalesce(weights.part_{measure}, weights.{measure})"
        for measure in _GIVEN
        if measure != "list_price"
    ),
}


def _choice(measures: tuple[str, ...]) -> str:
    return " ".join(
        f"when case when succeeded > 0 then has_{measure} = succeeded else any_{measure} = uncached end "
        f"then '{measure}'"
        for measure in measures
    )


_BLANKS["measure"] = _choice(tuple(one for one in MEASURES if one not in ("list_price", "requests")))
_BLANKS["metered_measure"] = _choice(("list_price", "tokens", "latency_ms"))


@lru_cache(512)
def text(name: str, **blanks: str) -> str:
    """A step's SQL with its blanks filled and its comments gone."""
    filled = {**_BLANKS, **blanks}
    body = re.sub(r"--[^\n]*", "", _file(name))
    return re.sub(r"\{(\w+)\}", lambda blank: filled.get(blank[1], blank[0]), body)


# Blanks may hold texts of a policy: what looks like SQL in them is none.
_LITERAL = "'(?:[^']|'')*'"


@lru_cache(512)
def _statements(body: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Its statements in order, each with the parameters that it names."""
    return tuple(
        (one, frozenset(re.findall(r"\$(\w+)", re.sub(_LITERAL, "", one))))
        for one in re.findall(rf"(?:{_LITERAL}|[^';])+", body)
        if one.strip()
    )


def run(con: DuckDBPyConnection, name: str, parameters: Parameters | None = None, **blanks: str) -> None:
    """Run a step's statements in order; each gets those of the parameters that it names.

    Raises duckdb.InterruptException where a page's time is over.
    """
    warehouse.require_time()
    for body, named in _statements(text(name, **blanks)):
        con.execute(body, {name: value for name, value in (parameters or {}).items() if name in named})


def share_out(con: DuckDBPyConnection, table: str, order: str) -> None:
    """Split every piece of the table by weight: writes `{table}_shared`, the same rows with `share_pico`.

    The table has piece, piece_pico and weight. `order`: its columns by which a piece's rows follow each other.
    """
    put = f"create table {table}_shared as"
    with closing(con.cursor()) as reading:
        for rows in whole_pieces(reading.sql(f"from {table} order by piece, {order}").to_arrow_reader(_ROWS)):
            share = shares(rows["piece"], rows["piece_pico"], rows["weight"])
            con.register("shared_arrow", rows.append_column("share_pico", share))
            con.execute(
                f"{put} select * exclude (piece_pico) replace (share_pico::hugeint as share_pico) from shared_arrow"
            )
            con.unregister("shared_arrow")
            put = f"insert into {table}_shared"
