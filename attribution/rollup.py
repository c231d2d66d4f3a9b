"""The stage over raw requests: what each set of units and each key of a day can be weighed by, and what was served.

Here the data is big; what comes after it is small. Single requests are only ever gathered: by hour, key,
place and what they have to be weighed by. Memory does not grow with their number.
"""

from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from attribution import numbers, steps, sweep
from attribution.policy import Policy
from finops.core.errors import FinopsError
from finops.core.periods import midnight

TABLES = ("request_keys", "unit_sets", "request_weights", "request_hours", "unplaced")


class SameHash(FinopsError):
    """Two keys, or two places, of a day's requests have one number."""


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


def roll_up(
    con: DuckDBPyConnection,
    day: date,
    policy: Policy,
    params: steps.Parameters,
    every_batch: bool = False,
) -> None:
    """Leave the day's request_keys, unit_sets, request_weights, request_hours and unplaced as tables.

    Reads the views requests, key_names, place_names and owners, and what `find_units` made. The sum
    `batch_tokens` of requests that decode in a batch is NULL where no unit of the day can be weighed by it:
    to sweep a batch is dear. `every_batch`: sweep them all.
    """
    find_places(con, day, params)
    weigh(con, day, policy, params, every_batch)


def find_places(con: DuckDBPyConnection, day: date, params: steps.Parameters) -> None:
    """On which units a request ran, by its place and hour: the tables placed, placement and unit_sets."""
    for name in TABLES:
        con.execute(f"drop view if exists {name}")
    _require_different(con, day, "place_names", "place_hash")
    steps.run(con, "places", params)


def weigh(
    con: DuckDBPyConnection, day: date, policy: Policy, params: steps.Parameters, every_batch: bool = False
) -> None:
    """The rest of `roll_up`, of requests whose places are found."""
    _require_different(con, day, "key_names", "key_hash")
    steps.run(con, "owner_now", params)
    steps.run(con, "raw", params)
    numbers.give(con, day, policy, params)
    _gather(con, every_batch)
    steps.run(con, "rollup", params)


def _require_different(con: DuckDBPyConnection, day: date, table: str, column: str) -> None:
    (same,) = con.execute(
        f"select count(*) > count(distinct {column}) "
        f"from (select distinct * exclude (source) from {table} where day = $day)",
        {"day": day},
    ).fetchall()[0]
    if same:
        raise SameHash(f"{day}: two different rows of {table} have the same {column}")


def _gather(con: DuckDBPyConnection, every_batch: bool) -> None:
    """Everything that is asked of single requests: the table `gathered`."""
    swept = _swept(con, every_batch)
    others = f"not row.timed or row.cached or {steps.BATCH} not in (select batch from swept)"
    gathered = steps.text("gather", rows="raw", which=others if swept else "true")
    con.execute(f"create table gathered as {gathered}")
    for rows in sweep.batches(con, swept):
        con.register("decoded", rows)
        gathered = steps.text("gather", rows="decoded", which="true")
        con.execute(f"insert into gathered {gathered}")
        con.unregister("decoded")


def _swept(con: DuckDBPyConnection, every_batch: bool) -> dict[int, int]:
    """The batches whose requests may be weighed by how alone they decoded, each with how many decode in it."""
    lacking = con.execute(
        "select count(*) filter (where timed) > 0 and ($every_batch or count(*) > count(gpu_micro_ms)) "
        "from raw where not cached",
        {"every_batch": every_batch},
    ).fetchall()[0][0]
    if not lacking:
        return {}
    steps.run(con, "swept", {"every_batch": every_batch})
    return dict(con.execute("select batch, requests from swept order by batch").fetchall())
