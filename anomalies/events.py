"""Events: findings that are one change.

A change that shows in a machine, its model, the model's tenants and their unit cost is one event, named by
the narrowest slice that explains most of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from anomalies.causes import EXPLAINS, Placed
from anomalies.findings import Finding
from anomalies.slices import Slice

RIPPLE = Decimal("0.5")  # a later change as small as this against an incident under way is part of it


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
