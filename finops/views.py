"""Pages for which several apps must work together: deciding on a delivery, explaining a figure."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from finops import explained
from finops.core.access import FINANCE, scope_of
from finops.core.errors import FinopsError, UsageError
from finops.core.periods import parse_day
from ingest.models import Delivery
from reports.filters import one_of
from reports.queries import Span, cost_by_day, newest_day
from reports.statements import closed_months
from reports.views.access import by_role, page

EVERY_SHARE = 100_000  # of a day; what the page shows of them is gathered


@require_POST
@by_role(FINANCE)
def accept_delivery(request: HttpRequest, number: int) -> HttpResponse:
    """Load a held delivery as it is."""
    from ingest import deliveries  # reads bills and metrics: too slow to import for every page

    get_object_or_404(Delivery, pk=number)
    try:
        outcome = deliveries.accept(number)
    except FinopsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Delivery {number} is loaded: {outcome.delivery.rows:,} rows.")
    return redirect("delivery", number)


@require_POST
@by_role(FINANCE)
def reject_delivery(request: HttpRequest, number: int) -> HttpResponse:
    """Refuse a held delivery; what was in force before stays so."""
    from ingest import deliveries

    get_object_or_404(Delivery, pk=number)
    try:
        deliveries.reject(number, request.POST.get("reason", "").strip())
    except FinopsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Delivery {number} is rejected; what was there before stays in force.")
    return redirect("delivery", number)


@require_GET
@page
def explain(request: HttpRequest) -> HttpResponse:
    """Where a figure came from: its days, and of one of them the charges, rules, units and weights.

    A day is computed again, which takes a second or more: one alone is shown at once, of several
    the page asks for the dearest after it has opened.
    """
    from attribution import explain as explanation  # computes the day again

    newest = newest_day()
    context: dict[str, Any] = {"currency": settings.FINOPS_CURRENCY}
    if newest is None:
        return render(request, "reports/explain.html", context)
    asked, scope = request.GET, scope_of(request.user)
    where = {name: asked[name] for name in explanation.FILTERS if name in asked}
    if added := asked.get("add_key"):
        where[one_of(added, explanation.FILTERS, "a key")] = asked.get("add_value", "").strip()
    day = parse_day(chosen) if (chosen := asked.get("day")) else None
    span = _span(asked.get("start"), asked.get("end"), day or newest)
    if day is None and span.length == 1:
        day = span.start
    if day and day not in span:
        raise UsageError(f"{day} is not one of the days from {span.start} to {span.last}")
    by_day = cost_by_day(span, where, scope)
    if day:
        found = next(explanation.explain(day, day + timedelta(days=1), where, scope, EVERY_SHARE), None)
        context |= {
            "found": found,
            "lines": explained.lines(found.shares) if found else [],
            "day_cost": by_day.get(day, Decimal(0)),
        }
    context |= {
        "filters": explanation.FILTERS,
        "where": where,
        "span": span,
        "by_day": by_day,
        "total": sum(by_day.values(), Decimal(0)),
        "day": day,
        "dearest": max(by_day, key=lambda one: abs(by_day[one]), default=None),
        "largest": max(map(abs, by_day.values()), default=Decimal(0)),
        "cell": urlencode({"start": span.start, "end": span.end, **where}),
        "query": urlencode(where),
        "is_closed": where.get("billing_period") in closed_months(),
    }
    return render(request, "reports/explain.html", context)


def _span(start: str | None, end: str | None, day: date) -> Span:
    """The days [start, end), where they are given, else the one day."""
    if not start and not end:
        return Span(day, day + timedelta(days=1))
    if not start or not end:
        raise UsageError("start and end go together: expected both, YYYY-MM-DD")
    span = Span(parse_day(start), parse_day(end))
    if span.length < 1:
        raise UsageError(f"{start} to {end} holds no day: the end is not included")
    return span
