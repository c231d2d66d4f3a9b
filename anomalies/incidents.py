"""From the warehouse's days to incidents: slices judged, what belongs together merged, causes found, kept.

Complete days only. A change that shows in a machine, its model, the model's tenants and their unit cost is
one event and becomes one incident, named by the narrowest slice that explains most of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import transaction
from duckdb import DuckDBPyConnection

from anomalies import causes, detection
from anomalies.causes import EXPLAINS, Placed
from anomalies.models import Incident
from attribution import queries as attribution
from finops.core import warehouse

Progress = Callable[[int, int], None]
Floats = detection.Floats

LEAST_SHARE = 0.0025  # of the organisation's usual day: a smaller change is not worth a word
LEAST = 1.0  # and never less than this, in the reporting currency
RIPPLE = Decimal("0.5")  # a later change as small as this against an incident under way is part of it
METRICS = {
    "model": ("cost", "unit_cost", "idle"),
    "tenant": ("cost", "unit_cost"),
    "feature": ("cost", "unit_cost"),
    "resource": ("cost", "idle"),
}
FEW = 10  # requests of a day below which a slice's cost is chance
VARIETY = 1.5  # spread of the cost of single requests, against their mean
SHOWN_BEFORE = 28  # days of a chart before the onset
COMPARED = 7  # days at most that causes are found in


@dataclass(frozen=True)
class Slice:
    """A model, a tenant or feature of a model, or a resource."""

    kind: str
    model: str = ""
    tenant: str = ""
    feature: str = ""
    resource: str = ""

    @property
    def columns(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("model", "tenant", "feature", "resource")}


@dataclass
class Days:
    """A slice's figures, one entry for each complete day: money exact, predictions counted."""

    cost: list[Decimal]
    usage: list[Decimal]
    idle: list[Decimal]
    predictions: list[int]
    requests: list[int]

    @classmethod
    def nothing(cls, count: int) -> "Days":
        return cls([Decimal(0)] * count, [Decimal(0)] * count, [Decimal(0)] * count, [0] * count, [0] * count)

    def values(self, metric: str) -> Floats:
        """The metric as statistics need it; NaN where it has no figure."""
        if metric != "unit_cost":
            return np.array([float(amount) for amount in getattr(self, metric)])
        return np.array(
            [float(c) / n if n else np.nan for c, n in zip(self.usage, self.predictions, strict=True)]
        )

    def weights(self, metric: str) -> Floats:
        """What turns a distance of the metric into money."""
        if metric == "unit_cost":
            return np.array(self.predictions, dtype=float)
        return np.ones(len(self.predictions))


@dataclass(frozen=True)
class Finding:
    """An episode of one metric of one slice."""

    where: Slice
    metric: str
    episode: detection.Episode
    onset: date
    money: dict[date, Decimal]  # actual - expected of each of its days

    @property
    def impact(self) -> Decimal:
        return sum(self.money.values(), Decimal(0))

    @property
    def launch(self) -> bool:
        return self.metric == "cost" and self.episode.expected[0] == 0


@dataclass
class Event:
    """Findings that are one change."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def onset(self) -> date:
        return min(one.onset for one in self.findings)

    def money(self, day: date) -> Decimal:
        return max((abs(one.money.get(day, Decimal(0))) for one in self.findings), default=Decimal(0))

    def under_way(self, day: date) -> bool:
        return any(one.onset <= day <= max(one.money) for one in self.findings)


@dataclass(frozen=True)
class Report:
    """What a run of detection did."""

    first: date | None
    last: date | None
    slices: int
    found: list[Incident]
    new: int
    gone: int  # no longer shown by the figures, and resolved


def detect(progress: Progress | None = None) -> Report:
    """Judge every complete day anew and keep the incidents; the same figures give the same rows."""
    snapshot = warehouse.latest()
    days = attribution.complete_days()
    if not days:
        return Report(None, None, 0, [], 0, 0)
    with closing(warehouse.connect()) as con:
        tables = _read(con, snapshot, days)
        findings = sorted(
            _findings(tables, days, progress), key=lambda one: (one.onset, -abs(one.impact), str(one.where))
        )
        placed = causes.placed(
            con, snapshot, (one.onset - timedelta(days=n) for one in findings for n in (0, 1))
        )
        events = together(findings, placed)
        incidents = [_incident(con, snapshot, event, tables, days, placed) for event in events]
    new, gone = _keep(incidents)
    return Report(days[0], days[-1], len(tables), incidents, new, gone)


# ---- reading and judging ----


def _read(con: DuckDBPyConnection, snapshot: int, days: Sequence[date]) -> dict[Slice, Days]:
    causes.open_days(con, snapshot, days)
    place = {day: number for number, day in enumerate(days)}
    tables: dict[Slice, Days] = {}
    for kind, model, tenant, feature, resource, day, cost, usage, idle, predictions, requests in con.execute(
        causes.sql("slices"), {"start": days[0], "end": days[-1] + timedelta(days=1)}
    ).fetchall():
        if day not in place:
            continue
        where = Slice(kind, model, tenant, feature, resource)
        table = tables.setdefault(where, Days.nothing(len(days)))
        number = place[day]
        table.cost[number], table.usage[number], table.idle[number] = cost, usage, idle
        table.predictions[number], table.requests[number] = predictions, requests
    return dict(sorted(tables.items(), key=lambda one: str(one[0])))


def _findings(
    tables: Mapping[Slice, Days], days: Sequence[date], progress: Progress | None
) -> Iterator[Finding]:
    weekdays = np.array([day.weekday() for day in days], dtype=np.int64)
    least = _least(tables, len(days))
    for number, (where, table) in enumerate(tables.items(), 1):
        if progress:
            progress(number, len(tables))
        if float(max(table.cost)) < least.min():
            continue
        doubt, silent = _doubt(where, table)
        for metric in METRICS[where.kind]:
            values, weights = table.values(metric), table.weights(metric)
            with np.errstate(divide="ignore"):
                floor = np.where((weights > 0) & ~silent, least / weights, np.inf)
            for episode in detection.episodes(values, weekdays, floor, doubt):
                yield Finding(
                    where,
                    metric,
                    episode,
                    days[episode.onset],
                    {
                        days[day]: _money(table, metric, day) - _decimal(expected * weights[day])
                        for day, expected in zip(episode.days, episode.expected, strict=True)
                    },
                )


def _doubt(where: Slice, table: Days) -> tuple[Floats, detection.Flags]:
    """How uncertain each day is for resting on few requests, as a share; and which days say nothing at all."""
    requests = np.array(table.requests, dtype=float)
    if where.kind == "resource":
        return np.zeros(len(requests)), np.zeros(len(requests), dtype=bool)
    usual = np.array(
        [np.median(requests[max(0, day - 28) : day] if day else requests[:1]) for day in range(len(requests))]
    )
    return VARIETY / np.sqrt(np.maximum(usual, 1.0)), np.maximum(usual, requests) < FEW


def _least(tables: Mapping[Slice, Days], count: int) -> Floats:
    """The smallest change of each day that matters: a share of what a day usually cost until then."""
    total = np.sum([table.values("cost") for where, table in tables.items() if where.kind == "model"], axis=0)
    usual = [float(np.median(total[: day + 1])) for day in range(count)] if np.ndim(total) else [0.0] * count
    return np.maximum(LEAST_SHARE * np.array(usual), LEAST)


def _money(table: Days, metric: str, day: int) -> Decimal:
    amounts: list[Decimal] = table.usage if metric == "unit_cost" else getattr(table, metric)
    return amounts[day]


def _decimal(number: float) -> Decimal:
    return Decimal(f"{number:.6f}")


# ---- what belongs together ----


def together(findings: Sequence[Finding], placed: Placed) -> list[Event]:
    """Findings merged into events: related slices that change within a day, and the ripples of what is under way."""
    events: list[Event] = []
    for finding in findings:
        begun = [event for event in events if _begins_with(finding, event, placed)]
        home = next(
            (event for event in (*begun, *events) if event in begun or _ripples(finding, event)), None
        )
        if home is None:
            events.append(Event([finding]))
            continue
        home.findings.append(finding)
        for other in begun[1:]:  # it joins what seemed apart
            home.findings += other.findings
            events.remove(other)
    return events


def _begins_with(finding: Finding, event: Event, placed: Placed) -> bool:
    return (finding.onset - event.onset).days <= 1 and any(
        _related(finding.where, other.where, placed) for other in event.findings
    )


def _ripples(finding: Finding, event: Event) -> bool:
    """Whether it is a late and small sign of what goes on with its model anyway, in the same direction."""
    return (
        finding.where.model != ""
        and finding.episode.sign == event.findings[0].episode.sign
        and any(other.where.model == finding.where.model for other in event.findings)
        and event.under_way(finding.onset)
        and abs(finding.money[finding.onset]) <= RIPPLE * event.money(finding.onset)
    )


def _related(one: Slice, other: Slice, placed: Placed) -> bool:
    if one.kind == other.kind == "resource":
        return bool(
            {m for m, r in placed if r == one.resource} & {m for m, r in placed if r == other.resource}
        )
    if "resource" in (one.kind, other.kind):
        resource, model = (
            (one.resource, other.model) if one.kind == "resource" else (other.resource, one.model)
        )
        return (model, resource) in placed
    same = [(one.model, other.model), (one.tenant, other.tenant), (one.feature, other.feature)]
    return any(a == b != "" for a, b in same)


def lead(findings: Sequence[Finding]) -> Finding:
    """The finding that names the event: a launched model, else the narrowest slice with most of the change."""
    launched = [one for one in findings if one.where.kind == "model" and one.launch]
    if launched:
        return max(launched, key=lambda one: one.impact)
    widest = max(findings, key=lambda one: (abs(one.impact), one.where.kind == "model", one.metric == "cost"))
    alike = [one for one in findings if one.episode.sign == widest.episode.sign]
    most = [one for one in alike if abs(one.impact) >= EXPLAINS * abs(widest.impact)]
    for kind in ("resource", "tenant", "feature", "model"):
        named = [one for one in most if one.where.kind == kind]
        if named:
            whole = max(named, key=lambda one: abs(one.impact))
            idle = [
                one
                for one in named
                if one.metric == "idle"
                and one.where == whole.where
                and abs(one.impact) >= EXPLAINS * abs(whole.impact)
            ]
            dearest = next(one for one in named if one.where == whole.where and one.metric == whole.metric)
            # What is idle alone is told as idle; all else by its cost, where that moved.
            if idle and not any(
                one.metric == "unit_cost" and one.where.model == whole.where.model for one in alike
            ):
                return idle[0] if whole.metric != "unit_cost" else dearest
            costs = [one for one in named if one.where == whole.where and one.metric == "cost"]
            return costs[0] if costs else dearest
    return widest


# ---- incidents ----


def _incident(
    con: DuckDBPyConnection,
    snapshot: int,
    event: Event,
    tables: Mapping[Slice, Days],
    days: Sequence[date],
    placed: Placed,
) -> Incident:
    first = lead(event.findings)
    where, table = first.where, tables[first.where]
    models = (
        {model for model, resource in placed if resource == where.resource}
        if where.resource
        else {where.model}
    )
    model = where.model or (next(iter(models)) if len(models) == 1 else "")
    count = len(first.money)
    actual = sum((_money(table, first.metric, day) for day in first.episode.days), Decimal(0))
    incident = Incident(
        **{**where.columns, "model": model},
        metric=first.metric,
        onset=event.onset if first.onset - event.onset <= timedelta(days=1) else first.onset,
        last_day=max(first.money),
        days=count,
        direction="up" if first.episode.sign > 0 else "down",
        ongoing=max(first.money) == days[-1] or first.episode.settled,
        settled=first.episode.settled,
        launch=first.launch,
        actual=_rounded(actual / count),
        expected=_rounded((actual - first.impact) / count),
        impact=_rounded(first.impact),
        series=_series(first, table, days),
        moved=[
            {
                **one.where.columns,
                "metric": one.metric,
                "onset": str(one.onset),
                "impact": str(_rounded(one.impact)),
            }
            for one in sorted(event.findings, key=lambda one: -abs(one.impact))
            if one is not first
        ],
        snapshot=snapshot,
    )
    _explain(con, snapshot, incident, days, placed)
    return incident


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"))


def _series(finding: Finding, table: Days, days: Sequence[date]) -> list[dict[str, str | None]]:
    """The chart: the days before the onset, the episode with its bounds, and what came after."""
    expected = dict(zip(finding.episode.days, finding.episode.expected, strict=True))
    reach = dict(zip(finding.episode.days, finding.episode.reach, strict=True))
    values = table.values(finding.metric)
    rows: list[dict[str, str | None]] = []
    for day in range(max(0, finding.episode.onset - SHOWN_BEFORE), len(days)):
        known = day in expected
        actual = None if np.isnan(values[day]) else f"{values[day]:.12f}"
        rows.append(
            {
                "day": str(days[day]),
                "actual": actual,
                "expected": f"{expected[day]:.12f}" if known else None,
                "lower": f"{max(0.0, expected[day] - reach[day]):.12f}" if known else None,
                "upper": f"{expected[day] + reach[day]:.12f}" if known else None,
            }
        )
    return rows


def _explain(
    con: DuckDBPyConnection, snapshot: int, incident: Incident, days: Sequence[date], placed: Placed
) -> None:
    """Set what made the change: factors, slices, the days compared, and whom it concerns."""
    now, before = _compared(incident, days)
    incident.compared = {"now": [str(day) for day in now], "before": [str(day) for day in before]}
    compared = _compare(con, snapshot, incident, now, before, placed) if now else causes.Compared()
    count = max(len(now), 1)
    amounts = _per_day(compared.contributions(), count)
    incident.factors = [{"factor": factor, "amount": str(amount)} for factor, amount in amounts.items()]
    incident.change = sum(amounts.values(), Decimal(0))
    incident.slices = [
        {"key": key, "value": value, "team": team, "amount": str(_rounded(amount / count))}
        for (key, value, team), amount in sorted(compared.by_slice.items(), key=lambda one: -abs(one[1]))
        if abs(amount) / count >= Decimal("0.01")
    ][:12]
    by_team = compared.by_team
    incident.team = _owner(con, snapshot, incident, incident.onset) or (
        max(by_team, key=lambda team: abs(by_team[team])) if by_team else ""
    )


def _compare(
    con: DuckDBPyConnection,
    snapshot: int,
    incident: Incident,
    now: Sequence[date],
    before: Sequence[date],
    placed: Placed,
) -> causes.Compared:
    causes.open_days(con, snapshot, [*before, *now])
    compared = causes.Compared()
    if not incident.resource:
        compared = causes.of_models(con, now, before, incident.slice)[incident.model]
    machines = [incident.resource] if incident.resource else [r for m, r in placed if m == incident.model]
    causes.add_machines(con, compared, now, before, sorted(machines))
    if incident.resource:  # what its machine costs, busy or not
        for span in (compared.before, compared.now):
            span.idle = sum(span.machine_cost.values(), Decimal(0))
            span.machine_idle = dict(span.machine_cost)
    return compared


def _per_day(amounts: Mapping[str, Decimal], count: int) -> dict[str, Decimal]:
    """The factors of an average day, largest first; what rounding leaves is the largest one's."""
    rounded = {factor: _rounded(amount / count) for factor, amount in amounts.items()}
    whole = _rounded(sum(amounts.values(), Decimal(0)) / count)
    if rounded:
        rounded[next(iter(rounded))] += whole - sum(rounded.values(), Decimal(0))
    return rounded


def _compared(incident: Incident, days: Sequence[date]) -> tuple[list[date], list[date]]:
    """The first days of the incident, and as many of the same weekdays before it."""
    now = [day for day in days if incident.onset <= day <= incident.last_day][:COMPARED]
    known = {day for day in days if day < incident.onset}
    before = []
    for day in list(now):
        earlier = [day - timedelta(days=7 * n) for n in range(1, 9)]
        same = next((one for one in earlier if one in known), None)
        if same is None:
            now.remove(day)
        else:
            before.append(same)
    return now, before


def _owner(con: DuckDBPyConnection, snapshot: int, incident: Incident, day: date) -> str:
    warehouse.open_view(con, "owners", snapshot)
    found = con.execute(
        "select team from owners where kind = 'model' and name = $model and team <> '' "
        "and (valid_from is null or valid_from < $day::DATE + 1) and (valid_to is null or valid_to > $day::DATE)",
        {"model": incident.model, "day": day},
    ).fetchone()
    return found[0] if found else ""


# ---- keeping them ----

KEY = ("model", "tenant", "feature", "resource", "metric", "onset")
PERSONAL = {"id", "state", "note", "changed_by", "changed_at", "found_at"}


def _keep(found: Sequence[Incident]) -> tuple[int, int]:
    """Make the stored incidents those found: new ones added, known ones brought up to date, others resolved."""
    fields = [one.name for one in Incident._meta.get_fields() if one.name not in PERSONAL]
    new = 0
    with transaction.atomic():
        stored = list(Incident.objects.select_for_update())
        left = list(stored)
        for incident in found:
            known = _known(incident, left)
            if known is None:
                incident.save()
                new += 1
                continue
            left.remove(known)
            for name in fields:
                setattr(known, name, getattr(incident, name))
            known.save()
            incident.pk = known.pk
        gone = 0
        for incident in left:
            if incident.state != Incident.RESOLVED:
                incident.state, incident.note = Incident.RESOLVED, "no longer in the figures"
                incident.save(update_fields=["state", "note"])
                gone += 1
    return new, gone


def _known(incident: Incident, stored: Sequence[Incident]) -> Incident | None:
    """The row of the same event: same slice, metric and onset, or one that moved with it within a day."""
    for other in stored:
        if all(getattr(other, name) == getattr(incident, name) for name in KEY):
            return other
    for other in stored:
        if abs((other.onset - incident.onset).days) <= 1 and _members(other) & _members(incident):
            return other
    return None


def _members(incident: Incident) -> set[tuple[Any, ...]]:
    rows = [{**{name: getattr(incident, name) for name in KEY}}, *incident.moved]
    return {tuple(row[name] for name in KEY[:-1]) for row in rows}
