"""The reads of incidents that other apps may use, within a reader's scope."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.utils import timezone

from anomalies.causes import Reason, reasons
from anomalies.models import Incident
from finops.core.access import EVERYTHING, Scope

__all__ = [
    "Amount",
    "Detail",
    "Point",
    "Reason",
    "detail",
    "incidents",
    "incidents_between",
    "reasons",
    "set_state",
]


@dataclass(frozen=True)
class Point:
    """A day of an incident's chart; what was expected, and within which bounds, on the days that were not normal."""

    day: date
    actual: Decimal | None
    expected: Decimal | None
    lower: Decimal | None
    upper: Decimal | None


@dataclass(frozen=True)
class Amount:
    """A factor's or a slice's part of the change of a day; `key` is empty for a factor."""

    key: str
    name: str
    amount: Decimal


@dataclass(frozen=True)
class Detail:
    incident: Incident
    points: list[Point]
    factors: list[Amount]  # they sum to incident.change
    slices: list[Amount]  # by tenant, feature and resource: each key by itself sums at most to the change
    moved: list[dict[str, str]]  # other series of the same event: slice columns, metric, onset, impact
    now: list[date]  # the days compared, and
    before: list[date]  # what they are compared with


def incidents(scope: Scope = EVERYTHING, state: str = "") -> QuerySet[Incident]:
    """The incidents a reader may see, newest first: their team's, or all."""
    found = Incident.objects.all()
    if scope.teams is not None:
        found = found.filter(team__in=scope.teams)
    return found.filter(state=state) if state else found


def incidents_between(first: date, end: date, scope: Scope = EVERYTHING) -> list[Incident]:
    """Those with a day in [first, end), the largest impact first."""
    found = incidents(scope).filter(onset__lt=end, last_day__gte=first)
    return sorted(found, key=lambda one: -abs(one.impact))


def detail(pk: int, scope: Scope = EVERYTHING) -> Detail | None:
    """One incident with its chart and causes; None where it is not there or not to be seen.

    A reader of some teams sees other teams' part of the change as one sum, without names.
    """
    incident = incidents(scope).filter(pk=pk).first()
    if incident is None:
        return None
    slices, others = [], Decimal(0)
    for row in incident.slices:
        if row["key"] == "resource" or scope.sees(row["team"]):
            slices.append(Amount(row["key"], row["value"], Decimal(row["amount"])))
        elif row["key"] == "feature":
            others += Decimal(row["amount"])
    if others:
        slices.append(Amount("feature", "of other teams", others))
    return Detail(
        incident,
        [
            Point(
                date.fromisoformat(row["day"]),
                *(_decimal(row[name]) for name in ("actual", "expected", "lower", "upper")),
            )
            for row in incident.series
        ],
        [Amount("", row["factor"], Decimal(row["amount"])) for row in incident.factors],
        slices,
        incident.moved if scope.teams is None else [],
        [date.fromisoformat(day) for day in incident.compared["now"]],
        [date.fromisoformat(day) for day in incident.compared["before"]],
    )


def set_state(incident: Incident, state: str, by: AbstractBaseUser, note: str = "") -> None:
    """A person takes an incident up, or lays it down."""
    if state not in Incident.STATES:
        raise ValueError(f"{state!r} is no state of an incident")
    incident.state, incident.note = state, note
    incident.changed_by, incident.changed_at = by.get_username(), timezone.now()
    incident.save(update_fields=["state", "note", "changed_by", "changed_at"])


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
