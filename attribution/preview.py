"""A span of days under another policy, beside what was said of them: exact, and changing nothing.

The days are computed as `attribute` computed them, from the same inputs, and only their sums are kept.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain

import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import queries, reconciliation, rollup, steps
from attribution.day import LOOK_BACK, ROLLED_UP, allocate, compute_rollup, find_charges
from attribution.inputs import digest, inputs_of_rollup, roll_up_policy
from attribution.models import Run
from attribution.policy import Policy, parse
from attribution.run import Progress, side_by_side
from attribution.world import World
from finops.core import warehouse
from finops.core.errors import UsageError
from finops.core.warehouse import NewFile

GROUPS = ("team", "tenant", "model", "cost_type", "pool")
_DAY = timedelta(days=1)

Sums = dict[tuple[str, str, str], Decimal]  # by one of GROUPS, its value and the cost type
Moved = dict[tuple[str, str, str, str], Decimal]  # cost of charges by rule and where it goes, now and then


@dataclass(frozen=True)
class Change:
    """What one name costs today and would cost, in the reporting currency."""

    name: str
    now: Decimal
    then: Decimal
    by_type: Mapping[str, Decimal] = field(
        default_factory=dict
    )  # the difference of each cost type that differs

    @property
    def difference(self) -> Decimal:
        return self.then - self.now

    def is_less_than(self, amount: Decimal) -> bool:
        """Whether neither the difference nor the part of any cost type comes to the amount."""
        return all(abs(one) < amount for one in (self.difference, *self.by_type.values()))


def together(name: str, changes: Sequence[Change]) -> Change:
    """Several as one."""
    by_type = defaultdict[str, Decimal](Decimal)
    for kind, cost in (part for one in changes for part in one.by_type.items()):
        by_type[kind] += cost
    now, then = sum((one.now for one in changes), Decimal(0)), sum((one.then for one in changes), Decimal(0))
    return Change(name, now, then, by_type)


@dataclass(frozen=True)
class Table:
    """The changes by one of GROUPS for a reader: `rows` and `rest` add up to `total`."""

    rows: list[Change]  # the largest difference first
    rest: list[Change]  # all other names, gathered under words
    total: Change


@dataclass(frozen=True)
class RuleChange:
    """Charges that another rule would take, and what they cost in the span."""

    rule: str
    goes: str  # disposition, and what the rule names
    then_rule: str
    then_goes: str
    cost: Decimal


@dataclass(frozen=True)
class Preview:
    """`changes` by each of GROUPS, the largest difference first; names whose cost stays are left out.

    `total_now` and `total_then` are the whole spans' allocations: they differ where charges enter or leave
    the scope, by the cost of those that are excluded or no longer so.
    """

    first: date
    end: date
    days: tuple[date, ...]
    changes: Mapping[str, list[Change]]
    rules: list[RuleChange]
    reasons: list[str]  # in words: what of the policy differs
    total_now: Decimal
    total_then: Decimal

    def table(self, group: str, unit: Decimal, most: int) -> Table:
        """The `most` largest changes; names whose difference rounds to nothing in units are gathered."""
        changes = self.changes[group]
        small = [one for one in changes if one.is_less_than(unit / 2)]
        large = [one for one in changes if not one.is_less_than(unit / 2)]
        more = large[most:]
        unchanged = self.total_now - sum((one.now for one in changes), Decimal(0))
        rest = [together(_others(more), more)] if more else []
        rest += [together(f"{_others(small)}, each by less than {unit:f}", small)] if small else []
        rest += [Change("without a difference", unchanged, unchanged)] if unchanged else []
        by_type = together("", changes).by_type
        return Table(large[:most], rest, Change("total", self.total_now, self.total_then, by_type))


def _others(changes: Sequence[Change]) -> str:
    return f"{len(changes):,} other{'s' if len(changes) > 1 else ''}"


def preview(
    text: str,
    first: date,
    end: date,
    *,
    holds_from: date | None = None,
    snapshot: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Preview:
    """Compare the policy `text` with what is published of the days in [first, end); days without run are left out.

    Each day is computed from what its run read: what came since is of no policy, and waits to be attributed.

    `holds_from`: earlier days keep the policy that they have, and the weights of their requests with it; None: the
    text holds on all days. Raises PolicyError where the text is no policy, UsageError where none of the days is attributed.
    """
    wanted = parse(text)
    runs = queries.runs(first, end, snapshot)
    days = list(runs)
    if not days:
        raise UsageError(
            f"no day from {first} to before {end} is attributed: there is nothing to compare with"
        )
    published = World.at(warehouse.latest() if snapshot is None else snapshot)
    now = _worlds(runs)
    others = {world.snapshot: world.under(wanted, holds_from) for world in now.values()}
    then = {day: others[world.snapshot] for day, world in now.items()}
    sums, moved = (
        _Totals(_published(published, days)),
        defaultdict[tuple[str, str, str, str], Decimal](Decimal),
    )
    with _rolled_up(now, then, workers, progress) as rolled:
        jobs = ((lambda day=day: _tried(published, rolled[day].on(day), day)) for day in days)
        for number, (day, found, rules) in enumerate(side_by_side(jobs, workers), 1):
            sums.add(found)
            for names, cost in rules.items():
                moved[names] += cost
            if progress:
                progress("preview", day, number, len(days))
    totals = [sum(sums.of("cost_type", side).values(), Decimal(0)) for side in (0, 1)]
    return Preview(
        first,
        end,
        tuple(days),
        {group: sums.changes(group) for group in GROUPS},
        sorted(
            (RuleChange(*names, cost=cost) for names, cost in moved.items() if cost),
            key=lambda one: (-abs(one.cost), one.rule, one.then_rule),
        ),
        _reasons_of_days(now, wanted),
        totals[0],
        totals[1],
    )


class _Totals:
    """What everything costs now, and would then."""

    def __init__(self, now: Sums) -> None:
        self.sides: tuple[Sums, Sums] = (now, defaultdict(Decimal))

    def add(self, then: Sums) -> None:
        for key, cost in then.items():
            self.sides[1][key] += cost

    def of(self, group: str, side: int) -> dict[tuple[str, str], Decimal]:
        return {(name, kind): cost for (of, name, kind), cost in self.sides[side].items() if of == group}

    def changes(self, group: str) -> list[Change]:
        now, then = self.of(group, 0), self.of(group, 1)
        names = {name for name, _ in now.keys() | then.keys()}
        by_name: dict[str, list[tuple[str, Decimal, Decimal]]] = {name: [] for name in names}
        for name, kind in sorted(now.keys() | then.keys()):
            by_name[name].append(
                (kind, now.get((name, kind), Decimal(0)), then.get((name, kind), Decimal(0)))
            )
        found = [
            Change(
                name,
                sum((one for _, one, _ in kinds), Decimal(0)),
                sum((other for _, _, other in kinds), Decimal(0)),
                {kind: other - one for kind, one, other in kinds if one != other},
            )
            for name, kinds in by_name.items()
        ]
        changed = [one for one in found if one.difference]
        return sorted(changed, key=lambda one: (-abs(one.difference), one.name))


_BY = " union all ".join(
    f"select '{group}' as of, {group} as name, cost_type, sum(cost) as cost from {{rows}} group by all"
    for group in GROUPS
)


def _published(now: World, days: Sequence[date]) -> Sums:
    with closing(warehouse.connect()) as con:
        now.view(con, "allocation_days", days[0], days[-1] + _DAY)
        rows = _BY.format(rows="(from allocation_days where list_contains($days::date[], day))")
        found = con.execute(rows, {"days": list(days)}).fetchall()
    return defaultdict(Decimal, {(of, name, kind): cost for of, name, kind, cost in found})


def _tried(now: World, then: World, day: date) -> tuple[date, Sums, Moved]:
    """One day under the other policy: its sums, and the charges that another rule took."""
    with closing(warehouse.connect(threads=1)) as con:
        params = rollup.day_params(day, then.currency, then.policy)
        find_charges(con, then, day, params)
        allocate(con, then, day, params)
        reconciliation.require_conserved(con)
        rows = _BY.format(
            rows="(select *, to_cost(pico) as cost from allocation join day_key using (cell_key))"
        )
        sums = {(of, name, kind): cost for of, name, kind, cost in con.execute(rows).fetchall()}
        return day, sums, _moved(con, now, day)


def _moved(con: DuckDBPyConnection, now: World, day: date) -> Moved:
    now.view(con, "charge_days", day, day + _DAY)
    found = con.execute(steps.text("moved_charges"), {"day": day}).fetchall()
    return {(rule, goes, then_rule, then_goes): cost for rule, goes, then_rule, then_goes, cost in found}


def _reasons_of_days(now: Mapping[date, World], wanted: Policy) -> list[str]:
    """What differs from the policies that the days were attributed by."""
    held = {world.on(day).policy_version: world.on(day).policy for day, world in now.items()}
    return list(dict.fromkeys(one for policy in held.values() for one in reasons(policy, wanted)))


def reasons(before: Policy, after: Policy) -> list[str]:
    """What differs between two policies, in words."""
    found = []
    if before.idle != after.idle:
        found.append(f"idle cost goes by {after.idle!r} instead of {before.idle!r}")
    if (before.tokens, before.model_tokens) != (after.tokens, after.model_tokens):
        found.append("tokens weigh differently")
    if before.prices != after.prices:
        changed = sorted(
            "/".join(name)
            for name in before.prices.keys() | after.prices.keys()
            if before.prices.get(name) != after.prices.get(name)
        )
        found.append(f"prices differ: {', '.join(changed)}")
    old_rules = {rule.name: rule for rule in before.rules}
    new_rules = {rule.name: rule for rule in after.rules}
    found += _named("rule", old_rules, new_rules)
    kept = [name for name in old_rules if name in new_rules]
    if kept != [name for name in new_rules if name in old_rules]:
        found.append("the rules stand in another order")
    found += _named(
        "pool", {pool.name: pool for pool in before.pools}, {pool.name: pool for pool in after.pools}
    )
    return found


def _named(kind: str, before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [
        *(f"{kind} {name!r} is new" for name in after if name not in before),
        *(f"{kind} {name!r} is gone" for name in before if name not in after),
        *(f"{kind} {name!r} differs" for name in after if name in before and after[name] != before[name]),
    ]


def _worlds(runs: Mapping[date, Run]) -> dict[date, World]:
    """What each run read; runs that read the same share it."""
    named: dict[str, pa.Table] = {}  # small files that most of them read
    snapshots = {run.computed_from for run in runs.values()}
    read = {snapshot: replace(World.at(snapshot), _named=named) for snapshot in snapshots}
    return {day: read[run.computed_from] for day, run in runs.items()}


@contextmanager
def _rolled_up(
    now: Mapping[date, World], then: Mapping[date, World], workers: int, progress: Progress | None
) -> Iterator[Mapping[date, World]]:
    """The other worlds of the days with the requests of these, and of those they look back to, weighed by its policies.

    Only days whose weights differ are rolled up; what is written for them goes again.
    """
    wanted: dict[tuple[date, str], World] = {}  # roll-ups by day and inputs, with a world that has these
    of_days: dict[date, dict[date, str]] = {}  # of each day: those that it looks at, by their inputs
    digests: dict[tuple[int, date], str] = {}  # by snapshot and day
    for day, world in then.items():
        with_requests = {file.first_day for file in world.of("requests")}
        for number in range(LOOK_BACK.days + 1):
            other = day - timedelta(days=number)
            there = world.on(other)
            if other in with_requests and roll_up_policy(there.policy) != roll_up_policy(
                now[day].on(other).policy
            ):
                known = (world.snapshot, other)
                if known not in digests:
                    digests[known] = digest(inputs_of_rollup(there, other))
                inputs = digests[known]
                wanted.setdefault((other, inputs), there)
                of_days.setdefault(day, {})[other] = inputs
    jobs = (
        (lambda one=one: (one, compute_rollup(wanted[one], one[0], {}, 1).files)) for one in sorted(wanted)
    )
    written: dict[tuple[date, str], list[NewFile]] = {}
    try:
        for number, (one, files) in enumerate(side_by_side(jobs, workers), 1):
            written[one] = files
            if progress:
                progress("roll-up", one[0], number, len(wanted))
        yield {
            day: _with(
                world, {other: written[other, inputs] for other, inputs in of_days.get(day, {}).items()}
            )
            for day, world in then.items()
        }
    finally:
        for file in chain.from_iterable(written.values()):
            (warehouse.folder() / file.path).unlink(missing_ok=True)


def _with(world: World, rolled_up: Mapping[date, Sequence[NewFile]]) -> World:
    """The world with these roll-ups of some days instead of its own."""
    if not rolled_up:
        return world
    kept = [file for name in ROLLED_UP for file in world.of(name) if file.first_day not in rolled_up]
    return world.with_files(ROLLED_UP, [*kept, *chain.from_iterable(rolled_up.values())])
