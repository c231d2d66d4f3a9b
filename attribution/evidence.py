"""The requests behind a share: those that a unit served in a window, each with the weight by which it was charged.

Their weights are made by the roll-up itself: the requests in question are rolled up once more, each under a key of
its own, so that a row of the roll-up is one request. What they decode beside, the batch of their units, goes along
where it decides their weight.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import queries, rollup, steps
from attribution.queries import Cells, Values
from attribution.replay import Replayed, Window, replay
from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import KEYS, NAMED_REQUESTS
from finops.core.periods import midnight

_DAY = timedelta(days=1)
WHOLE_DAY, WEEK_BEFORE = "day", "week"  # where a unit had no weight in its window


@dataclass(frozen=True)
class RequestBehind:
    """One request, what it weighs on the unit, and its share of the cost of its cell."""

    source: str
    request_id: str
    time: datetime  # UTC, without a zone
    model: str
    feature: str
    tenant: str
    team: str  # of the log, else of the owners of that time
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    gpu_ms: Decimal | None
    latency_ms: Decimal | None
    status: str
    cached: bool  # answered from a cache of ours: weighs nothing
    weight: int  # in the measure's micro-weights, divided over its units
    cost: Decimal  # the shares of a cell's requests sum to what it got


@dataclass(frozen=True)
class RequestsBehind:
    """A page of the requests behind what the chosen cells got through one unit in one window, the dearest first.

    `weight` is what the shares were made by, `weighed` what the requests sum to, one by one: they are equal.
    Requests of teams that the reader does not see are in the sums alone.
    """

    measure: str  # empty: no request decided
    span: str  # WHOLE_DAY, WEEK_BEFORE; empty: the window
    weight: int
    weighed: int
    cost: Decimal
    count: int  # that the reader sees
    others_weight: int  # of teams that the reader does not see
    others_cost: Decimal
    requests: tuple[RequestBehind, ...]


def requests_behind(
    day: date,
    window: Window,
    where: Mapping[str, Values],
    scope: Scope = EVERYTHING,
    *,
    limit: int = 5,
    offset: int = 0,
    snapshot: int | None = None,
) -> RequestsBehind | None:
    """The requests behind a unit's window of a day, as far as the cells with these values got a share of it.

    `where` names the cost type. None where the day has no run, or these cells got nothing there.
    """
    run = queries.runs(day, day + _DAY, snapshot).get(day)
    if run is None:
        return None
    cells = Cells(where, scope, in_window=True)
    with closing(warehouse.connect()) as con:
        replayed = replay(con, day, run, cells, window)
        return found_behind(con, replayed, window, cells, limit, offset)


def found_behind(
    con: DuckDBPyConnection, replayed: Replayed, window: Window, cells: Cells, limit: int, offset: int = 0
) -> RequestsBehind | None:
    """The same of a day that is replayed already, as far as the window goes."""
    span, measure, weight, cost = _shares(con, cells)
    if cost is None:
        return None
    if not measure or span == WEEK_BEFORE:
        return RequestsBehind(measure, span, weight, 0, cost, 0, 0, Decimal(0), ())
    weighed = _weighed(con, replayed, window, measure, span)
    con.register("weighed_arrow", weighed)
    is_whole = cells.wanted("cost_type") == ("usage",) or replayed.world.policy.idle == "spread"
    steps.run(
        con,
        "requests_behind",
        cells.values,
        cells=cells.sql,
        same=_SAME_KEY if is_whole and not span else _SAME_REDUCED,
        same_hour="cell.hour = request.hour" if not span else "true",
    )
    return _page(con, (span, measure, weight, cost), cells.scope, limit, offset)


_SAME_KEY = " and ".join(f"cell.{key} = request.{key}" for key in KEYS)
_SAME_REDUCED = " and ".join(
    [
        *(f"cell.{key} = request.{key}" for key in ("model", "environment", "region")),
        "cell.team = coalesce(owner.team, request.team)",
    ]
)


def _shares(con: DuckDBPyConnection, cells: Cells) -> tuple[str, str, int, Decimal | None]:
    """Over which span the unit's requests were weighed, by what, and what the cells weigh and got."""
    row = con.execute(
        f"""
        with cell as (
            select hour, measure, {steps.comma()}, any_value(weight) as weight, sum(pico) as pico
            from traced
            where {cells.sql}
            group by all
        )
        select min(measure), sum(weight)::hugeint, to_cost(sum(pico)::hugeint),
            (select bool_or(weight is not null) from busy_cost),
            (select count(*) from day_total)
        from cell
        """,
        cells.values,
    ).fetchall()[0]
    measure, weight, cost, in_window, on_day = row
    span = "" if in_window else WHOLE_DAY if on_day else WEEK_BEFORE
    return span, measure or "", int(weight or 0), cost


def _weighed(
    con: DuckDBPyConnection, replayed: Replayed, window: Window, measure: str, span: str
) -> pa.Table:
    """The requests that the unit served and whose model the cells have, each with its weight by the measure."""
    day = replayed.day
    unit = con.sql("select distinct * exclude (resource_id, gpu_model) from unit").to_arrow_table()
    models = [model for (model,) in con.execute("select distinct model from traced").fetchall()]
    start = window.start if window.hourly and not span else midnight(day).replace(tzinfo=None)
    values: dict[str, object] = {
        "day": day,
        "start": start,
        "end": start + (timedelta(hours=1) if window.hourly and not span else _DAY),
        "models": models,
    }
    together = measure == "batch_tokens"  # a request weighs less the more decode beside it
    with closing(_beside(con, replayed, unit)) as own:
        found, on_unit = f"select * from logged where {_WANTED}", "true"
        if together:
            latest = f"select max({_DECODED})::timestamp from ({found}) as logged"
            ((last,),) = _execute(own, latest, values).fetchall()
            values["until"] = last or values["end"]
            found = (
                f"select * from logged where day = $day and ({_WANTED} "
                f"or time < $until::timestamp::timestamptz and {_DECODED} >= $start::timestamp::timestamptz)"
            )
        if kinds_of(unit) <= {"gpu", "mig", "remainder", "resource"}:
            on_unit = _ON_UNIT
        _execute(
            own,
            f"create table candidate as select row_number() over () as number, {_WANTED} as wanted, * "
            f"from ({found}) as logged where {on_unit}",
            values,
        )
        _roll_up(own, replayed)
        weight = f"weights.{measure}" if measure != "requests" else "weights.requests * 1000000"
        part = f"coalesce(weights.part_{measure}, weights.{measure})"
        if measure in ("requests", "list_price"):
            part = "weights.requests * (1000000 // member.size)" if measure == "requests" else weight
        return own.sql(steps.text("requests_weighed", weight=weight, part=part)).to_arrow_table()


def _execute(con: DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> DuckDBPyConnection:
    """With those of the values that it names."""
    return con.execute(sql, {name: value for name, value in values.items() if f"${name}" in sql})


def kinds_of(unit: pa.Table) -> set[str]:
    return set(unit["unit_kind"].to_pylist())


_WANTED = (
    "(time >= $start::timestamp::timestamptz and time < $end::timestamp::timestamptz and day = $day "
    "and list_contains($models::varchar[], model))"
)
_DECODED = "time + to_microseconds(latency_micro_ms // 1000 + 1)"  # not before this
_ON_UNIT = (
    "(place_hash, hour) in (select (placed.place_hash, placed.hour) "
    "from placed join single_member as member using (unit_set))"
)


def _beside(day_con: DuckDBPyConnection, replayed: Replayed, unit: pa.Table) -> DuckDBPyConnection:
    """Another DuckDB, for a roll-up beside that of the day: with the log as `logged`, and where it ran."""
    world, day = replayed.world, replayed.day
    con = warehouse.connect()
    for name in ("unit", *rollup.UNITS):
        rows = unit if name == "unit" else day_con.sql(f"from {name}").to_arrow_table()
        con.register("rows_arrow", rows)
        con.execute(f"create table {name} as select * from rows_arrow")
        con.unregister("rows_arrow")
    world.view(con, "owners")
    for dataset in ("requests", "key_names", "place_names"):
        world.view(con, dataset, day, day + _DAY)
    con.execute(f"create view logged as select * from {NAMED_REQUESTS}")
    rollup.find_places(con, day, replayed.params)
    con.execute("create view request_keys as select *, key_hash as key_id from key_names")
    steps.run(con, "unit_requests", stage="single", units="unit")
    con.execute("drop view request_keys")
    return con


def _roll_up(con: DuckDBPyConnection, replayed: Replayed) -> None:
    """The roll-up of the candidates instead of the day's, each under a key of its own: its number for a tenant."""
    # Beside them are those of their batch, under the keys that they have: below 0, and no one's number.
    own_key = "case when wanted then number else -1 - key_hash end as key_hash"
    own_name = "case when wanted then number::varchar else '' end as tenant"
    con.execute(f"create or replace view requests as select * replace ({own_key}) from candidate")
    con.execute("drop view key_names")
    con.execute(
        "create table key_names as select distinct source, day, key_hash, "
        f"{steps.comma()} from (select * replace ({own_key}, {own_name}) from candidate)"
    )
    rollup.weigh(con, replayed.day, replayed.world.policy, replayed.params, every=True)
    con.execute("drop table single_member")
    con.execute("drop table single_asked")
    steps.run(con, "unit_requests", stage="single", units="unit")


def _page(
    con: DuckDBPyConnection,
    shares: tuple[str, str, int, Decimal],
    scope: Scope,
    limit: int,
    offset: int,
) -> RequestsBehind:
    span, measure, weight, cost = shares
    seen = "true" if scope.teams is None else "list_contains($visible::varchar[], team)"
    visible: dict[str, object] = {} if scope.teams is None else {"visible": sorted(scope.teams)}
    weighed, count, others_weight, others_cost = con.execute(
        f"select coalesce(sum(weight), 0)::hugeint, count(*) filter (where {seen}), "
        f"coalesce(sum(weight) filter (where not {seen}), 0)::hugeint, "
        f"to_cost(coalesce(sum(share_pico) filter (where not {seen}), 0)::hugeint) from request_behind",
        visible,
    ).fetchall()[0]
    rows = con.execute(
        steps.text("requests_shown", seen=seen), {**visible, "limit": limit, "offset": offset}
    ).fetchall()
    return RequestsBehind(
        measure,
        span,
        weight,
        int(weighed),
        cost,
        count,
        int(others_weight),
        others_cost,
        tuple(RequestBehind(*row) for row in rows),
    )
