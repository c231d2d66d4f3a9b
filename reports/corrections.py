"""Corrections: what a closed month would say today, less what it said, on the first open month after it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.conf import settings
from duckdb import DuckDBPyConnection

from finops.core import warehouse
from finops.core.errors import FinopsError
from finops.core.money import largest_remainder, minor_unit
from finops.core.periods import ChargePeriod
from reports.billing_periods import closed_months, days_of, known_periods
from reports.cost_centers import cost_centers
from reports.lines import CORRECTION, ZERO, Line, LineKey, exact_lines, key_of, on_statements, rounded
from reports.models import ClosedMonth, StatementLine
from reports.queries import sql


@dataclass(frozen=True)
class Change:
    """What one day of a corrected line was and is now."""

    day: date
    source: str
    billing_account: str
    service_category: str
    was: Decimal
    now: Decimal

    @property
    def difference(self) -> Decimal:
        return self.now - self.was


@dataclass(frozen=True)
class _Booked:
    """What closed months in force hold of one billing period, corrections included."""

    exact: Mapping[LineKey, Decimal]
    cost_centers: Mapping[LineKey, str]
    amount: Decimal
    snapshot: int  # of the newest close that took its changes into account


def corrections(con: DuckDBPyConnection, period: str, snapshot: int) -> list[Line]:
    """The corrections of closed months that this open month carries."""
    return [
        line for closed in _corrected_in(period, snapshot) for line in _corrections_of(con, closed, snapshot)
    ]


def _corrected_in(period: str, snapshot: int) -> list[ClosedMonth]:
    """The closed months whose changes this open month has to carry: it is the first open one after them."""
    closed = closed_months()
    still_open = known_periods(snapshot) - closed.keys()
    return [
        row
        for earlier, row in sorted(closed.items())
        if min((one for one in still_open if one > earlier), default=None) == period
    ]


def _booked(closed: ClosedMonth) -> _Booked:
    rows = StatementLine.objects.filter(period=closed.period, month__reopened_at=None).select_related("month")
    exact: dict[LineKey, Decimal] = defaultdict(lambda: ZERO)
    centers: dict[LineKey, str] = {}
    amount, snapshot = ZERO, closed.snapshot
    for row in rows.defer("month__ledger"):
        exact[key_of(row)] += row.exact
        centers.setdefault(key_of(row), row.cost_center)
        amount += row.amount
        snapshot = max(snapshot, row.month.snapshot)
    return _Booked(exact, centers, amount, snapshot)


def _corrections_of(con: DuckDBPyConnection, closed: ClosedMonth, snapshot: int) -> list[Line]:
    """The lines that bring a closed month to what its bill says now.

    Only lines whose exact cost changed are corrected, also where that is less than a cent: those
    have an amount of 0 and keep the books exact. The amounts sum to the bill now, rounded, less
    what was booked.
    """
    booked = _booked(closed)
    changed = open_changes(con, closed.period, booked.snapshot, snapshot)
    if not changed:
        return []
    if closed.currency != settings.FINOPS_CURRENCY:
        raise FinopsError(
            f"{closed.period} was closed in {closed.currency}: "
            f"its bill cannot be corrected in {settings.FINOPS_CURRENCY}"
        )
    unit = minor_unit(closed.currency)
    now = {line.key: line.cost for line in exact_lines(con, closed.period, snapshot)}
    differences = {
        key: difference
        for key in sorted({*now, *booked.exact})
        if (difference := now.get(key, ZERO) - booked.exact.get(key, ZERO))
    }
    bill = largest_remainder({"bill": sum(now.values(), ZERO)}, unit)["bill"]
    amounts = rounded(differences, unit, bill - booked.amount)
    days = _changed_days(con, closed.period)
    whole = ChargePeriod.month(closed.period)
    centers = cost_centers(con, closed.period, snapshot)
    lines = []
    for key, difference in differences.items():
        first, last = days.get(key, (whole.start.date(), whole.end.date() - timedelta(days=1)))
        lines.append(
            Line(
                key=key,
                period=closed.period,
                charge_class=CORRECTION,
                charge_period_start=first,
                charge_period_end=last + timedelta(days=1),
                cost_center=booked.cost_centers.get(key) or centers.of(key),
                exact=difference,
                amount=amounts[key],
            )
        )
    return lines


def open_changes(con: DuckDBPyConnection, period: str, earlier: int, later: int) -> bool:
    """Make the views `was` and `now`: the days of the period attributed anew between two snapshots.

    False, and no views, where there are none.
    """
    touching = days_of(period)
    was = {file.path: file for file in warehouse.files("allocation_days", earlier, touching=touching)}
    now = {file.path: file for file in warehouse.files("allocation_days", later, touching=touching)}
    if was.keys() == now.keys():
        return False
    gone = [file for path, file in was.items() if path not in now]
    new = [file for path, file in now.items() if path not in was]
    warehouse.view(con, "allocation_days", gone, "was_days", temp=True)
    warehouse.view(con, "allocation_days", new, "now_days", temp=True)
    return True


def changes(con: DuckDBPyConnection, period: str) -> Iterator[tuple[LineKey, Change]]:
    """The changed days of every line, once `open_changes` has made the views."""
    query = sql("corrected_days").format(was=on_statements("was_days"), now=on_statements("now_days"))
    for row in con.execute(query, {"periods": [period]}).fetchall():
        yield LineKey(*row[:6]), Change(*row[6:])


def _changed_days(con: DuckDBPyConnection, period: str) -> dict[LineKey, tuple[date, date]]:
    """The first and the last changed day of every line."""
    days: dict[LineKey, tuple[date, date]] = {}
    for key, change in changes(con, period):
        first, last = days.get(key, (change.day, change.day))
        days[key] = (min(first, change.day), max(last, change.day))
    return days
