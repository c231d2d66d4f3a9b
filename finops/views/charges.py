"""The charges that a rule took: what no allocation explains."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from attribution.policy import DISPOSITIONS
from attribution.queries import require_word
from finops.core.periods import parse_month
from finops.views.asked import snapshot_or_none, span_of
from reports import matching
from reports.filters import whole_number
from reports.queries import newest_day
from reports.views.access import whole_bill

CHARGES_A_PAGE = 100
# By what charges can be chosen that has only these values.
TAKEN_AS = {
    "disposition": (*DISPOSITIONS, "unconverted"),
    "attributed": ("yes", "no"),
    "by": ("default", "rule"),
}


@require_GET
@whole_bill
def charges(request: HttpRequest) -> HttpResponse:
    """The charges of some days that a rule took, one part of a charge and day each: what no allocation explains."""
    newest = newest_day()
    if newest is None:
        raise Http404
    span = span_of(request.GET.get("start"), request.GET.get("end"), newest)
    where = {name: request.GET[name] for name in matching.TAKEN_BY if name in request.GET}
    for name in where.keys() & TAKEN_AS.keys():
        require_word(name, where[name], TAKEN_AS[name])
    if period := where.get("billing_period"):
        parse_month(period)
    number = whole_number(request.GET.get("page", "1"))
    found = matching.charges_taken(
        span.start,
        span.end,
        where,
        limit=CHARGES_A_PAGE,
        offset=(number - 1) * CHARGES_A_PAGE,
        snapshot=snapshot_or_none(request.GET),
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
