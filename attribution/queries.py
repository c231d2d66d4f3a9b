"""The reads of attribution that other apps may use."""

from collections.abc import Iterable
from contextlib import closing
from datetime import date
from decimal import Decimal

from attribution.models import Run
from finops.core import warehouse


def runs(first: date | None = None, end: date | None = None) -> dict[date, Run]:
    """The run in force of each attributed day in [first, end), in order of days."""
    found = Run.objects.order_by("day", "id")
    if first:
        found = found.filter(day__gte=first)
    if end:
        found = found.filter(day__lt=end)
    return {run.day: run for run in found}


def complete_days(first: date | None = None, end: date | None = None) -> list[date]:
    """Attributed days whose bill and logs are all there: the base of trends and detection."""
    return [day for day, run in runs(first, end).items() if run.complete]


def missing_days(days: Iterable[date]) -> list[date]:
    """Those of the days that no run has attributed yet."""
    attributed = runs()
    return [day for day in days if day not in attributed]


def reconciliation(first: date, end: date) -> dict[str, Decimal]:
    """The charges of the days in [first, end) by what became of them, beside the allocations, from what is stored.

    In the reporting currency; unconverted charges are not in it, and are reported in their own.
    """
    with closing(warehouse.connect()) as con:
        snapshot = warehouse.latest()
        for dataset in ("charge_days", "allocation_days"):
            warehouse.open_view(con, dataset, snapshot, touching=(first, end))
        params = {"first": first, "end": end}
        by_disposition = dict(
            con.execute(
                "select case disposition when 'exclude' then 'excluded' else 'in scope' end, sum(cost) "
                "from charge_days where day >= $first and day < $end and disposition <> 'unconverted' group by 1",
                params,
            ).fetchall()
        )
        by_type = dict(
            con.execute(
                "select cost_type, sum(cost) from allocation_days where day >= $first and day < $end group by 1",
                params,
            ).fetchall()
        )
    zero = Decimal(0).quantize(Decimal("1e-12"))
    charged = by_disposition.get("in scope", zero)
    return {
        "charges in scope": charged,
        **{
            f"  {cost_type}": by_type.get(cost_type, zero)
            for cost_type in ("usage", "idle", "shared", "unallocated")
        },
        "difference": charged - sum(by_type.values(), zero),
        "excluded charges": by_disposition.get("excluded", zero) or zero,
    }
