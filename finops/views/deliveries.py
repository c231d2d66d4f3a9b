"""Deciding on a delivery that waits for a person."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from finops.core.access import FINANCE
from finops.core.errors import FinopsError
from ingest.models import Delivery
from reports.views.access import by_role


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
