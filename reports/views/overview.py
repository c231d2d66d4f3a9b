"""The first page: where the month stands."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from anomalies.queries import incidents
from finops.core.access import scope_of
from reports import charts, matching, queries, statements
from reports.filters import month_or_none
from reports.queries import Span
from reports.views.access import page

MONTHS_SHOWN = 4
ANOMALIES_SHOWN = 5


@require_GET
@page
def overview(request: HttpRequest) -> HttpResponse:
    scope = scope_of(request.user)
    found = queries.overview(month_or_none(request.GET), scope)
    context: dict[str, Any] = {"found": found, "scope": scope, "currency": settings.FINOPS_CURRENCY}
    if found:
        context |= {
            "incidents": incidents(scope)[:ANOMALIES_SHOWN],
            "chart": charts.daily_cost(found, settings.FINOPS_CURRENCY),
            "months": statements.months()[:MONTHS_SHOWN],
            "month": urlencode({"start": found.span.start, "end": found.span.end}),
        }
        newest = queries.newest_day()
        if scope.teams is None and newest:
            context |= {
                "sources": queries.sources(Span(found.span.start, newest + timedelta(days=1)), newest),
                "attributed": matching.share_attributed(found.span.start, found.span.end),
                "attributed_before": matching.share_attributed(found.before.start, found.before.end),
            }
    return render(request, "reports/overview.html", context)
