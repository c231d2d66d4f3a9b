"""A day computed again as far as some of its allocations ask for it, with the steps of the day themselves.

What cannot reach the chosen allocations is left out before it costs time: charges of other bills, units that serve
none of their models, shares of pools that fall to others. What the published allocations say already, the costs
that pools follow, is read from them. Nothing of this changes a digit: shares are differences of running totals,
and these are taken over everything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from duckdb import DuckDBPyConnection

from attribution import steps
from attribution.day import cost_units, find_charges, open_pools, split_units, weigh_pools
from attribution.models import Run
from attribution.queries import Cells
from attribution.rollup import day_params
from attribution.world import World
from finops.core import warehouse

_DAY = timedelta(days=1)
_TOO_LARGE = "13000000000000000000::hugeint"  # a total of weights that `upto` cannot split by in 128 bits


@dataclass(frozen=True)
class Window:
    """One unit in one window."""

    unit: str
    start: datetime  # UTC, without a zone
    hourly: bool


@dataclass(frozen=True)
class Replayed:
    """What a day was computed from, and the parameters of its steps."""

    day: date
    world: World
    params: dict[str, object] = field(repr=False)


def replay(
    con: DuckDBPyConnection, day: date, run: Run, cells: Cells, window: Window | None = None
) -> Replayed:
    """Leave the view `traced`: one row per group, unit and chosen cell that money went to.

    It has the columns of an allocation, and what each came from. The day is computed at the snapshot that its run
    read; `window` keeps what one unit got in one window.
    """
    world = World.at(run.computed_from).on(day)
    params = day_params(day, world.currency, world.policy)
    warehouse.view(
        con,
        "allocations",
        warehouse.files("allocations", run.snapshot, touching=(day, day + _DAY)),
        "published",
    )
    find_charges(con, world, day, params)
    _keep_charges(con, cells, window)
    cost_units(con, world, day, params)
    _keep_units(con, day, cells, window)
    split_units(con, world, day, params)
    _share_pools(con, world, params, cells)
    steps.run(con, "traces", params)
    return Replayed(day, world, params)


@contextmanager
def only(con: DuckDBPyConnection, window: Window) -> Iterator[None]:
    """In the block, a day replayed without a window has what one unit got in one window, and nothing else."""
    values: dict[str, object] = {"unit": window.unit, "window": window.start, "hourly": window.hourly}
    con.execute("begin")
    try:
        steps.run(con, "replay_window", values)
        yield
    finally:
        con.execute("rollback")


def _keep_charges(con: DuckDBPyConnection, cells: Cells, window: Window | None) -> None:
    tests = {
        "source": "source",
        "billing_account": "billing_account",
        "billing_period": "billing_period",
        "service_category": "service_category",
        "resource_id": "resource_id",
        "pool": "case when disposition = 'pool' then target else '' end",
    }
    wanted = {name: cells.wanted(name) for name in tests if name in cells.where}
    kept = [f"list_contains($only_{name}::varchar[], {tests[name]})" for name in wanted]
    types = set(cells.wanted("cost_type"))
    if (types and types <= {"usage", "idle"}) or "resource_id" in cells.where:
        kept.append("disposition <> 'pool'")
    if types == {"shared"}:
        kept.append("disposition = 'pool'")
    values: dict[str, object] = {f"only_{name}": list(one) for name, one in wanted.items()}
    if window:
        kept.append(
            "cast(window_start as timestamp) = $window and hourly = $hourly and disposition <> 'pool'"
        )
        values |= {"window": window.start, "hourly": window.hourly}
    if kept:
        con.execute(f"delete from charge_group where not ({' and '.join(kept)})", values)


def _keep_units(con: DuckDBPyConnection, day: date, cells: Cells, window: Window | None) -> None:
    """Leave out the units that serve none of the models that the chosen allocations have.

    What goes through a unit goes to a model that it serves that day, to one that the charge or its rule names, or, of
    a unit that serves none that day, to one of the week before. Under `platform` it has no model: all units stay.
    """
    if window:
        con.execute("delete from group_slice_shared where unit <> $unit", {"unit": window.unit})
        con.execute(
            "delete from charge_group where disposition = 'direct' and 'r:' || resource_id <> $unit "
            "and group_id not in (select group_id from group_slice_shared)",
            {"unit": window.unit},
        )
        con.execute(
            "delete from charge_group where disposition = 'model' and 'model:' || target <> $unit or "
            "disposition = 'api' and 'api:' || target || chr(31) || project || chr(31) || model_tag <> $unit",
            {"unit": window.unit},
        )
        return
    if "resource_id" in cells.where:
        return
    found = con.execute(
        f"select distinct model from published where pool = '' and cost_type <> 'shared' and {cells.sql}",
        cells.values,
    ).fetchall()
    models = [model for (model,) in found]
    if "" in models:
        return
    con.execute(
        """
        create temp table unit_beside as
        select unit
        from unit_sets as member
        join (
            select distinct day, unit_set, model from request_weights join request_keys using (day, key_id)
        ) as key using (day, unit_set)
        where member.day = $day
        group by unit
        having not bool_or(list_contains($models::varchar[], key.model))
        """,
        {"day": day, "models": models},
    )
    named = "(select group_id from charge_group where list_contains($models::varchar[], model_tag))"
    con.execute(
        f"delete from group_slice_shared where unit in (from unit_beside) and group_id not in {named}",
        {"models": models},
    )
    con.execute(
        "delete from charge_group where disposition = 'direct' and group_id not in "
        f"(select group_id from group_gpu) and 'r:' || resource_id in (from unit_beside) and group_id not in {named}",
        {"models": models},
    )
    con.execute(
        "delete from charge_group where disposition = 'model' and not list_contains($models::varchar[], target)",
        {"models": models},
    )


def _share_pools(con: DuckDBPyConnection, world: World, params: steps.Parameters, cells: Cells) -> None:
    """The shares of the chosen cells in pools: the table `pool_split_shared`."""
    steps.run(con, "replay_keys")
    pooled = con.execute("select distinct target from charge_group where disposition = 'pool'").fetchall()
    pools = tuple(pool for pool in world.policy.pools if (pool.name,) in pooled)
    needed = replace(world, policy=replace(world.policy, pools=pools))
    open_pools(con, needed, params)
    if pools:
        steps.run(con, "replay_direct")
        weigh_pools(con, needed, params)
    else:
        steps.run(con, "replay_no_cells")
    totals = "select sum(weight) as total from pool_cell where weight > 0 group by pool"
    if con.execute(f"select 1 from ({totals}) where total > {_TOO_LARGE}").fetchone():
        steps.run(con, "shared_split", params)
        steps.share_out(con, "pool_split", "hour, cell_key")
    else:
        con.execute(steps.text("replay_pools", cells=cells.of_keys), cells.values_of_keys)
