"""An event described as an incident: its figures, its chart, what made the change and whom it concerns."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from duckdb import DuckDBPyConnection

from anomalies import causes
from anomalies.causes import Placed
from anomalies.events import Event, lead
from anomalies.findings import Finding
from anomalies.models import Incident
from anomalies.slices import Days, Slice
from finops.core import warehouse

SHOWN_BEFORE = 28  # days of a chart before the onset
COMPARED = 7  # days at most that causes are found in


def described(
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
    actual = sum((table.money(first.metric, day) for day in first.episode.days), Decimal(0))
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
