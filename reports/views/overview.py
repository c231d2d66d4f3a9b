"""The first page: where the month stands."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from anomalies.queries import incidents
from finops.core.access import scope_of
from finops.core.results import cached
from reports import billing_periods, charts, matching
from reports.filters import month_or_none
from reports.overview import Overview, overview_of
from reports.queries import newest_day
from reports.selection import Span
from reports.sources import sources
from reports.views.access import page

MONTHS_SHOWN = 4
ANOMALIES_SHOWN = 5


@require_GET
@page
def overview(request: HttpRequest) -> HttpResponse:
    scope = scope_of(request.user)
    found = overview_of(month_or_none(request.GET), scope)
    context: dict[str, Any] = {"found": found, "scope": scope, "currency": settings.FINOPS_CURRENCY}
    if found:
        context |= {
            "incidents": incidents(scope)[:ANOMALIES_SHOWN],
            "months": billing_periods.months()[:MONTHS_SHOWN],
            "month": urlencode({"start": found.span.start, "end": found.span.end}),
        }
        newest = newest_day()
        if scope.teams is None and newest:
            context |= {
                "sources": sources(Span(found.span.start, newest + timedelta(days=1)), newest),
                "attributed": matching.share_attributed(found.span.start, found.span.end),
                "attributed_before": matching.share_attributed(found.before.start, found.before.end),
            }
        context["figures"] = cached(
            "month",
            found.content,
            (
                scope,
                repr(
                    (
                        found.span,
                        found.incomplete,
                        context.get("attributed"),
                        context.get("attributed_before"),
                    )
                ),
            ),
            lambda: _figures(found, context),
        )
    return render(request, "reports/overview.html", context)


def _figures(found: Overview, context: Mapping[str, Any]) -> SafeString:
    """Figures, chart and models: the part of the page that the allocations decide."""
    chart = charts.daily_cost(found, settings.FINOPS_CURRENCY)
    return render_to_string("reports/_month.html", {**context, "chart": chart})
