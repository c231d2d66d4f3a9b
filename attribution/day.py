"""A day's attribution: the steps in order, and the checks.

A day is computed without Django's database, so that days may run side by side; file lists are read before,
commits are made after, by the caller's thread.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from duckdb import DuckDBPyConnection

from attribution import reconciliation, rollup, steps
from attribution.inputs import EARLIER, LOOKED_BACK_AT, digest, inputs_of_day
from attribution.policy import matches
from attribution.policy_tables import name_alone, rule_case, rules_table
from attribution.world import World
from finops.core import warehouse
from finops.core.datasets import COUNTS

LOOK_BACK = rollup.LOOK_BACK
ROLLED_UP = rollup.TABLES
WRITTEN = ("allocations", "allocation_days", "request_days", "unit_windows", "charge_days", "unmatched")
_DAY = timedelta(days=1)


@dataclass
class Computed:
    """A day's files, not yet in force, and what the run says of it."""

    day: date
    inputs: Mapping[str, str]  # a digest of each
    looked_at: tuple[date, date]  # first and last day whose requests and metrics may have a part in it
    files: list[warehouse.NewFile] = field(default_factory=list)
    charged: Decimal = Decimal(0)
    allocated: Decimal = Decimal(0)
    seconds: float = 0.0
    unchanged: bool = False

    @property
    def fingerprint(self) -> str:
        return digest(self.inputs)


# --- the roll-up of raw requests -------------------------------------------------------------------------


def compute_rollup(
    world: World, day: date, inputs: Mapping[str, str], threads: int | None = None
) -> Computed:
    """Write what the day's requests can be weighed by."""
    started = time.monotonic()
    with _rolled_up(world, day, threads) as con:
        files = [
            warehouse.write(con, name, warehouse.partition(name, day), f"from {name}", days=(day, day))
            for name in ROLLED_UP
        ]
    return Computed(day, inputs, (day - LOOK_BACK, day), files, seconds=time.monotonic() - started)


@contextmanager
def _rolled_up(
    world: World, day: date, threads: int | None = None, every: bool = False
) -> Iterator[DuckDBPyConnection]:
    """A connection with the tables of the day's roll-up."""
    with closing(warehouse.connect(threads=threads)) as con:
        params = rollup.day_params(day, world.currency, world.policy)
        world.view(con, "hosts")
        world.view(con, "owners")
        world.name_resources(con, day - LOOK_BACK, day + _DAY)
        for dataset in ("gpu_samples", "requests", "key_names", "place_names"):
            world.view(con, dataset, day, day + _DAY)
        rollup.find_units(con, day, params)
        files = [warehouse.folder() / file.path for file in world.of("requests", day, day + _DAY)]
        rollup.find_places(con, day, params)
        rollup.weigh(con, day, world.policy, params, every, files)
        yield con


# --- the day ---------------------------------------------------------------------------------------------


def compute_day(
    world: World,
    day: date,
    known_inputs: Mapping[str, str] | None = None,
    threads: int | None = None,
    datasets: Sequence[str] = WRITTEN,
) -> Computed:
    """Attribute one day and write its files; nothing is written where the inputs are the known ones.

    `datasets`: those to write; the first is `allocations` or `allocation_days`.
    Raises NotConserved where any cent is lost or made.
    """
    started = time.monotonic()
    with closing(warehouse.connect(threads=threads)) as con:
        params = rollup.day_params(day, world.currency, world.policy)
        looked_at = find_charges(con, world, day, params)
        for name in ("unit_sets", "request_weights"):
            world.view(con, name, day - _DAY, day)
        steps.run(con, "graded", when="before")
        inputs = inputs_of_day(con, world, day, looked_at)
        alone = {**inputs, EARLIER: digest("not looked at")}
        if known_inputs is not None and known_inputs in (inputs, alone):
            return Computed(day, known_inputs, looked_at, unchanged=True)
        # Whether it looks back follows from its other inputs: where it did not, what it would have seen is none of them.
        inputs = inputs if allocate(con, world, day, params) else alone
        reconciliation.require_conserved(con)
        steps.run(con, "graded", when="today")
        steps.run(con, "unmatched", params)
        files = [
            warehouse.write(
                con,
                name,
                warehouse.partition(name, day),
                _output(name),
                {"day": day} if name != "unmatched" else None,
                days=(day, day),
                order=_ORDERS.get(name),
            )
            for name in datasets
        ]
        charged, allocated = reconciliation.require_written(con, files[0])
    return Computed(day, inputs, looked_at, files, charged, allocated, time.monotonic() - started)


def find_charges(
    con: DuckDBPyConnection, world: World, day: date, params: steps.Parameters
) -> tuple[date, date]:
    """The day's parts of charges: which rule took them, and what they are in the reporting currency.

    Returns the first and last day whose requests and metrics may have a part in it: a charge longer than a day knows
    what is named on any of its days or before, and a metric what requests named before it.
    """
    world.view(con, "charges", day, day + _DAY)
    world.view(con, "hosts")
    world.view(con, "owners")
    world.view(con, "rates")
    rules_table(con, world.policy)
    steps.run(con, "charges", params, rule=rule_case(world.policy))
    first, last = con.execute(
        "select min(charge_period_start)::date, max(charge_period_end)::date from charge_of_day"
    ).fetchall()[0]
    first, last = min(first or day, day) - 2 * LOOK_BACK, max(last or day, day)
    world.name_resources(con, first, last + _DAY)
    world.view(con, "gpu_samples", day, day + _DAY)
    rollup.find_units(con, day, params)
    for step in ("known", "rules", "windows"):
        steps.run(con, step, params)
    return first, last


def allocate(con: DuckDBPyConnection, world: World, day: date, params: steps.Parameters) -> bool:
    """Every step of the day after its charges are found: leaves the table `allocation`.

    Whether it looked at earlier days.
    """
    cost_units(con, world, day, params)
    looked_back = split_units(con, world, day, params)
    open_pools(con, world, params)
    steps.run(con, "direct", params)
    weigh_pools(con, world, params)
    steps.run(con, "shared_split", params)
    steps.share_out(con, "pool_split", "hour, cell_key")
    steps.run(con, "allocations", params)
    return looked_back


def cost_units(con: DuckDBPyConnection, world: World, day: date, params: steps.Parameters) -> None:
    """What each GPU and slice bears of each group: the table `group_slice_shared`."""
    world.view(con, "requests", day, day + _DAY)
    for name in ROLLED_UP:
        world.view(con, name, day, day + _DAY)
    steps.run(con, "owner_now", params)
    steps.run(con, "unit_costs", params)
    steps.share_out(con, "group_gpu", "uuid")
    steps.run(con, "unit_costs_by_slice", params)
    steps.share_out(con, "group_slice", "position")


def split_units(con: DuckDBPyConnection, world: World, day: date, params: steps.Parameters) -> bool:
    """Usage and idle of each unit, shared by weight: the tables `…_split_shared`. Whether it looked at earlier days."""
    steps.run(con, "busy", params)
    steps.run(con, "unit_requests", stage="window", units="unit")
    steps.run(con, "window_spans", params)
    _weigh(con, world, "window", "hour")
    steps.run(con, "costs", params)
    looked_back = _look_back(con, world, day, params)
    for step in ("usage", "idle", "fallbacks"):
        steps.run(con, step, params)
    steps.share_out(con, "usage_split", "hour, key_id")
    steps.share_out(con, "idle_split", "hour, reduced_id")
    steps.share_out(con, "stranded_split", "model, team, environment, region")
    return looked_back


def open_pools(con: DuckDBPyConnection, world: World, params: steps.Parameters) -> None:
    """The keys that anything may be attributed to: the table `day_key`."""
    steps.run(con, "pools", params)
    for pool in world.policy.pools:
        name_alone(con, pool, params)
    steps.run(con, "keys", params)


def weigh_pools(con: DuckDBPyConnection, world: World, params: steps.Parameters) -> None:
    """The cells that pools are spread over, by their drivers: the table `pool_cell`. Reads `direct_part`."""
    steps.run(con, "shared", params)
    for pool in world.policy.pools:
        if pool.driver not in _ALONE:
            scope = " and ".join(
                matches(f"day_key.{column}", values) for column, values in pool.scope.items()
            )
            steps.run(con, "pool_cells", {"pool": pool.name}, driver=pool.driver, scope=scope or "true")


def _look_back(con: DuckDBPyConnection, world: World, day: date, params: steps.Parameters) -> bool:
    """What units without weight in some window did on the whole day, and, only where that is nothing, in the week.

    Whether it was asked what they did in the week.
    """
    steps.run(con, "fallback_units", params)
    _weigh_long(con, world, "day", params, "$day_start", 24)
    steps.run(con, "fallback_rest", params)
    far = bool(con.execute("select 1 from week_unit limit 1").fetchall())
    for name in LOOKED_BACK_AT if far else ():
        world.view(con, name, day - LOOK_BACK, day)
    _weigh_long(con, world, "week", params, "$day_start - to_days(7)", 7 * 24)
    for name in LOOKED_BACK_AT if far else ():
        world.view(con, name, day, day + _DAY)
    return far


def _weigh_long(
    con: DuckDBPyConnection, world: World, stage: str, params: steps.Parameters, first: str, hours: int
) -> None:
    if not con.execute(f"select 1 from {stage}_unit limit 1").fetchall():  # on most days
        steps.run(con, "fallback_none", stage=stage)
        return
    steps.run(con, "unit_requests", stage=stage, units=f"{stage}_unit")
    steps.run(con, "fallback_spans", params, stage=stage, first=first, hours=str(hours))
    _weigh(con, world, stage, "day")
    steps.run(con, "fallback_keys", params, stage=stage)


def _weigh(con: DuckDBPyConnection, world: World, stage: str, time: str) -> None:
    """The weights of each unit's spans, by the best measure that all its requests there have."""
    steps.run(con, "measures", stage=stage)
    left_out = [day for (day,) in con.execute(steps.text("left_out", stage=stage)).fetchall()]
    if left_out:
        _weigh_after_all(con, world, left_out, f"{stage}_weights")
    steps.run(con, "unit_weights", stage=stage, time=time)


def _weigh_after_all(con: DuckDBPyConnection, world: World, days: Sequence[date], name: str) -> None:
    """Replace the days' request_weights by all that there is: they are weighed with others that lack what is better."""
    con.execute(f"create table {name} as from request_weights")
    for day in days:
        con.execute(f"delete from {name} where day = $day", {"day": day})
        with _rolled_up(world.on(day), day, every=True) as other:
            con.register("every_weight", other.sql("from request_weights").to_arrow_table())
        con.execute(f"insert into {name} by name from every_weight")
        con.unregister("every_weight")
    con.execute("drop view request_weights")
    con.execute(f"create view request_weights as from {name}")


_ALONE = ("even", "fixed")  # drivers that set one key column and look at no cell


# How the day's tables become its datasets, and, where a cheaper one gives it, their order.
_CELL_ORDER = ("cell_key", "cost_type", "reason", "measure", "pool", "bill_id")
_ORDERS = {
    "allocations": ("hour", *_CELL_ORDER),
    "allocation_days": _CELL_ORDER,
    "request_days": ("key_id",),
}


def _output(name: str) -> str:
    keys = steps.comma()
    counted = ", ".join(f"sum({count}) as {count}" for count in COUNTS)
    bills = "(select distinct bill_id, source, billing_account, billing_period, service_category from bill)"
    return {
        "allocations": "select $day as day, *, to_cost(pico) as cost from allocation "
        f"join day_key using (cell_key) join {bills} as bills using (bill_id)",
        "allocation_days": "select $day as day, *, to_cost(pico) as cost from ("
        "select cell_key, cost_type, reason, measure, pool, bill_id, sum(pico)::hugeint as pico from allocation "
        "group by cell_key, cost_type, reason, measure, pool, bill_id having sum(pico) <> 0) "
        f"join day_key using (cell_key) join {bills} as bills using (bill_id)",
        "request_days": f"select * from (select day, key_id, {counted} from request_hours where day = $day "
        f"group by day, key_id) join (select day, key_id, {keys} from request_keys) using (day, key_id)",
        "unit_windows": "select $day as day, cost.window_start, "
        "cost.window_start + case when cost.hourly then interval 1 hour else interval 1 day end as window_end, "
        "unit.unit_kind, unit.resource_id, unit.uuid, unit.instance, unit.gpu_model, unit.model, unit.provider, "
        "unit.project, cost.busy, cost.assumed, coalesce(cost.measure, '') as measure, "
        "coalesce(cost.weight, 0) as weight, to_cost(sum(cost.usage_pico)::hugeint) as usage_cost, "
        "to_cost(sum(cost.idle_pico)::hugeint) as idle_cost "
        "from busy_cost as cost join charge_group using (group_id) "
        "join unit on unit.unit = cost.unit and unit.resource_id = "
        "case when charge_group.disposition = 'direct' then charge_group.resource_id else '' end "
        "group by all",
        "charge_days": "select $day as day, source, billing_account, billing_period, file, line, rule, disposition, "
        "target, resource_id, service_category, service_name, currency as original_currency, "
        "to_cost(part_pico) as original_cost, "
        "case when disposition <> 'unconverted' then to_cost(converted_pico) end as cost from part",
        "unmatched": "from unmatched_today",
    }[name]
