"""Cost by any key over time: every view is an address, and its CSV holds what it shows."""

import csv

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from finops.core.access import scope_of
from finops.core.datasets import KEYS
from finops.core.money import plain
from finops.core.results import cached
from reports import billing_periods, charts, queries
from reports.exploration import MOST_ROWS, Exploration, Ranked, explore, ranked
from reports.figures import MEASURES, Figures, total
from reports.filters import ExplorerQuery, explorer_query
from reports.selection import GRAINS, Span
from reports.views.access import page

COLUMNS = (
    "cost",
    "usage",
    "idle",
    "shared",
    "unallocated",
    "requests",
    "predictions",
    "cpp_usage",
    "cpp_loaded",
    "per_1k_usage",
    "per_1k_loaded",
)


@require_GET
@page
def explorer(request: HttpRequest) -> HttpResponse:
    newest = queries.newest_day()
    if newest is None:
        return render(request, "reports/explorer.html", {"currency": settings.FINOPS_CURRENCY})
    query, scope = explorer_query(request.GET, newest), scope_of(request.user)
    found = explore(
        query.selection(scope), lambda rows: charts.charted(ranked(rows, query.by, query.sort), query.measure)
    )
    context = {
        "query": query,
        "explored": cached(
            "explored", found.content, (query.query(), scope), lambda: _explored(found, query)
        ),
        "chips": [
            (key, value, query.without(key, value).query())
            for key, values in query.where.items()
            for value in values
        ],
        "explained": query.explained(),
        "keys": KEYS,
        "grains": GRAINS,
        "measures": [(name, label) for name, (label, _) in MEASURES.items()],
        "billing_periods": billing_periods.delivered(),
        "incomplete": queries.incomplete_days(Span(query.start, query.end)),
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/explorer.html", context)


def _explored(found: Exploration, query: ExplorerQuery) -> SafeString:
    """The chart and the tables: the part of the page that the figures and the query alone decide."""
    order = ranked(found.rows, query.by, query.sort)
    rows, others = shown(order, query)
    into, explained = query.rows_into(), query.rows_explained()
    context = {
        "query": query,
        "found": found,
        "rows": [(value, figures, into(value), explained(value)) for value, figures in rows],
        "others": others,
        "others_explained": query.others_explained(),
        "headings": [(name, _heading(name), query.sorted_by(name).query()) for name in COLUMNS],
        "everything": query.with_all_rows().query(),
        "chart": charts.exploration(
            found, query, charts.charted(order, query.measure), settings.FINOPS_CURRENCY
        ),
        "over_time": [
            (period, figures, query.explained(period=period))
            for period, figures in sorted(found.periods.items())
        ],
        "explained": query.explained(),
        "measure_label": MEASURES[query.measure][0],
        "chips": bool(query.where),
        "currency": settings.FINOPS_CURRENCY,
    }
    return render_to_string("reports/_explored.html", context)


@require_GET
@page
def explorer_csv(request: HttpRequest) -> HttpResponse:
    """The rows of the page in the order of the page, with all decimals; without their total."""
    newest = queries.newest_day()
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="explorer.csv"'
    writer = csv.writer(response, lineterminator="\n")
    if newest is None:
        return response
    query = explorer_query(request.GET, newest)
    found = explore(query.selection(scope_of(request.user))).rows
    rows, others = shown(ranked(found, query.by, query.sort), query)
    writer.writerow([query.by or "period", *COLUMNS, "currency"])
    for value, figures in [*rows, *([others] if others else [])]:
        writer.writerow([value, *(_exact(figures, name) for name in COLUMNS), settings.FINOPS_CURRENCY])
    return response


def shown(rows: Ranked, query: ExplorerQuery) -> tuple[Ranked, tuple[str, Figures] | None]:
    """Those of the rows in their order that page and CSV have, and what stands for those beyond the first hundreds."""
    if query.all_rows or len(rows) <= MOST_ROWS:
        return rows, None
    rest = rows[MOST_ROWS:]
    return rows[:MOST_ROWS], (f"{len(rest)} others", total(figures for _, figures in rest))


def _heading(name: str) -> str:
    return {
        "cpp_usage": "CPP usage",
        "cpp_loaded": "CPP loaded",
        "per_1k_usage": "1K tokens usage",
        "per_1k_loaded": "1K tokens loaded",
    }.get(name, name.capitalize())


def _exact(figures: Figures, name: str) -> str:
    value = MEASURES[name][1](figures)
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else plain(value)
