"""Where a figure came from: its days, and of a day the charges, rules, units and weights."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from attribution.queries import FILTERS, runs
from finops import explained
from finops.core.access import scope_of
from finops.core.datasets import KEYS
from finops.core.periods import parse_day
from finops.views.asked import PER, Asked, asked_of
from reports.billing_periods import closed_months
from reports.figures import Figures
from reports.models import ClosedMonth
from reports.queries import cost_by_day, figures_by, newest_day
from reports.selection import Selection, Span, spread
from reports.views.access import page

EVERY_SHARE = 100_000  # of a day; what the page shows of them is gathered


@require_GET
@page
def explain(request: HttpRequest) -> HttpResponse:
    """A figure's days, and one of them opened.

    A day is computed again, which takes up to a second or two: one alone is shown at once, of several
    the page asks for the dearest after it has opened.
    """
    from attribution import explain as explanation  # computes the day again

    newest = newest_day()
    context: dict[str, Any] = {"currency": settings.FINOPS_CURRENCY}
    if newest is None:
        return render(request, "reports/explain.html", context)
    asked = asked_of(request.GET, scope_of(request.user), newest)
    by_day = _by_day(asked, asked.span, asked.without)
    if day := asked.day:
        found = next(
            explanation.explain(
                day,
                day + timedelta(days=1),
                asked.cells.where,
                asked.cells.scope,
                EVERY_SHARE,
                asked.snapshot,
            ),
            None,
        )
        lines = explained.lines(found.shares) if found else []
        context |= {
            "found": found,
            "lines": lines,
            "sampled": explained.sampled(lines),
            "day_cost": by_day.get(day, Decimal(0)),
        }
    total = sum(by_day.values(), Decimal(0))
    context |= {
        "asked": asked,
        "sees_everything": asked.cells.scope.teams is None,
        "can_attribute": _can_attribute(asked),
        "filters": FILTERS,
        "span": asked.span,
        "by_day": by_day,
        "total": total,
        "day": day,
        "dearest": max(by_day, key=lambda one: abs(by_day[one]), default=None),
        "largest": max(map(abs, by_day.values()), default=Decimal(0)),
        "closed_since": _closed_since(asked),
        "unit_cost": _unit_cost(asked, total) if asked.per else None,
        "change": _change(asked, total) if asked.before else None,
    }
    return render(request, "reports/explain.html", context)


def _by_day(asked: Asked, span: Span, without: frozenset[date]) -> dict[date, Decimal]:
    costs = cost_by_day(span, asked.cells, asked.snapshot)
    return {day: cost for day, cost in costs.items() if day not in without}


def _change(asked: Asked, cost: Decimal) -> dict[str, Any]:
    """What a day cost more than a day before, and both."""
    span, without = spread(asked.before)
    now = cost / asked.days
    before = sum(_by_day(asked, span, without).values(), Decimal(0)) / (span.length - len(without))
    return {"result": now - before, "now": now, "before": before, "span": span}


def _can_attribute(asked: Asked) -> bool:
    """Whether the reader may have figures made of days that have none."""
    if asked.snapshot or asked.cells.scope.teams is not None:
        return False
    return len(runs(asked.span.start, asked.span.end)) < asked.span.length


def _closed_since(asked: Asked) -> ClosedMonth | None:
    """The closed month whose figure may be another today."""
    if asked.closed or asked.snapshot:
        return None
    return next(
        (row for period, row in closed_months().items() if (period,) == asked.cells.wanted("billing_period")),
        None,
    )


def _unit_cost(asked: Asked, cost: Decimal) -> dict[str, Any] | None:
    """The division behind a unit cost: what was served by these keys on these days, and the loaded cost.

    By days it is of the whole cost.
    """
    if asked.per == "days":
        return {"per": PER[asked.per], "cost": cost, "count": asked.days, "result": cost / asked.days}
    where = {name: asked.cells.wanted(name) for name in asked.cells.where if name in KEYS}
    period = (asked.cells.wanted("billing_period") or ("",))[0]
    selection = Selection(asked.span.start, asked.span.end, "day", (), where, period, asked.cells.scope)
    served = Figures()
    for (day,), figures in figures_by(selection, ("period",), asked.snapshot).items():
        if parse_day(day) not in asked.without:
            served += figures
    is_usage = asked.cells.wanted("cost_type") == ("usage",)
    count = served.predictions if asked.per == "predictions" else served.tokens
    if not count:
        return None
    numerator = cost if is_usage else served.loaded
    return {
        "per": PER[asked.per],
        "cost": numerator,
        "count": count,
        "result": numerator / count * (1 if asked.per == "predictions" else 1000),
        "unallocated": Decimal(0) if is_usage else served.unallocated,
    }
