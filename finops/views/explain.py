"""Where a figure came from: its days, of a day the charges, rules, units and weights, of a unit its requests."""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from attribution.queries import FILTERS, Cells
from finops import explained
from finops.core import warehouse
from finops.core.access import Scope, scope_of
from finops.core.datasets import KEYS
from finops.core.errors import FinopsError, UsageError
from finops.core.money import plain
from finops.core.periods import parse_day
from reports import matching
from reports.billing_periods import closed_months
from reports.exploration import explore
from reports.figures import Figures
from reports.filters import one_of, whole_number
from reports.models import ClosedMonth
from reports.queries import cost_by_day, newest_day
from reports.selection import Selection, Span
from reports.views.access import page, whole_bill

if TYPE_CHECKING:
    from attribution.evidence import RequestsBehind
    from attribution.replay import Window

EVERY_SHARE = 100_000  # of a day; what the page shows of them is gathered
FEW, A_PAGE, A_FILE = 5, 100, 100_000  # requests
CHARGES_A_PAGE = 100
PER = {"predictions": "prediction", "tokens": "1K tokens"}


@dataclass(frozen=True)
class Asked:
    """Which figure the address means."""

    cells: Cells
    span: Span
    day: date | None  # the one of them that is opened
    without: frozenset[date]  # days that the figure leaves out
    snapshot: int | None  # as published then; None: today
    closed: ClosedMonth | None  # the closed month whose figure it is
    per: str  # of a unit cost: what it is divided by

    @property
    def query(self) -> str:
        """The query string of the figure, without a day."""
        pairs: list[tuple[str, object]] = [("start", self.span.start), ("end", self.span.end)]
        pairs += [(name, value) for name in self.cells.where for value in self.cells.wanted(name)]
        pairs += [("without", day) for day in sorted(self.without)]
        if self.closed:
            pairs.append(("version", self.closed.version))
        elif self.snapshot:
            pairs.append(("snapshot", self.snapshot))
        return urlencode(pairs)

    @property
    def where(self) -> list[tuple[str, str]]:
        return [(name, value) for name in self.cells.where for value in self.cells.wanted(name)]


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
    asked = _asked(request.GET, scope_of(request.user), newest)
    by_day = {
        day: cost
        for day, cost in cost_by_day(asked.span, asked.cells, asked.snapshot).items()
        if day not in asked.without
    }
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
            "sampled": next((one for line in lines for one in line.shares if one.measure and one.unit), None),
            "day_cost": by_day.get(day, Decimal(0)),
        }
    total = sum(by_day.values(), Decimal(0))
    context |= {
        "asked": asked,
        "filters": FILTERS,
        "span": asked.span,
        "by_day": by_day,
        "total": total,
        "day": day,
        "dearest": max(by_day, key=lambda one: abs(by_day[one]), default=None),
        "largest": max(map(abs, by_day.values()), default=Decimal(0)),
        "closed_since": _closed_since(asked),
        "unit_cost": _unit_cost(asked, total) if asked.per else None,
    }
    return render(request, "reports/explain.html", context)


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


@require_GET
@whole_bill
def charges(request: HttpRequest) -> HttpResponse:
    """The charges of some days that a rule took, one part of a charge and day each: what no allocation explains."""
    newest = newest_day()
    if newest is None:
        raise Http404
    span = _span(request.GET.get("start"), request.GET.get("end"), newest)
    where = {name: request.GET[name] for name in matching.TAKEN_BY if name in request.GET}
    number = whole_number(request.GET.get("page", "1"))
    found = matching.charges_taken(
        span.start,
        span.end,
        where,
        limit=CHARGES_A_PAGE,
        offset=(number - 1) * CHARGES_A_PAGE,
        snapshot=_whole(request.GET.get("snapshot")),
    )
    context = {
        "span": span,
        "where": where,
        "found": found,
        "query": urlencode({"start": span.start, "end": span.end, **where}),
        "page": number,
        "pages": max(1, -(-found.count // CHARGES_A_PAGE)),
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/charges.html", context)


def _asked(data: QueryDict, scope: Scope, newest: date) -> Asked:
    where = {name: tuple(dict.fromkeys(data.getlist(name))) for name in FILTERS if name in data}
    if added := data.get("add_key"):
        where[one_of(added, FILTERS, "a key")] = (data.get("add_value", "").strip(),)
    day = parse_day(chosen) if (chosen := data.get("day")) else None
    span = _span(data.get("start"), data.get("end"), day or newest)
    without = frozenset(map(parse_day, data.getlist("without")))
    if day is None and span.length - len(without) == 1:
        day = next(one for one in span if one not in without)
    if day and day not in span:
        raise UsageError(f"{day} is not one of the days from {span.start} to {span.last}")
    closed = _closed(where, _whole(data.get("version")))
    snapshot = closed.snapshot if closed else _whole(data.get("snapshot"))
    if snapshot and snapshot > warehouse.latest():
        raise UsageError(f"there is no snapshot {snapshot} yet")
    per = one_of(str(data["per"]), tuple(PER), "what a cost is divided by") if data.get("per") else ""
    return Asked(Cells(where, scope), span, day, without, snapshot, closed, per)


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
    asked = _asked(data, scope_of(request.user), parse_day(day))
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


def _closed(where: dict[str, tuple[str, ...]], version: int | None) -> ClosedMonth | None:
    """The version of the month that was asked for; today's figures where none was."""
    if version is None:
        return None
    periods = where.get("billing_period", ())
    found = ClosedMonth.objects.filter(period__in=periods, version=version).defer("ledger").first()
    if found is None or len(periods) != 1:
        raise FinopsError(f"{' and '.join(periods) or 'no billing period'} has no version {version}")
    return found


def _closed_since(asked: Asked) -> ClosedMonth | None:
    """The closed month whose figure may be another today."""
    if asked.closed or asked.snapshot:
        return None
    return next(
        (row for period, row in closed_months().items() if (period,) == asked.cells.wanted("billing_period")),
        None,
    )


def _unit_cost(asked: Asked, cost: Decimal) -> dict[str, Any] | None:
    """The division behind a unit cost: what was served by these keys on these days, and the loaded cost."""
    where = {name: asked.cells.wanted(name) for name in asked.cells.where if name in KEYS}
    period = (asked.cells.wanted("billing_period") or ("",))[0]
    selection = Selection(asked.span.start, asked.span.end, "day", (), where, period, asked.cells.scope)
    served = Figures()
    for day, figures in explore(selection).rows:
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


def _whole(text: str | None) -> int | None:
    return whole_number(text) if text else None
