"""Closing a month and opening it again: who, when and why, and what stands in the way."""

from collections.abc import Sequence
from datetime import date, timedelta

from django.utils import timezone

from attribution import queries
from finops.core import warehouse
from finops.core.access import EVERYTHING
from finops.core.errors import FinopsError, UsageError
from finops.core.periods import next_month, parse_month
from ingest.models import Delivery
from reports import bridge, statements
from reports.billing_periods import days_of
from reports.ledger import ledger_csv
from reports.models import ClosedMonth, StatementLine


class CannotClose(FinopsError):
    """What stands in the way, one reason a line."""

    def __init__(self, period: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("\n".join([f"{period} cannot be closed:", *(f"  {reason}" for reason in reasons)]))


def close(period: str, by: str) -> ClosedMonth:
    """Freeze the month's statements as they are now, corrections of earlier months included.

    Nothing that is delivered or attributed meanwhile gets in between: the whole is done under the
    warehouse's commit lock. Raises CannotClose with every reason, FinopsError where it is closed already.
    """
    parse_month(period)
    with warehouse.the_commit_lock():
        already = ClosedMonth.objects.filter(period=period, reopened_at=None).first()
        if already:
            raise FinopsError(
                f"{period} is closed: version {already.version}, "
                f"{already.closed_at:%Y-%m-%d %H:%M} UTC by {already.closed_by}"
            )
        snapshot = warehouse.latest()
        reasons = obstacles(period, snapshot)
        if reasons:
            raise CannotClose(period, reasons)
        month = statements.open_month(period, snapshot)
        assert month.bill is not None  # it holds every statement
        closed = ClosedMonth.objects.create(
            period=period,
            version=month.version,
            snapshot=snapshot,
            currency=month.currency,
            bill=month.bill,
            ledger=ledger_csv(month),
            closed_at=timezone.now(),
            closed_by=by,
        )
        StatementLine.objects.bulk_create(
            StatementLine(
                month=closed,
                position=position,
                statement=line.key.statement,
                period=line.period,
                cost_type=line.key.cost_type,
                model=line.key.model,
                feature=line.key.feature,
                pool=line.key.pool,
                reason=line.key.reason,
                cost_center=line.cost_center,
                charge_class=line.charge_class,
                charge_period_start=line.charge_period_start,
                charge_period_end=line.charge_period_end,
                exact=line.exact,
                amount=line.amount,
            )
            for position, line in enumerate(month.lines, start=1)
        )
    return closed


def reopen(period: str, by: str, reason: str) -> ClosedMonth:
    """Open a closed month again, for a stated reason; what was closed stays readable as its version.

    Refused while a later closed month holds corrections of it: they would be counted twice.
    """
    parse_month(period)
    if not reason.strip():
        raise UsageError(f"reopening {period} needs a reason")
    with warehouse.the_commit_lock():
        closed = ClosedMonth.objects.filter(period=period, reopened_at=None).first()
        if closed is None:
            raise FinopsError(f"{period} is not closed")
        later = (
            StatementLine.objects.filter(period=period, month__reopened_at=None)
            .exclude(month=closed)
            .values_list("month__period", flat=True)
        )
        if later:
            raise FinopsError(
                f"{period} cannot be reopened: {', '.join(sorted(set(later)))} is closed "
                "and holds corrections of it; reopen that first"
            )
        closed.reopened_at = timezone.now()
        closed.reopened_by = by
        closed.reason = reason.strip()
        closed.save(update_fields=["reopened_at", "reopened_by", "reason"])
    return closed


def obstacles(period: str, snapshot: int | None = None) -> list[str]:
    """Why the month cannot be closed, in words that say what to do; empty where it can."""
    snapshot = warehouse.latest() if snapshot is None else snapshot
    bridges = bridge.bridges(period, EVERYTHING, snapshot)
    if not bridges:
        return ["no bill of this period has arrived"]
    reasons = [
        f"{one.source} {one.billing_account}: days not attributed yet, {_days(one.open_days)}; "
        f"run attribute --start {one.open_days[0]} --end {one.open_days[-1] + timedelta(days=1)}"
        for one in bridges
        if one.open_days
    ]
    reasons += [
        f"{one.source} {one.billing_account}: the bridge does not end in 0.00 but in "
        + ", ".join(f"{step.amount:f} {step.currency}" for step in one.steps if step.sign == "end")
        for one in bridges
        if not one.is_reconciled
    ]
    return reasons + held(period)


def _days(days: Sequence[date]) -> str:
    shown = ", ".join(str(day) for day in days[:3])
    return shown if len(days) <= 3 else f"{shown} … {days[-1]} ({len(days)} days)"


def held(period: str) -> list[str]:
    """Deliveries that wait for a person and may reach into the month, in words."""
    first = parse_month(period)
    waiting = []
    for delivery in Delivery.objects.filter(state=Delivery.State.HELD).order_by("id"):
        if delivery.newest_day is not None and delivery.newest_day < first:
            continue
        whose = f"{delivery.kind} of {delivery.source}" if delivery.source else delivery.kind
        waiting.append(
            f"delivery {delivery.pk} ({whose}) is held: {delivery.message or 'it waits for a person'}; "
            f"run deliveries accept {delivery.pk} or deliveries reject {delivery.pk}"
        )
    return waiting


def still_runs(period: str, today: date) -> bool:
    return today < next_month(parse_month(period))


def cautions(period: str, today: date) -> list[str]:
    """What does not stand in the way and should still be known before the month is closed."""
    found = []
    if still_runs(period, today):
        end = next_month(parse_month(period))
        found.append(
            f"the month runs until {end - timedelta(days=1)}: later charges would become corrections"
        )
    days = days_of(period)
    if days and (older := queries.under_an_older_policy(*days)):
        found.append(
            f"the newest policy is not in these days yet, and would become corrections: {_days(older)}; "
            f"run attribute --start {older[0]} --end {older[-1] + timedelta(days=1)}"
        )
    incomplete = [run for run in queries.runs(*days).values() if not run.complete] if days else []
    if incomplete:
        found.append(
            f"incomplete, so that later data would become corrections: {_days([run.day for run in incomplete])}; "
            f"{incomplete[-1].incomplete_reason}"
        )
    return found
