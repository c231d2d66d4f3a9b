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
from attribution.day import LOOK_BACK, find_requests
from attribution.queries import Cells
from attribution.replay import Replayed, Window, replay
from attribution.world import World
from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import DATASETS, KEYS
from finops.core.periods import midnight

_DAY = timedelta(days=1)
PLACE = ("gpu_uuids", "namespace", "pod", "host", "resource_id")  # the names that say where a request ran
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
    where: Mapping[str, str],
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
    cells = Cells(where, scope)
    with closing(warehouse.connect()) as con:
        replayed = replay(con, day, run, cells, window)
        span, measure, weight, cost = _shares(con, cells)
        if cost is None:
            return None
        if not measure or span == WEEK_BEFORE:
            return RequestsBehind(measure, span, weight, 0, cost, 0, 0, Decimal(0), ())
        weighed = _weighed(con, replayed, day, window, measure, span)
        con.register("weighed_arrow", weighed)
        is_whole = where.get("cost_type") == "usage" or replayed.world.policy.idle == "spread"
        steps.run(
            con,
            "requests_behind",
            cells.values,
            cells=cells.sql,
            same=_SAME_KEY if is_whole and not span else _SAME_REDUCED,
            same_hour="cell.hour = request.hour" if not span else "true",
        )
        return _page(con, (span, measure, weight, cost), scope, limit, offset)


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
    con: DuckDBPyConnection, replayed: Replayed, day: date, window: Window, measure: str, span: str
) -> pa.Table:
    """The requests that the unit served and whose model the cells have, each with its weight by the measure."""
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
    with closing(_beside(replayed.world, day, unit)) as own:
        found, on_unit = f"select * from logged where {_WANTED}", "true"
        if together:
            latest = f"select max({_DECODED})::timestamp from ({found}) as logged"
            ((last,),) = _execute(own, latest, values).fetchall()
            values["until"] = last or values["end"]
            found = (
                f"select * from logged where day = $day and ({_WANTED} "
                f"or time < $until::timestamp::timestamptz and {_DECODED} >= $start::timestamp::timestamptz)"
            )
        if kinds_of(unit) <= {"gpu", "mig", "remainder", "resource"} and (
            together or not window.hourly or span
        ):
            places = _places(replayed, day, unit, found, values)
            own.register("place_of_unit", places)
            on_unit = f"exists (select 1 from place_of_unit as place where {_SAME_PLACE})"
        _execute(
            own,
            f"create table candidate as select row_number() over () as number, {_WANTED} as wanted, * "
            f"from ({found}) as logged where {on_unit}",
            values,
        )
        _roll_up(own, replayed, day, _ONE_A_REQUEST)
        find_requests(own, "single", "unit")
        return own.sql(steps.text("requests_weighed", measure=measure)).to_arrow_table()


def _places(
    replayed: Replayed, day: date, unit: pa.Table, found: str, values: Mapping[str, object]
) -> pa.Table:
    """The names under which requests of the day ran on the unit."""
    with closing(_beside(replayed.world, day, unit)) as own:
        _execute(own, f"create table place as {_PLACES.format(found=found)}", values)
        _roll_up(own, replayed, day, _ONE_A_PLACE)
        find_requests(own, "place", "unit")
        return own.sql(
            "select place.* from place where number in ("
            "select key.tenant::bigint from place_request join request_keys as key using (day, key_id))"
        ).to_arrow_table()


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
_POD_HOUR = "case when {of}pod <> '' then date_trunc('hour', {of}time) end"
_PLACES = (
    "select row_number() over () as number, *, coalesce(pod_hour, time) as any_time from ("
    f"select {', '.join(PLACE)}, {_POD_HOUR.format(of='')} as pod_hour, min(time) as time from ({{found}}) group by all)"
)
_SAME_PLACE = " and ".join(
    [
        *(f"logged.{name} = place.{name}" for name in PLACE),
        f"{_POD_HOUR.format(of='logged.')} is not distinct from place.pod_hour",
    ]
)


def _as_requests(table: str, given: Mapping[str, str]) -> str:
    """Rows in the shape of the dataset `requests`: the columns given, the others empty."""
    columns = ", ".join(
        f"{given.get(name, chr(39) * 2 if kind == 'VARCHAR' else 'null')}::{kind} as {name}"
        for name, kind in DATASETS["requests"].columns.items()
    )
    return f"select {columns} from {table}"


_ONE_A_PLACE = _as_requests(
    "place",
    {
        **{name: name for name in PLACE},
        "time": "any_time",
        "tenant": "number",
        "succeeded": "true",
        "cached": "false",
    },
)
_ONE_A_REQUEST = _as_requests(
    "candidate",
    {
        **{name: name for name in DATASETS["requests"].columns},
        "tenant": "case when wanted then number::varchar else '' end",
    },
)


def _beside(world: World, day: date, unit: pa.Table) -> DuckDBPyConnection:
    """Another DuckDB, for a roll-up beside that of the day: with the log as `logged`, and the unit."""
    con = warehouse.connect()
    warehouse.view(con, "requests", world.of("requests", day, day + _DAY), "logged")
    con.register("unit_arrow", unit)
    con.execute("create table unit as select * from unit_arrow")
    return con


def _roll_up(con: DuckDBPyConnection, replayed: Replayed, day: date, rows: str) -> None:
    """The roll-up of these rows instead of the day's."""
    world, params = replayed.world, replayed.params
    for dataset in ("hosts", "owners"):
        world.view(con, dataset)
    world.name_resources(con, day - LOOK_BACK, day + _DAY)
    world.view(con, "gpu_samples", day, day + _DAY)
    rollup.find_units(con, day, params)
    con.execute(f"create view requests as select * replace (date '{day}' as day) from ({rows})")
    rollup.roll_up(con, day, world.policy, params)


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
