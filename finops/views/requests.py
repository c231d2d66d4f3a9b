"""The requests behind what one unit cost in one window, as pages and as a file."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from finops import explained
from finops.core.access import scope_of
from finops.core.errors import UsageError
from finops.core.money import plain
from finops.core.periods import parse_day
from finops.views.asked import Asked, asked_of
from reports.filters import whole_number
from reports.views.access import page

if TYPE_CHECKING:
    from attribution.evidence import RequestsBehind
    from attribution.replay import Window

FEW, A_PAGE, A_FILE = 5, 100, 100_000  # requests


@require_GET
@page
def requests(request: HttpRequest) -> HttpResponse:
    """The requests behind what one unit cost in one window, a page of them or a few."""
    number = whole_number(request.GET.get("page", "1"))
    size = FEW if "few" in request.GET else A_PAGE
    asked, window, found = _requests_behind(request, size, (number - 1) * size)
    pairs = _window_query(request.GET)
    context = {
        "asked": asked,
        "window": window,
        "unit_name": explained.unit_name(window.unit),
        "found": found,
        "few": "few" in request.GET,
        "query": f"{asked.query}&{pairs}",
        "page": number,
        "pages": max(1, -(-found.count // size)),
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/requests.html", context)


COLUMNS = (
    "source request_id time model feature tenant team input_tokens cached_input_tokens output_tokens gpu_ms "
    "latency_ms status cached weight cost"
).split()


@require_GET
@page
def requests_csv(request: HttpRequest) -> HttpResponse:
    """The same requests as a file."""
    asked, _, found = _requests_behind(request, A_FILE)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="requests-{asked.day}.csv"'
    writer = csv.writer(response, lineterminator="\n")
    writer.writerow([*COLUMNS, "measure", "currency"])
    for one in found.requests:
        values = [getattr(one, name) for name in COLUMNS]
        row = [plain(value) if isinstance(value, Decimal) else value for value in values]
        row[COLUMNS.index("time")] = one.time.replace(tzinfo=UTC).isoformat()
        writer.writerow([*row, found.measure, settings.FINOPS_CURRENCY])
    return response


def _requests_behind(
    request: HttpRequest, limit: int, offset: int = 0
) -> tuple[Asked, "Window", "RequestsBehind"]:
    """The figure and the window that the address means, and what their requests are; 404 where there is none."""
    from attribution.evidence import requests_behind

    asked, window = _asked_window(request)
    assert asked.day
    cells = asked.cells
    found = requests_behind(
        asked.day, window, cells.where, cells.scope, limit=limit, offset=offset, snapshot=asked.snapshot
    )
    if found is None:
        raise Http404
    return asked, window, found


def _asked_window(request: HttpRequest) -> tuple[Asked, "Window"]:
    from attribution.replay import Window

    data = request.GET.copy()
    data.setlist("cost_type", data.getlist("cost_type")[-1:])  # the last of several is the window's own
    day, unit, text = (str(data.get(name, "")) for name in ("day", "unit", "window"))
    if not (day and unit and text):
        raise UsageError("expected a day, a unit and a window: YYYY-MM-DD, or YYYY-MM-DDTHH:MM of an hour")
    asked = asked_of(data, scope_of(request.user), parse_day(day), in_window=True)
    if asked.cells.wanted("cost_type") not in (("usage",), ("idle",)):
        raise UsageError("expected cost_type=usage or cost_type=idle: nothing else is shared by requests")
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a window: expected YYYY-MM-DD, or YYYY-MM-DDTHH:MM of an hour"
        ) from None
    return asked, Window(unit, start.replace(tzinfo=None), hourly="T" in text)


def _window_query(data: QueryDict) -> str:
    return urlencode({name: data[name] for name in ("day", "unit", "window")})
