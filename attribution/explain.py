"""Where a figure came from: the day is computed again at the snapshot of its run, and its steps are read.

Nothing is stored for this. The same inputs give the same digits, so the replay is the evidence.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from duckdb import DuckDBPyConnection

from attribution import queries, rollup, steps
from attribution.day import allocate, find_charges
from attribution.models import Run
from attribution.world import World
from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import KEYS
from finops.core.errors import UsageError

FILTERS = (
    *KEYS,
    "cost_type",
    "reason",
    "pool",
    "source",
    "billing_account",
    "billing_period",
    "service_category",
)
_POOL = "case when bill.disposition = 'pool' then bill.target else '' end"


@dataclass(frozen=True)
class ExplainedCharge:
    """A line of the bill, and the part of it that falls in the window."""

    file: str
    line: int
    service_name: str
    currency: str
    original_cost: Decimal
    cost: Decimal  # reporting currency


@dataclass(frozen=True)
class ExplainedShare:
    """What the chosen cells got of one group of charges through one unit."""

    cost_type: str
    reason: str
    measure: str
    source: str
    billing_account: str
    billing_period: str
    service_category: str
    resource_id: str
    rule: str
    disposition: str
    target: str
    hourly: bool
    window_start: datetime  # UTC, without a zone
    group_cost: Decimal  # of all its charges in the window
    unit: str  # empty: shared out of a pool
    unit_cost: Decimal | None
    busy: int | None  # millionths
    assumed: bool | None
    unit_weight: int | None  # of all that the unit served in the window, in the measure's micro-weights
    weight: int  # of the chosen cells, in the measure's micro-weights or the pool driver's unit
    cells: int
    cost: Decimal
    charges: tuple[ExplainedCharge, ...] = ()

    @property
    def unit_name(self) -> str:
        """The unit in words: `GPU GPU-1`, `MIG 7 of GPU-1`, `rest of GPU-1`, `resource i-1`, `model chat`."""
        kind, _, name = self.unit.partition(":")
        name = name.replace("\x1f", " ").strip()
        label = {"g": "GPU", "i": "MIG of GPU", "m": "rest of GPU", "r": "resource"}.get(kind, kind)
        return f"{label} {name}" if self.unit else ""

    @property
    def weight_share(self) -> Decimal | None:
        """The chosen cells' part of what the unit served in the window; only for showing."""
        return Decimal(self.weight) / self.unit_weight if self.unit_weight else None

    @property
    def share(self) -> Decimal:
        """The part of the group's cost, as a ratio; only for showing."""
        return self.cost / self.group_cost if self.group_cost else Decimal(0)


@dataclass(frozen=True)
class ExplainedDay:
    """One day's shares, the largest first; `rest` is the cost of those beyond the limit."""

    day: date
    run: Run
    idle_policy: str
    total: Decimal
    shares: tuple[ExplainedShare, ...]
    rest: Decimal
    rest_count: int


def explain(
    first: date, end: date, where: Mapping[str, str] | None = None, scope: Scope = EVERYTHING, limit: int = 50
) -> Iterator[ExplainedDay]:
    """Explain the allocations of the days in [first, end) that match `where`, each day at its run's snapshot.

    A day without run is left out. Raises UsageError where a filter is not one of FILTERS.
    """
    condition, values = _condition(where or {}, scope)
    for day, run in queries.runs(first, end).items():
        world = World.at(run.computed_from)
        with closing(warehouse.connect()) as con:
            params = rollup.day_params(day, world.currency, world.policy)
            find_charges(con, world, day, params)
            allocate(con, world, day, params)
            steps.run(con, "traces", params)
            yield _day(con, day, run, world.policy.idle, condition, values, limit)


def _condition(where: Mapping[str, str], scope: Scope) -> tuple[str, dict[str, object]]:
    tests: list[str] = ["true"]
    values: dict[str, object] = {}
    for number, (name, value) in enumerate(where.items()):
        if name not in FILTERS:
            raise UsageError(f"unknown filter {name!r}; expected one of {', '.join(FILTERS)}")
        table = "trace" if name in KEYS or name in ("cost_type", "reason") else "bill"
        column = _POOL if name == "pool" else f"{table}.{name}"
        tests.append(f"{column} = $where_{number}")
        values[f"where_{number}"] = value
    if scope.teams is not None:
        tests.append("list_contains($teams, trace.team)")
        values["teams"] = sorted(scope.teams)
    return " and ".join(tests), values


def _day(
    con: DuckDBPyConnection,
    day: date,
    run: Run,
    idle_policy: str,
    condition: str,
    values: Mapping[str, object],
    limit: int,
) -> ExplainedDay:
    rows = con.execute(steps.text("explained", where=condition), values).fetchall()
    shares = tuple(replace(ExplainedShare(*row[:-1]), charges=_charges(con, row[-1])) for row in rows[:limit])
    costs = [row[-2] for row in rows]
    return ExplainedDay(
        day=day,
        run=run,
        idle_policy=idle_policy,
        total=sum(costs, Decimal(0)),
        shares=shares,
        rest=sum(costs[limit:], Decimal(0)),
        rest_count=len(costs[limit:]),
    )


def _charges(con: DuckDBPyConnection, group_id: int) -> tuple[ExplainedCharge, ...]:
    found = con.execute(steps.text("explained_charges"), {"group_id": group_id}).fetchall()
    return tuple(ExplainedCharge(*row) for row in found)
