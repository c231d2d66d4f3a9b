"""The match report: what found no partner, by cost."""

from datetime import date, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finops.core.access import scope_of
from finops.core.errors import UsageError
from finops.core.periods import parse_day
from reports import matching, queries
from reports.filters import DEFAULT_DAYS
from reports.selection import Span
from reports.views.access import whole_bill


@require_GET
@whole_bill
def match_report(request: HttpRequest) -> HttpResponse:
    newest = queries.newest_day()
    if newest is None:
        return render(request, "reports/match_report.html", {})
    asked = request.GET
    end = parse_day(after) if (after := asked.get("end")) else _last_complete(newest) + timedelta(days=1)
    start = parse_day(first) if (first := asked.get("start")) else end - timedelta(days=DEFAULT_DAYS)
    if start >= end:
        raise UsageError(f"{start} to {end} holds no day: the end is not included")
    context = {
        "span": Span(start, end),
        "rows": matching.match_report(start, end, scope_of(request.user)),
        "attributed": matching.share_attributed(start, end),
        "cell": urlencode({"start": start, "end": end}),
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/match_report.html", context)


def _last_complete(newest: date) -> date:
    """Days whose bill is still to come would fill the report with what it will meet."""
    incomplete = queries.incomplete_days(
        Span(newest - timedelta(days=DEFAULT_DAYS), newest + timedelta(days=1))
    )
    day = newest
    while day in incomplete:
        day -= timedelta(days=1)
    return day if newest - day < timedelta(days=DEFAULT_DAYS) else newest
