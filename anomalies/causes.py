"""Reads what a change is explained by: what was asked and paid then and now, and on which machines."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources

from duckdb import DuckDBPyConnection

from anomalies import root_cause
from anomalies.root_cause import MACHINES, MIX, PRICE, REQUESTS, TOKENS, Span
from finops.core import warehouse

Placed = set[tuple[str, str]]  # (model, resource) that had to do with each other

EXPLAINS = Decimal("0.7")  # a narrower slice stands for a wider one if it has this much of the change
_SHOWS_IN = {  # the keys by which a factor may be that of one slice, the narrowest first
    **dict.fromkeys((REQUESTS, MIX, TOKENS), ("tenant", "feature")),
    **dict.fromkeys((MACHINES, PRICE), ("resource",)),
}


@cache
def sql(name: str) -> str:
    return resources.files("anomalies").joinpath(f"sql/{name}.sql").read_text()


@dataclass
class Compared:
    """One model's spans, and the change by narrower slices: (key, value, team)."""

    before: Span = field(default_factory=Span)
    now: Span = field(default_factory=Span)
    by_slice: dict[tuple[str, str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_team: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def contributions(self) -> dict[str, Decimal]:
        return root_cause.contributions(self.before, self.now)

    def most_of(self, factor: str) -> tuple[str, str]:
        """The key and value of the one slice that most of what moved lies in; empty where there is none."""
        for key in _SHOWS_IN.get(factor, ()):
            amounts: dict[str, Decimal] = defaultdict(Decimal)
            for (name, value, _), amount in self.by_slice.items():
                if name == key:
                    amounts[value] += amount
            moved = sum((abs(amount) for amount in amounts.values()), Decimal(0))
            for value, amount in amounts.items():
                if moved and abs(amount) >= EXPLAINS * moved:
                    return key, value
        return "", ""


def placed(con: DuckDBPyConnection, snapshot: int, days: Iterable[date]) -> Placed:
    """Which models had to do with which resources on these days."""
    wanted = sorted(set(days))
    if not wanted:
        return set()
    for dataset in ("requests", "key_names", "place_names", "gpu_samples", "charges"):
        files = [
            file
            for day in wanted
            for file in warehouse.files(dataset, snapshot, touching=(day, day + timedelta(days=1)))
        ]
        warehouse.view(con, dataset, list({file.path: file for file in files}.values()))
    warehouse.open_view(con, "hosts", snapshot)
    warehouse.open_view(con, "unit_windows", snapshot, touching=(wanted[0], wanted[-1] + timedelta(days=1)))
    return set(con.execute(sql("placed"), {"days": wanted}).fetchall())


def open_days(con: DuckDBPyConnection, snapshot: int, days: Sequence[date]) -> None:
    for dataset in ("allocation_days", "request_days", "unit_windows"):
        warehouse.open_view(con, dataset, snapshot, touching=(min(days), max(days) + timedelta(days=1)))


def of_models(
    con: DuckDBPyConnection,
    now: Sequence[date],
    before: Sequence[date],
    where: Mapping[str, str],
    teams: Sequence[str] = (),
) -> dict[str, Compared]:
    """Usage, idle and requests of each model, of these teams (none named: of all), then and now.

    `where`: a model, and a tenant or feature of it; empty values are any.
    """
    wanted = {name: where.get(name, "") for name in ("model", "tenant", "feature")}
    found: dict[str, Compared] = defaultdict(Compared)
    for is_now, model, tenant, feature, team, usage, idle, requests, tokens in con.execute(
        sql("parts"), {"now": list(now), "before": list(before), "teams": list(teams), **wanted}
    ).fetchall():
        compared = found[model]
        span = compared.now if is_now else compared.before
        change = (usage + idle) * (1 if is_now else -1)
        name = f"{tenant}\x1f{feature}\x1f{team}"
        span.idle += idle
        if usage or requests:
            span.usage[name] = span.usage.get(name, Decimal(0)) + usage
            span.requests[name] = span.requests.get(name, 0) + requests
            span.tokens[name] = span.tokens.get(name, 0) + tokens
        compared.by_team[team] += change
        for key, value in (("tenant", tenant), ("feature", feature)):
            if value and not wanted[key]:
                compared.by_slice[key, value, team] += change
    return found


def add_machines(
    con: DuckDBPyConnection,
    compared: Compared,
    now: Sequence[date],
    before: Sequence[date],
    resources_: Sequence[str],
) -> None:
    """Hours and cost of these resources, then and now."""
    for is_now, resource, seconds, usage, idle in con.execute(
        sql("machines"), {"now": list(now), "before": list(before), "resources": list(resources_)}
    ).fetchall():
        span = compared.now if is_now else compared.before
        span.machine_seconds[resource] = seconds
        span.machine_cost[resource] = usage + idle
        span.machine_idle[resource] = idle
        compared.by_slice["resource", resource, ""] += (usage + idle) * (1 if is_now else -1)


@dataclass(frozen=True)
class Reason:
    """What one factor of one model added to the cost; `key` and `value` where it is mostly that of one slice."""

    model: str
    factor: str
    amount: Decimal
    key: str = ""
    value: str = ""


def reasons(
    teams: Sequence[Sequence[str]], now: Sequence[date], before: Sequence[date], snapshot: int
) -> Iterator[list[Reason]]:
    """For each set of teams, why its usage and idle differ between the days; the largest first.

    The amounts sum to the difference exactly.
    """
    if not now or not before:
        yield from ([] for _ in teams)
        return
    with closing(warehouse.connect()) as con:
        links = placed(con, snapshot, (max(now), max(before)))
        open_days(con, snapshot, [*now, *before])
        for names in teams:
            found = []
            for model, compared in of_models(con, now, before, {}, names).items():
                add_machines(con, compared, now, before, sorted(r for m, r in links if m == model))
                found += [
                    Reason(model, factor, amount, *compared.most_of(factor))
                    for factor, amount in compared.contributions().items()
                ]
            yield sorted(found, key=lambda one: -abs(one.amount))
