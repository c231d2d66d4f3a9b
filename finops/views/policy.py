"""The attribution policy on pages: its history, a month tried under another text, and putting one in force."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from attribution import queries
from attribution.models import PolicyChange, PolicyPreview
from attribution.policies import require_open
from attribution.policy import PolicyError
from attribution.world import policies_in_force, policy_text
from finops import policies
from finops.core import warehouse
from finops.core.access import FINANCE
from finops.core.errors import UsageError
from finops.core.money import minor_unit
from finops.core.periods import in_spans, next_month, parse_month
from reports.figures import COST_TYPES
from reports.views.access import by_role

PREVIEWS_SHOWN, CHANGES_SHOWN = 8, 200
LONGEST = 1_000_000  # bytes of a policy


@require_GET
@by_role(FINANCE)
def policy(request: HttpRequest) -> HttpResponse:
    """The policy in force, its history, and a form to try another."""
    return _page(request, policy_text()[1])


@require_GET
@by_role(FINANCE)
def version(request: HttpRequest, number: int) -> HttpResponse:
    """The text of a version, with who applied it and why."""
    change = get_object_or_404(PolicyChange, version=number)
    return render(request, "reports/policy_version.html", {"change": change})


@require_POST
@by_role(FINANCE)
def try_out(request: HttpRequest) -> HttpResponse:
    """Begin the preview of a month under the text, or open the one that there is."""
    from finops import previews

    text = _given(request)
    try:
        month = _one_of_months(request.POST.get("month", ""), _attributed_months())
        if not text.strip() and not request.POST.get("defaults"):
            raise UsageError(
                "an empty policy has no rules and no pools: to see a month without any, tick that it is meant"
            )
        found = previews.ask(text, month, request.user.get_username())
    except (PolicyError, UsageError) as error:
        return _page(request, text, error)
    return redirect("policy_preview", found.pk)


@require_GET
@by_role(FINANCE)
def preview(request: HttpRequest, number: int) -> HttpResponse:
    """How far a preview is, or what it says."""
    from finops import previews

    found = get_object_or_404(PolicyPreview, pk=number)
    previews.look_after(found)
    context: dict[str, Any] = {"preview": found, "currency": settings.FINOPS_CURRENCY}
    if found.state == PolicyPreview.DONE:
        result, unit = previews.result_of(found), minor_unit(settings.FINOPS_CURRENCY)
        is_old = found.snapshot != warehouse.latest()
        context |= {
            "result": result,
            "change": result.total_then - result.total_now,
            "groups": [
                (group, changes, result.table(group, unit, CHANGES_SHOWN))
                for group, changes in result.changes.items()
            ],
            "unit": unit,
            "today": urlencode(
                {"start": result.first, "end": result.end} | ({"snapshot": found.snapshot} if is_old else {})
            ),
            "types": COST_TYPES,
            "months": _months_to_hold(),
            "is_old": is_old,
            "waiting": in_spans(previews.waiting(result)),
        }
    return render(request, "reports/policy_preview.html", context)


@require_GET
@by_role(FINANCE)
def preview_csv(request: HttpRequest, number: int) -> HttpResponse:
    """All rows of a preview that is done, with all decimals."""
    from finops import previews

    found = get_object_or_404(PolicyPreview, pk=number, state=PolicyPreview.DONE)
    response = HttpResponse(
        previews.as_csv(previews.result_of(found)), content_type="text/csv; charset=utf-8"
    )
    name = f"preview-{found.pk}-{found.month:%Y-%m}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_POST
@by_role(FINANCE)
def apply(request: HttpRequest, number: int) -> HttpResponse:
    """Put the text of a preview in force from a month on; months before it keep theirs."""
    found = get_object_or_404(PolicyPreview, pk=number)
    reason = request.POST.get("reason", "").strip()
    if not reason:
        messages.error(request, "The policy was not applied: say why, for those who read its history.")
        return redirect("policy_preview", number)
    require_open(parse_month(request.POST.get("month", "")), policies.first_open())
    month = _one_of_months(request.POST.get("month", ""), _months_to_hold())
    applied = policies.apply_to_open_months(
        found.text, holds_from=month, by=request.user.get_username(), reason=reason[:400]
    )
    if not applied.is_new:
        messages.warning(
            request, f"This text is version {applied.version}, which holds from {month:%Y-%m} already."
        )
    elif settings.CELERY_BROKER_URL:
        from finops.tasks import attribute

        attribute.delay()
        messages.success(
            request, f"Version {applied.version} holds from {month:%Y-%m}; its days are being attributed."
        )
    else:
        messages.success(
            request,
            f"Version {applied.version} holds from {month:%Y-%m}. Attribute its days: "
            f"manage.py attribute --start {month} --end {_end_of_data()}",
        )
    return redirect("policy")


def _page(request: HttpRequest, text: str, error: PolicyError | UsageError | None = None) -> HttpResponse:
    changes = {change.version: change for change in PolicyChange.objects.all()}
    in_force = policies_in_force()
    context = {
        "text": text,
        "error": error,
        "in_force": [(one, changes.get(one.version)) for one in reversed(in_force)],
        "changes": list(changes.values()),
        "held": {one.version for one in in_force},
        "previews": PolicyPreview.objects.defer("text", "result")[:PREVIEWS_SHOWN],
        "months": _attributed_months(),
        "chosen": request.POST.get("month", ""),
        "is_empty": error is not None and not text.strip(),
    }
    return render(request, "reports/policy.html", context, status=400 if error else 200)


def _given(request: HttpRequest) -> str:
    """The text of the form, or of the file that came with it."""
    file = request.FILES.get("file")
    if file is None:
        return request.POST.get("text", "").replace("\r\n", "\n")
    if file.size is None or file.size > LONGEST:
        raise UsageError(f"{file.name} is larger than {LONGEST:,} bytes: expected a policy")
    try:
        return str(file.read().decode("utf-8-sig")).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name} is not a text in UTF-8: {error}") from error


def _one_of_months(text: str, months: list[date]) -> date:
    """The month, where it is one of these. Raises UsageError."""
    month = parse_month(text)
    if month not in months:
        raise UsageError(
            f"{text} is not offered: expected {', '.join(f'{one:%Y-%m}' for one in sorted(months))}"
        )
    return month


def _attributed_months() -> list[date]:
    """Those with a day that is attributed, the newest first."""
    return sorted({day.replace(day=1) for day in queries.runs()}, reverse=True)


def _months_to_hold() -> list[date]:
    """From which months on a policy may hold: those after every closed one, up to the one after the data."""
    runs = queries.runs()
    first = policies.first_open() or min(runs, default=date.min).replace(day=1)
    month, last = first, max(next_month(max(runs).replace(day=1)) if runs else first, first)
    found = [month]
    while month < last:
        month = next_month(month)
        found.append(month)
    return found


def _end_of_data() -> date:
    runs = queries.runs()
    return next_month(max(runs)) if runs else date.min
