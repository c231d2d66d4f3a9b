"""The chargeback months: their statements, what each line is made of, the bridge, and closing."""

from datetime import date
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from finops.core.access import FINANCE, roles_of, scope_of
from finops.core.errors import FinopsError
from reports import billing_periods, bridge, closing, statements
from reports.billing_periods import MonthState
from reports.figures import COST_TYPES
from reports.filters import whole_number
from reports.ledger import ledger_csv
from reports.line_detail import line_detail
from reports.lines import Line, LineKey
from reports.statements import NoSuchStatement, Statement
from reports.views.access import by_role, page, whole_bill

CHARGES_A_PAGE = 100
MONTHS_A_PAGE = 12  # each open one is computed


@require_GET
@page
def months(request: HttpRequest) -> HttpResponse:
    scope = scope_of(request.user)
    shown = Paginator(billing_periods.months(), MONTHS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "months": [(state, statements.month(state.period, scope)) for state in shown],
        "shown": shown,
        "currency": settings.FINOPS_CURRENCY,
        "sees_everything": scope.teams is None,
    }
    return render(request, "reports/months.html", context)


@require_GET
@page
def month(request: HttpRequest, period: str) -> HttpResponse:
    scope = scope_of(request.user)
    state = _state(period)
    found = statements.month(period, scope, _version(request))
    can_close = FINANCE in roles_of(request.user)
    context = {
        "found": found,
        "state": state,
        "bridges": bridge.bridges(period, scope, found.snapshot),
        "days": billing_periods.days_of_bill(period),
        "cost_types": COST_TYPES,
        "obstacles": closing.obstacles(period) if can_close and state.state == "open" else [],
        "cautions": closing.cautions(period, timezone.now().date())
        if can_close and state.state == "open"
        else [],
        "can_close": can_close and found.version == state.version,
        "sees_everything": scope.teams is None,
    }
    return render(request, "reports/month.html", context)


@require_GET
@page
def ledger(request: HttpRequest, period: str) -> HttpResponse:
    """The ledger's CSV; of a closed month the very bytes that were kept."""
    _state(period)
    found = statements.month(period, scope_of(request.user), _version(request))
    response = HttpResponse(ledger_csv(found), content_type="text/csv; charset=utf-8")
    name = f"statements-{found.period}-v{found.version}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_GET
@page
def statement(request: HttpRequest, period: str, slug: str) -> HttpResponse:
    state = _state(period)
    found = _statement(request, period, slug)
    context = {"found": found, "state": state, "version": request.GET.get("version", ""), "cell": found.cell}
    return render(request, "reports/statement.html", context)


@require_GET
@page
def line(request: HttpRequest, period: str, slug: str) -> HttpResponse:
    """What one line of a statement is made of."""
    _state(period)
    found = _statement(request, period, slug)
    key = LineKey(
        slug, *(request.GET.get(name, "") for name in ("cost_type", "model", "feature", "pool", "reason"))
    )
    try:
        detail = line_detail(
            period, key, scope_of(request.user), _version(request), request.GET.get("corrects", "")
        )
    except NoSuchStatement as error:
        raise Http404 from error
    dearest = max(detail.parts.get("day", ()), key=lambda part: abs(part.cost), default=None)
    context = {
        "statement": found,
        "detail": detail,
        "cell": _cell(detail.line, found),
        "charged": urlencode(
            {"start": detail.line.charge_period_start, "end": detail.line.charge_period_end}
        ),
        "snapshot": detail.snapshot,
        "booked": detail.booked,
        "sees_everything": scope_of(request.user).teams is None,
        "dearest": date.fromisoformat(dearest.value) if dearest else None,
        "largest": abs(dearest.cost) if dearest else None,
        "version": request.GET.get("version", ""),
    }
    return render(request, "reports/line.html", context)


def _cell(line: Line, statement: Statement) -> str:
    """What explains the line: of a correction what it was and is, day by day; of another its own days."""
    if line.is_correction:
        return line.explained
    version = {"version": statement.closed_version} if statement.closed_version else {}
    return "&".join(filter(None, (line.cell, urlencode(version))))


@require_GET
@whole_bill
def bridge_step(request: HttpRequest, period: str) -> HttpResponse:
    """The charges behind one step of a bridge, as the version asked for reads them."""
    _state(period)
    asked, scope = request.GET, scope_of(request.user)
    snapshot = statements.month(period, scope, _version(request)).snapshot
    for one in bridge.bridges(period, scope, snapshot):
        if (one.source, one.billing_account) == (asked.get("source", ""), asked.get("account", "")):
            break
    else:
        raise Http404
    number = whole_number(asked.get("page", "1"))
    step, currency = asked.get("step", ""), asked.get("currency", one.currency)
    charges, total = bridge.bridge_charges(
        one, currency, step, snapshot, limit=CHARGES_A_PAGE, offset=(number - 1) * CHARGES_A_PAGE
    )
    label = next(
        (found.label for found in one.steps if (found.name, found.currency) == (step, currency)), step
    )
    context = {
        "bridge": one,
        "label": label,
        "step": step,
        "in_currency": currency,
        "charges": charges,
        "total": total,
        "page": number,
        "pages": max(1, -(-total // CHARGES_A_PAGE)),
    }
    return render(request, "reports/bridge_step.html", context)


@require_POST
@by_role(FINANCE)
def close(request: HttpRequest, period: str) -> HttpResponse:
    _state(period)
    if request.POST.get("confirmed") != "yes":
        messages.error(request, f"{period} was not closed: tick that the bridge was checked.")
        return redirect("month", period)
    try:
        closed = closing.close(period, request.user.get_username())
    except FinopsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{period} is closed as version {closed.version}.")
    return redirect("month", period)


@require_POST
@by_role(FINANCE)
def reopen(request: HttpRequest, period: str) -> HttpResponse:
    _state(period)
    try:
        closed = closing.reopen(period, request.user.get_username(), request.POST.get("reason", ""))
    except FinopsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{period} is open again; version {closed.version} stays readable.")
    return redirect("month", period)


def _state(period: str) -> MonthState:
    """The month's state; 404 where there is no such month."""
    for one in billing_periods.months():
        if one.period == period:
            return one
    raise Http404


def _version(request: HttpRequest) -> int | None:
    return whole_number(request.GET["version"]) if request.GET.get("version") else None


def _statement(request: HttpRequest, period: str, slug: str) -> Statement:
    try:
        return statements.statement(period, slug, scope_of(request.user), _version(request))
    except NoSuchStatement as error:
        raise Http404 from error
