"""A span of days under another policy, beside what was said of them: exact, and changing nothing.

The days are computed as `attribute` would compute them at this moment; their files are read and deleted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from attribution import queries
from attribution.day import LOOK_BACK, ROLLED_UP, Computed, compute_day, compute_rollup, roll_up_policy
from attribution.policy import Policy, parse
from attribution.run import Progress, side_by_side
from attribution.world import World
from finops.core import warehouse
from finops.core.errors import UsageError
from finops.core.warehouse import NewFile

GROUPS = ("team", "tenant", "model", "cost_type", "pool")
_READ = ("allocation_days", "charge_days")


@dataclass(frozen=True)
class Change:
    """What one name costs today and would cost, in the reporting currency."""

    name: str
    now: Decimal
    then: Decimal

    @property
    def difference(self) -> Decimal:
        return self.then - self.now


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


def preview(
    text: str, first: date, end: date, *, workers: int = 1, progress: Progress | None = None
) -> Preview:
    """Compare the policy `text` with what is published of the days in [first, end); days without run are left out.

    Raises PolicyError where the text is no policy, UsageError where none of the days is attributed.
    """
    wanted = parse(text)
    days = list(queries.runs(first, end))
    if not days:
        raise UsageError(
            f"no day from {first} to before {end} is attributed: there is nothing to compare with"
        )
    now = World.at(warehouse.latest())
    then = now.under(wanted)
    rolled: list[NewFile] = []
    try:
        if roll_up_policy(wanted) != roll_up_policy(now.policy):
            rolled = _rolled_up(then, days, workers, progress)
            then = then.with_files(ROLLED_UP, rolled)
        sums: dict[str, dict[str, list[Decimal]]] = {
            group: defaultdict(lambda: [Decimal(0), Decimal(0)]) for group in GROUPS
        }
        rules: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
        jobs = ((lambda day=day: compute_day(then.on(day), day, threads=1, datasets=_READ)) for day in days)
        for number, computed in enumerate(side_by_side(jobs, workers), 1):
            try:
                _compare(now, computed, sums, rules)
            finally:
                _remove(computed.files)
            if progress:
                progress("preview", computed.day, number, len(days))
    finally:
        _remove(rolled)
    changes = {group: _changes(found) for group, found in sums.items()}
    totals = [sum((pair[side] for pair in sums["cost_type"].values()), Decimal(0)) for side in (0, 1)]
    moved = [RuleChange(*names, cost=cost) for names, cost in rules.items() if cost]
    return Preview(
        first,
        end,
        tuple(days),
        changes,
        sorted(moved, key=lambda one: -abs(one.cost)),
        reasons(now.policy, wanted),
        totals[0],
        totals[1],
    )


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


def _rolled_up(world: World, days: Sequence[date], workers: int, progress: Progress | None) -> list[NewFile]:
    """The requests of the days, and of those they look back to, weighed by the world's policy."""
    with_requests = {file.first_day for file in world.of("requests")}
    back = range(LOOK_BACK.days + 1)
    span = sorted({day - timedelta(days=number) for day in days for number in back} & with_requests)
    jobs = ((lambda day=day: compute_rollup(world, day, {}, 1)) for day in span)
    files: list[NewFile] = []
    try:
        for number, computed in enumerate(side_by_side(jobs, workers), 1):
            files += computed.files
            if progress:
                progress("roll-up", computed.day, number, len(span))
    except BaseException:
        _remove(files)
        raise
    return files


def _compare(
    now: World,
    computed: Computed,
    sums: Mapping[str, dict[str, list[Decimal]]],
    rules: dict[tuple[str, str, str, str], Decimal],
) -> None:
    allocations, charges = computed.files
    day = computed.day
    span = (day, day + timedelta(days=1))
    with closing(warehouse.connect(threads=1)) as con:
        now.view(con, "allocation_days", *span)
        warehouse.view(con, "allocation_days", [allocations], "allocation_days_then")
        for group, found in sums.items():
            for side, name in enumerate(("allocation_days", "allocation_days_then")):
                for value, cost in con.execute(
                    f"select {group}, sum(cost) from {name} where day = $day group by {group}", {"day": day}
                ).fetchall():
                    found[value][side] += cost
        now.view(con, "charge_days", *span)
        warehouse.view(con, "charge_days", [charges], "charge_days_then")
        for rule, goes, then_rule, then_goes, cost in con.execute(
            """
            select before.rule, before.disposition || ' ' || before.target, after.rule,
                after.disposition || ' ' || after.target, sum(after.cost)
            from charge_days as before
            join charge_days_then as after
                using (source, billing_account, billing_period, file, line)
            where before.day = $day
                and (before.rule, before.disposition, before.target) <> (after.rule, after.disposition, after.target)
            group by all
            """,
            {"day": day},
        ).fetchall():
            rules[rule, goes.strip(), then_rule, then_goes.strip()] += cost or 0


def _changes(found: Mapping[str, list[Decimal]]) -> list[Change]:
    changed = [Change(name, now, then) for name, (now, then) in found.items() if now != then]
    return sorted(changed, key=lambda one: (-abs(one.difference), one.name))


def _remove(files: Iterable[NewFile]) -> None:
    for file in files:
        (warehouse.folder() / file.path).unlink(missing_ok=True)
