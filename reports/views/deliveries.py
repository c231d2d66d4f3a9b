"""What arrived, and the rows of it that could not be used."""

from datetime import timedelta

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from finops.core.access import FINANCE, roles_of
from ingest.models import Delivery
from reports import queries
from reports.filters import one_of
from reports.selection import Span
from reports.sources import sources
from reports.views.access import whole_bill

ROWS_A_PAGE = 50


@require_GET
@whole_bill
def deliveries(request: HttpRequest) -> HttpResponse:
    found = Delivery.objects.all()
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    if state:
        found = found.filter(state=one_of(state, tuple(Delivery.State.values), "a state"))
    if kind:
        found = found.filter(kind=one_of(kind, tuple(Delivery.Kind.values), "a kind"))
    newest = queries.newest_day()
    context = {
        "sources": sources(Span(newest.replace(day=1), newest + timedelta(days=1)), newest)
        if newest
        else None,
        "found": Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page")),
        "held": Delivery.objects.filter(state=Delivery.State.HELD),
        "state": state,
        "kind": kind,
        "states": Delivery.State.values,
        "kinds": Delivery.Kind.values,
    }
    return render(request, "reports/deliveries.html", context)


@require_GET
@whole_bill
def delivery(request: HttpRequest, number: int) -> HttpResponse:
    found = get_object_or_404(Delivery, pk=number)
    context = {
        "found": found,
        "files": found.files.all(),
        "periods": found.periods.all(),
        "problems": Paginator(found.problems.all(), ROWS_A_PAGE).get_page(request.GET.get("page")),
        "can_decide": found.state == Delivery.State.HELD and FINANCE in roles_of(request.user),
    }
    return render(request, "reports/delivery.html", context)
