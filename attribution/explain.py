"""Where a figure came from: the day is computed again at the snapshot of its run, and its steps are read.

Nothing is stored for this. The same inputs give the same digits, so the replay is the evidence.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from duckdb import DuckDBPyConnection

from attribution import queries, steps
from attribution.evidence import RequestsBehind, found_behind
from attribution.models import PolicyChange, Run
from attribution.queries import FILTERS as FILTERS
from attribution.queries import Cells, Values
from attribution.replay import Replayed, Window, only, replay
from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.models import ManifestFile, Snapshot


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
        return name_of(self.unit)

    @property
    def weight_share(self) -> Decimal | None:
        """The chosen cells' part of what the unit served in the window; only for showing."""
        return Decimal(self.weight) / self.unit_weight if self.unit_weight else None

    @property
    def share(self) -> Decimal:
        """The part of the group's cost, as a ratio; only for showing."""
        return self.cost / self.group_cost if self.group_cost else Decimal(0)


def name_of(unit: str) -> str:
    """The unit in words: `GPU GPU-1`, `MIG of GPU GPU-1 7`, `rest of GPU GPU-1`, `resource i-1`, `model chat`."""
    kind, _, name = unit.partition(":")
    label = {"g": "GPU", "i": "MIG of GPU", "m": "rest of GPU", "r": "resource"}.get(kind, kind)
    return f"{label} {' '.join(name.replace(chr(31), ' ').split())}" if unit else ""


@dataclass(frozen=True)
class OwnerThen:
    """A row of the owners table that held on the day and names a model or feature of the chosen cells."""

    kind: str
    name: str
    team: str
    valid_from: datetime | None
    valid_to: datetime | None


@dataclass(frozen=True)
class StateThen:
    """What the day was computed from, and when."""

    run: Run
    snapshot: Snapshot | None  # that it read
    policy: PolicyChange | None  # its application; None: before there was a history
    idle_policy: str
    owners_since: Snapshot | None  # when the owners table of that time came into force
    owners: tuple[OwnerThen, ...]


@dataclass(frozen=True)
class ExplainedDay:
    """One day's shares, the largest first; `rest` is the cost of those beyond the limit.

    `behind` gives the dearest requests behind a share, so many at most; until the next day is asked for.
    """

    day: date
    state: StateThen
    total: Decimal
    shares: tuple[ExplainedShare, ...]
    rest: Decimal
    rest_count: int
    behind: Callable[[ExplainedShare, int], RequestsBehind | None] = field(repr=False, compare=False)

    @property
    def run(self) -> Run:
        return self.state.run


def explain(
    first: date,
    end: date,
    where: Mapping[str, Values] | None = None,
    scope: Scope = EVERYTHING,
    limit: int = 50,
    snapshot: int | None = None,
) -> Iterator[ExplainedDay]:
    """Explain the allocations of the days in [first, end) that match `where`, each day at its run's snapshot.

    `snapshot`: as they were published then, such as when a month was closed. A day without run is left out.
    Raises UsageError where a filter is not one of FILTERS.
    """
    cells = Cells(where or {}, scope)
    for day, run in queries.runs(first, end, snapshot).items():
        with closing(warehouse.connect()) as con:
            replayed = replay(con, day, run, cells)
            yield _day(con, day, run, replayed, cells, limit)


def _day(
    con: DuckDBPyConnection, day: date, run: Run, replayed: Replayed, cells: Cells, limit: int
) -> ExplainedDay:
    def behind(share: ExplainedShare, most: int) -> RequestsBehind | None:
        window = Window(share.unit, share.window_start, share.hourly)
        with only(con, window):
            of_type = Cells({**cells.where, "cost_type": share.cost_type}, cells.scope, in_window=True)
            return found_behind(con, replayed, window, of_type, most)

    rows = con.execute(steps.text("explained", cells=cells.sql), cells.values).fetchall()
    charges = _charges(con, {row[-1] for row in rows[:limit]})
    shares = tuple(replace(ExplainedShare(*row[:-1]), charges=charges[row[-1]]) for row in rows[:limit])
    costs = [row[-2] for row in rows]
    return ExplainedDay(
        day=day,
        state=_state(con, run, replayed, cells),
        total=sum(costs, Decimal(0)),
        shares=shares,
        rest=sum(costs[limit:], Decimal(0)),
        rest_count=len(costs[limit:]),
        behind=behind,
    )


def _charges(con: DuckDBPyConnection, groups: Collection[int]) -> Mapping[int, tuple[ExplainedCharge, ...]]:
    found: dict[int, list[ExplainedCharge]] = defaultdict(list)
    rows = con.execute(steps.text("explained_charges"), {"groups": sorted(groups)}).fetchall()
    for group, *charge in rows:
        found[group].append(ExplainedCharge(*charge))
    return defaultdict(tuple, {group: tuple(charges) for group, charges in found.items()})


def _state(con: DuckDBPyConnection, run: Run, replayed: Replayed, cells: Cells) -> StateThen:
    owners = replayed.world.of("owners")
    since = [file.since_snapshot for file in owners if isinstance(file, ManifestFile)]
    named = con.execute(steps.text("explained_owners", cells=cells.sql), cells.values).fetchall()
    return StateThen(
        run=run,
        snapshot=Snapshot.objects.filter(pk=run.computed_from).first(),
        policy=PolicyChange.objects.filter(version=run.policy_version).first(),
        idle_policy=replayed.world.policy.idle,
        owners_since=Snapshot.objects.filter(pk=max(since)).first() if since else None,
        owners=tuple(OwnerThen(*row) for row in named),
    )
