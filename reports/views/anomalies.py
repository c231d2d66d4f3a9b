"""What was not normal, why, and what somebody made of it."""

from datetime import date, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from anomalies import queries
from anomalies.models import Incident
from finops.core.access import Scope, scope_of
from finops.core.datasets import KEYS
from reports import charts
from reports.exploration import explore
from reports.figures import Figures
from reports.filters import one_of
from reports.selection import Selection, Span, spread
from reports.views.access import page

ROWS_A_PAGE = 50
SHOWN_BEFORE = timedelta(days=14)
WITHOUT_RULES = ("usage", "idle")  # what changes are of: what follows machines and requests
TELLING = Decimal("0.05")  # of the requests: a change of the failed ones that belongs to the story
# What each factor of a change means, for who reads the word for the first time.
FACTORS = {
    "requests": "how many requests there were",
    "mix": "which tenants and features they came from",
    "tokens per request": "how long prompts and answers were",
    "work per token": "how much of the machines a token took",
    "work per request": "how much of the machines a request took",
    "price": "what an hour of the machines cost",
    "price per token": "what a token of the API cost",
    "price per request": "what a request to the API cost",
    "machines": "how many machine hours there were",
    "utilisation": "how busy the machines were",
    "share of machines": "how much of shared machines' idle time fell to it",
    "idle": "idle cost of machines that no request or inventory names",
    "launch": "nothing was there before",
    "end": "nothing is there any more",
}


@require_GET
@page
def anomalies(request: HttpRequest) -> HttpResponse:
    state, scope = request.GET.get("state", ""), scope_of(request.user)
    found = queries.incidents(scope, one_of(state, tuple(Incident.STATES), "a state") if state else "")
    shown = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "found": shown,
        "rows": [(one, _cell(one, _days_of(one), scope)) for one in shown],
        "state": state,
        "states": Incident.STATES,
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/anomalies.html", context)


@require_GET
@page
def anomaly(request: HttpRequest, number: int) -> HttpResponse:
    detail = _detail(request, number)
    incident = detail.incident
    explored = {
        "start": (incident.onset - SHOWN_BEFORE).isoformat(),
        "end": (incident.last_day + timedelta(days=1)).isoformat(),
        "by": "tenant" if incident.model and not incident.tenant else "model",
        "measure": {"unit_cost": "cpp_usage", "idle": "idle"}.get(incident.metric, "cost"),
    }
    explored |= {name: value for name, value in incident.slice.items() if name in KEYS}
    now, before = _span(detail.now), _span(detail.before)
    served = [_served(incident, span, scope_of(request.user)) for span in (now, before) if span]
    context = {
        "detail": detail,
        "incident": incident,
        "failures": served if _failed_more(served) else None,
        "factors": [(one, FACTORS.get(one.name, "")) for one in detail.factors],
        "main": max(detail.factors, key=lambda one: abs(one.amount), default=None),
        "largest": max((abs(one.amount) for one in detail.factors), default=Decimal(0)),
        "slices": _by_key(detail),
        "now": now,
        "before": before,
        "chart": charts.incident(detail, settings.FINOPS_CURRENCY),
        "explored": urlencode(explored),
        "cell": _cell(incident, _days_of(incident), scope_of(request.user)),
        "of_slice": _slice_query(incident, _cost_types(incident), scope_of(request.user)),
        "compared": _compared(detail, scope_of(request.user)),
        "cost": incident.actual * incident.days,
        "expected_cost": incident.actual * incident.days - incident.impact,
        "keys": KEYS,
        "states": Incident.STATES,
        "currency": settings.FINOPS_CURRENCY,
    }
    return render(request, "reports/anomaly.html", context)


def _days_of(incident: Incident) -> list[date]:
    """The days that were not normal, of which its figures are."""
    return [date.fromisoformat(row["day"]) for row in incident.series if row["expected"] is not None]


def _cost_types(incident: Incident) -> tuple[str, ...]:
    """Those whose cost its metric is of."""
    return {"idle": ("idle",), "unit_cost": ("usage",)}.get(incident.metric, WITHOUT_RULES)


def _slice_query(incident: Incident, types: tuple[str, ...], scope: Scope) -> str:
    """The filters of the page that explains what the slice cost; empty where no explanation has these bounds."""
    if incident.resource:
        if scope.teams is not None or types != WITHOUT_RULES or set(incident.slice) != {"resource"}:
            return ""
        return urlencode({"resource_id": incident.resource})
    return urlencode([*incident.slice.items(), *(("cost_type", one) for one in types)])


def _cell(incident: Incident, days: list[date], scope: Scope) -> str:
    """The query string of the page that explains what the slice cost on these days; empty where there is none."""
    where = _slice_query(incident, _cost_types(incident), scope)
    return f"{where}&{_days_query(days)}" if where and days else ""


def _compared(detail: queries.Detail, scope: Scope) -> str:
    """The same of the days that are compared: usage and idle, beside those of the days before."""
    where = _slice_query(detail.incident, WITHOUT_RULES, scope)
    if not where or not detail.now:
        return ""
    return f"{where}&{_days_query(detail.now)}&{urlencode([('before', day) for day in detail.before])}"


def _days_query(days: list[date]) -> str:
    span, without = spread(days)
    pairs: list[tuple[str, object]] = [("start", span.start), ("end", span.end)]
    return urlencode([*pairs, *(("without", day) for day in sorted(without))])


def _by_key(detail: queries.Detail) -> list[tuple[str, list[queries.Amount], Decimal]]:
    """The change cut by each key, with what no value of the key accounts for; each cut sums to the change."""
    cuts: dict[str, list[queries.Amount]] = {}
    for one in detail.slices:
        cuts.setdefault(one.key, []).append(one)
    return [
        (key, found, detail.incident.change - sum((one.amount for one in found), Decimal(0)))
        for key, found in cuts.items()
    ]


def _served(incident: Incident, span: Span, scope: Scope) -> Figures:
    where = {name: (value,) for name, value in incident.slice.items() if name in KEYS}
    return explore(Selection(span.start, span.end, where=where, scope=scope)).total


def _failed_more(served: list[Figures]) -> bool:
    """Whether failures are part of the story, as in a storm of retries: now against before."""
    shares = [one.failed_share or Decimal(0) for one in served]
    return len(shares) == 2 and abs(shares[0] - shares[1]) >= TELLING


def _span(days: list[date]) -> Span | None:
    return spread(days)[0] if days else None


@require_POST
@page
def set_state(request: HttpRequest, number: int) -> HttpResponse:
    """Whoever sees an incident may take it up or lay it down."""
    incident = _detail(request, number).incident
    assert isinstance(request.user, User)  # behind the login
    state = one_of(request.POST.get("state", ""), tuple(Incident.STATES), "a state")
    queries.set_state(incident, state, request.user, request.POST.get("note", "").strip()[:400])
    messages.success(request, f"This anomaly is now {Incident.STATES[state]}.")
    return redirect("anomaly", number)


def _detail(request: HttpRequest, number: int) -> queries.Detail:
    found = queries.detail(number, scope_of(request.user))
    if found is None:
        raise Http404
    return found
