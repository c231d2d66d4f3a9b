"""The stage over raw requests: what each unit and each key of a day can be weighed by, and what was served.

Here the data is big; what comes after it is small.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import prices, steps
from attribution.policy import Policy, Price
from attribution.sweep import decoding_shares
from finops.core.money import to_pico
from finops.core.periods import midnight

TABLES = ("request_keys", "unit_weights", "key_weights", "request_hours", "unplaced")


def day_params(day: date, currency: str, policy: Policy) -> dict[str, object]:
    return {
        "day": day,
        "day_start": midnight(day),
        "day_end": midnight(day + timedelta(days=1)),
        "currency": currency,
        "idle_policy": policy.idle,
    }


def find_units(con: DuckDBPyConnection, day: date, params: steps.Parameters) -> None:
    """Whose samples are whose: hosts, devices and pods of the day.

    Reads hosts, named_resources and gpu_samples.
    """
    steps.run(con, "hosts", {**params, "known_since": day - timedelta(days=7)})
    steps.run(con, "units", params)


def roll_up(con: DuckDBPyConnection, day: date, policy: Policy, params: steps.Parameters) -> None:
    """Leave the day's request_keys, unit_weights, key_weights, request_hours and unplaced as tables.

    Reads the views requests and owners, and what `find_units` made.
    """
    for name in TABLES:
        con.execute(f"drop view if exists {name}")
    steps.run(con, "owner_now", params)
    steps.run(con, "placements", params)
    steps.run(con, "requests", params)
    _sweep(con)
    _numbers(con, day, policy)
    steps.run(con, "weights", params)
    steps.run(con, "rollup", params)
    steps.run(con, "unplaced", params)


def _sweep(con: DuckDBPyConnection) -> None:
    rows = con.sql("select request, batch, decode_start, decode_end from decoding").to_arrow_table()
    columns = [rows[name].to_numpy() for name in ("batch", "decode_start", "decode_end")]
    found = pa.table({"request": rows["request"], "share": decoding_shares(*columns)})
    con.register("decoding_share_arrow", found)
    con.execute("create table decoding_share as select * from decoding_share_arrow")
    con.unregister("decoding_share_arrow")


def _numbers(con: DuckDBPyConnection, day: date, policy: Policy) -> None:
    """The policy's token weights and the prices of the day's models, in 10^-12."""
    columns = ", ".join(f"{name}_pico hugeint" for name in policy.tokens)
    con.execute(f"create table token_weight (model varchar, {columns})")
    models: list[tuple[str | None, dict[str, Decimal]]] = [
        (None, policy.tokens),
        *policy.model_tokens.items(),
    ]
    for model, weights in models:
        _insert(con, "token_weight", [model], [weights[name] for name in policy.tokens])
    con.execute(
        "create table price (provider varchar, model varchar, "
        "input_pico hugeint, cached_input_pico hugeint, output_pico hugeint)"
    )
    used = con.execute("select distinct provider, model from request_keys where provider <> ''").fetchall()
    found: dict[tuple[str, str], Price] = prices.prices(policy, used, day)
    for (provider, model), price in sorted(found.items()):
        _insert(con, "price", [provider, model], [price.input, price.cached_input, price.output])


def _insert(
    con: DuckDBPyConnection, table: str, names: Sequence[str | None], numbers: Sequence[Decimal]
) -> None:
    marks = ", ".join(["?"] * len(names) + ["cast(? as hugeint)"] * len(numbers))
    con.execute(f"insert into {table} values ({marks})", [*names, *(str(to_pico(one)) for one in numbers)])
