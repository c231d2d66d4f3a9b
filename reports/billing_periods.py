"""Billing periods as months: open, closed or reopened, and the days that their bills touch."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Max, Min, QuerySet

from finops.core import warehouse
from finops.core.errors import NotThere
from finops.core.models import ManifestFile
from finops.core.periods import next_month, parse_month
from reports.models import ClosedMonth
from reports.selection import Span


class NoSuchVersion(NotThere):
    """The month was not closed so often, or never."""

    def __init__(self, period: str, version: int) -> None:
        closed = [str(row.version) for row in _versions(period).order_by("version")]
        there = f"it was closed as version {', '.join(closed)}" if closed else "it was never closed"
        super().__init__(f"{period} has no version {version}: {there}")


@dataclass(frozen=True)
class MonthState:
    """A billing period and where it is in its life."""

    period: str
    state: str  # open, closed
    version: int  # the one in force, or that the next close will make
    closed: ClosedMonth | None  # the newest version, reopened or not
    versions: tuple[ClosedMonth, ...] = ()


def months() -> list[MonthState]:
    """Every billing period that has a bill or was ever closed, and the one that corrections go to; newest first."""
    versions: dict[str, list[ClosedMonth]] = defaultdict(list)
    for row in ClosedMonth.objects.defer("ledger").order_by("period", "version"):
        versions[row.period].append(row)
    found = []
    for period in sorted({*known_periods(), *versions}, reverse=True):
        newest = versions[period][-1] if period in versions else None
        is_closed = newest is not None and newest.reopened_at is None
        version = newest.version if newest and is_closed else (newest.version + 1 if newest else 1)
        found.append(
            MonthState(
                period, "closed" if is_closed else "open", version, newest, tuple(versions.get(period, ()))
            )
        )
    return found


def delivered(snapshot: int | None = None) -> list[str]:
    """The billing periods of which there is a bill, newest first."""
    bills = warehouse.files("charges", snapshot)
    return sorted({file.partition.rsplit("/", 1)[-1] for file in bills}, reverse=True)


def known_periods(snapshot: int | None = None) -> set[str]:
    """Those with a bill, those that are closed, and the one after them where none of them is open."""
    closed = closed_months()
    known = {*delivered(snapshot), *closed}
    newest = max(known, default=None)
    if newest in closed:
        known.add(next_month(parse_month(newest)).strftime("%Y-%m"))
    return known


def closed_months() -> dict[str, ClosedMonth]:
    """The versions in force of the months that are closed now."""
    return {row.period: row for row in ClosedMonth.objects.filter(reopened_at=None).defer("ledger")}


def newest_closed_snapshot() -> int:
    """The last at which a month was closed, reopened since or not; 0 where none was."""
    return ClosedMonth.objects.aggregate(newest=Max("snapshot"))["newest"] or 0


def closed_version(period: str, version: int) -> ClosedMonth | None:
    """The month as it was closed that time, reopened since or not."""
    return _versions(period).filter(version=version).first()


def _versions(period: str) -> QuerySet[ClosedMonth]:
    return ClosedMonth.objects.filter(period=period).defer("ledger")


def next_version(period: str) -> int:
    newest = ClosedMonth.objects.filter(period=period).aggregate(newest=Max("version"))["newest"]
    return (newest or 0) + 1


def days_of(period: str) -> tuple[date, date] | None:
    """The days [first, end) that any bill of the period, in force or not, ever touched; None: not known."""
    span = ManifestFile.objects.filter(dataset="charges", partition__endswith=f"/{period}").aggregate(
        first=Min("first_day"), last=Max("last_day")
    )
    if span["first"] is None:
        return None
    return span["first"], span["last"] + timedelta(days=1)


def days_of_bill(billing_period: str) -> Span:
    """The days that the charges of a billing period touch, which may be more than its month."""
    first = parse_month(billing_period)
    spans = [
        (file.first_day, file.last_day)
        for file in warehouse.files("charges")
        if file.partition.endswith(f"/{billing_period}") and file.first_day and file.last_day
    ]
    return Span(
        min([first, *(start for start, _ in spans)]),
        max([next_month(first), *(last + timedelta(days=1) for _, last in spans)]),
    )
