"""How figures are written on pages: aligned, with a true minus, and a dash where there is none."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from finops.core.access import ENGINEER, FINANCE, roles_of
from finops.core.money import minor_unit
from reports.figures import COST_TYPES, Figures
from reports.matching import Unmatched

register = template.Library()
NONE = "–"
MINUS = "−"


def _signed(text: str) -> str:
    return text.replace("-", MINUS, 1)


@register.filter
def money(amount: Decimal | str | None) -> str:
    """Two decimals (or the currency's), thousands apart; half up, as statements are rounded."""
    if amount is None:
        return NONE
    rounded = Decimal(amount).quantize(minor_unit(settings.FINOPS_CURRENCY), ROUND_HALF_UP)
    return _signed(f"{rounded if rounded else abs(rounded):,f}")


@register.filter
def exact(amount: Decimal | None) -> str:
    """Every decimal that the figure has."""
    return NONE if amount is None else _signed(f"{amount:,f}")


@register.filter
def signed_money(amount: Decimal | str) -> str:
    """A change: with its sign, also where it grew."""
    text, amount = money(amount), Decimal(amount)
    return f"+{text}" if amount > 0 and text.strip("0.") else text


@register.filter
def unit_cost(amount: Decimal | None) -> str:
    """Three digits that say something, however small: a prediction may cost a millionth; half up, as money."""
    if amount is None:
        return NONE
    if not amount:
        return "0"
    places = max(2, 2 - Decimal(amount).adjusted())
    rounded = Decimal(amount).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return _signed(f"{rounded:,f}")


@register.filter
def count(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


LARGE = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))


@register.filter
def abbreviated(number: int) -> SafeString:
    """From ten millions on three digits and a word, as a card has room for; the whole figure under the pointer."""
    if number < 10**7:
        return mark_safe(count(number))
    last = Decimal(1).scaleb(Decimal(number).adjusted() - 2)
    rounded = Decimal(number).quantize(last, ROUND_HALF_UP)
    size, word = next((size, word) for size, word in LARGE if rounded >= size)
    shown = rounded / size
    text = f"{shown:,.{max(0, 2 - shown.adjusted())}f}"
    return mark_safe(f'<span title="{count(number)}">{text} <small>{word}</small></span>')


@register.filter
def number(amount: Decimal | None) -> str:
    """A measured number, without decimals that say nothing."""
    return NONE if amount is None else f"{amount.normalize():,f}"


@register.simple_tag
def window_query(day: date, share: Any) -> str:
    """What an explained share adds to the address of its day, for the requests behind it."""
    form = "%Y-%m-%dT%H:%M" if share.hourly else "%Y-%m-%d"
    pairs = {
        "day": day.isoformat(),
        "unit": share.unit,
        "window": f"{share.window_start:{form}}",
        "cost_type": share.cost_type,
    }
    return urlencode(pairs)


@register.filter
def share(part: Decimal | None) -> str:
    return NONE if part is None else _signed(f"{part * 100:.1f} %")


@register.filter
def millionths(part: int | None) -> str:
    """A busy share, kept in millionths, in percent."""
    return NONE if part is None else f"{Decimal(part) / 10_000:.1f} %"


@register.simple_tag
def days(start: date, end: date, year: bool = False) -> str:
    """The days [start, end) as people say them: `3 October`, `1–31 October`, `28 September – 3 October`.

    With the year where that is asked for; with both where there are two.
    """
    last = end - timedelta(days=1)
    ended = f"{last.day} {last:%B}" + (f" {last.year}" if year or last.year != start.year else "")
    if last <= start:
        return ended
    if start.year != last.year:
        return f"{start.day} {start:%B} {start.year} – {ended}"
    if start.month == last.month:
        return f"{start.day}–{ended}"
    return f"{start.day} {start:%B} – {ended}"


@register.filter
def spans(reasons: Mapping[date, str]) -> list[tuple[date, date, str]]:
    """Days next to each other with the same reason, as one: [start, end)."""
    found: list[tuple[date, date, str]] = []
    for day, reason in sorted(reasons.items()):
        after = day + timedelta(days=1)
        if found and found[-1][1:] == (day, reason):
            found[-1] = (found[-1][0], after, reason)
        else:
            found.append((day, after, reason))
    return found


@register.simple_tag
def change(now: Decimal | None, before: Decimal | None) -> str:
    """By how much a figure grew, in percent."""
    if now is None or before is None or not before:
        return NONE
    grown = (Decimal(now) - Decimal(before)) / abs(Decimal(before)) * 100
    return _signed(f"{grown:+.1f} %")


@register.simple_tag
def points(now: Decimal | None, before: Decimal | None) -> str:
    """By how many percentage points a share grew."""
    if now is None or before is None:
        return NONE
    return _signed(f"{(now - before) * 100:+.1f} points")


@register.simple_tag
def bar(part: Decimal | int | None, of: Decimal | int | None) -> SafeString:
    """A share as a bar; the figure itself stands beside it."""
    width = 0.0 if not part or not of else min(max(float(part) / float(of), 0.0), 1.0) * 100
    return mark_safe(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<rect class="track" width="100" height="8"/><rect class="part" width="{width:.2f}" height="8"/></svg>'
    )


@register.simple_tag
def change_bar(amount: Decimal, of: Decimal) -> SafeString:
    """A change as a bar from the middle: to the right what grew, to the left what fell."""
    width = min(abs(float(amount) / float(of)), 1.0) * 50 if of else 0.0
    start, kind = (50.0, "grew") if amount > 0 else (50.0 - width, "fell")
    return mark_safe(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="8"/>'
        f'<rect class="{kind}" x="{start:.2f}" width="{width:.2f}" height="8"/></svg>'
    )


@register.simple_tag
def split_bar(figures: object) -> SafeString:
    """Usage, idle, shared and unallocated side by side."""
    parts = [(name, max(float(getattr(figures, name)), 0.0)) for name in COST_TYPES]
    whole_width = sum(width for _, width in parts) or 1.0
    rects, at = [], 0.0
    for name, part in parts:
        width = part / whole_width * 100
        rects.append(f'<rect class="{name}" x="{at:.2f}" width="{width:.2f}" height="8"/>')
        at += width
    return mark_safe(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        + "".join(rects)
        + "</svg>"
    )


@register.simple_tag
def figure_cells(one: Figures, whole: Decimal, cell: str) -> SafeString:
    """The figures of a row of the explorer, amounts leading to what explains them where `cell` (a query string) is given.

    Written here and not in a template: a page has hundreds of these rows.
    """
    address = _address(cell)
    cells = [f'<td class="number strong">{_explained(money(one.cost), one.cost, address)}</td>']
    cells.append(f'<td class="roomy">{bar(one.cost, whole)}</td>')
    for kind, amount in one.by_type.items():
        to = f"{address}&amp;cost_type={kind}" if address else ""
        cells.append(
            f'<td class="number{"" if amount else " none"}">{_explained(money(amount), amount, to)}</td>'
        )
    cells += [_cell(count(one.requests)), _cell(count(one.predictions)), *_unit_costs(one, address)]
    usage, loaded = one.per_1k_usage, one.per_1k_loaded
    cells.append(_cell(_explained(unit_cost(usage), usage, address, "cost_type=usage", "per=tokens")))
    cells.append(_cell(_explained(unit_cost(loaded), loaded, address, "per=tokens")))
    return mark_safe("".join(cells))


@register.simple_tag
def period_cells(one: Figures, cell: str = "") -> SafeString:
    """The figures of a period in the explorer's table under the chart."""
    address = _address(cell)
    cells = [_cell(_explained(money(one.cost), one.cost, address), " strong")]
    for kind, amount in one.by_type.items():
        cells.append(_cell(_explained(money(amount), amount, address, f"cost_type={kind}")))
    cells += [_cell(count(one.requests)), _cell(count(one.predictions)), *_unit_costs(one, address)]
    return mark_safe("".join(cells))


def _unit_costs(one: Figures, address: str) -> list[str]:
    """Cost per prediction, of usage and fully loaded."""
    usage = _explained(unit_cost(one.cpp_usage), one.cpp_usage, address, "cost_type=usage", "per=predictions")
    loaded = _explained(unit_cost(one.cpp_loaded), one.cpp_loaded, address, "per=predictions")
    return [_cell(usage), _cell(loaded, " strong")]


def _cell(text: str, more: str = "") -> str:
    return f'<td class="number{more}">{text}</td>'


@cache
def _explain_page() -> str:
    return reverse("explain")  # thousands of times on a page


def _address(cell: str) -> str:
    return escape(f"{_explain_page()}?{cell}") if cell else ""


def _explained(text: str, amount: Decimal | None, address: str, *more: str) -> str:
    if not address or not amount:
        return text
    return f'<a href="{"&amp;".join((address, *more))}" data-over>{text}</a>'


WRITTEN: dict[str, Callable[[Any], str]] = {
    "money": money,
    "signed": signed_money,
    "unit": unit_cost,
    "exact": exact,
}


@register.simple_tag
def explained(
    amount: Decimal | str | None,
    cell: str = "",
    written: str = "money",
    page: str = "explain",
    **more: object,
) -> SafeString:
    """A figure that opens its explanation: `cell` is the query string that means it, `more` narrows it down.

    Without a cell, or where nothing is there to explain, the figure alone.
    """
    text = WRITTEN[written](amount)
    if not cell or not amount:
        return mark_safe(text)
    narrowed = urlencode([(name, value) for name, value in more.items() if value is not None])
    address = escape(f"{reverse(page)}?{'&'.join(filter(None, (cell, narrowed)))}")
    return mark_safe(f'<a href="{address}" data-over>{text}</a>')


@register.simple_tag
def explained_facet(amount: Decimal, cell: str, facet: str, value: str, written: str = "money") -> SafeString:
    """`explained` of one value of a line's facet; a source has its billing account beside it."""
    if facet == "source":
        source, _, account = value.partition("\x1f")
        return explained(amount, cell, written, source=source, billing_account=account)
    more: dict[str, Any] = {facet: value}
    return explained(amount, cell, written, **more)


@register.simple_tag
def explained_unmatched(one: Unmatched, cell: str) -> SafeString:
    """`explained` of what the cost of a row of the match report is made of."""
    if one.kind == "excluded_charge":
        return explained(
            one.cost, cell, page="explain_charges", disposition="exclude", by="default", name=one.name
        )
    if one.kind == "model_without_owner":
        return explained(one.cost, cell, model=one.name, team="")
    if one.kind == "model_without_price":
        provider, _, model = one.name.partition("/")
        return explained(one.cost, cell, provider=provider, model=model, cost_type="usage")
    return mark_safe(money(one.cost))


@register.simple_tag
def explained_day(
    amount: Decimal | None, day: str | date, cell: str = "", written: str = "money", **more: object
) -> SafeString:
    """`explained` of one UTC day."""
    start = date.fromisoformat(day) if isinstance(day, str) else day
    alone = urlencode({"start": start, "end": start + timedelta(days=1)})
    return explained(amount, "&".join(filter(None, (cell, alone))), written, "explain", **more)


@register.filter
def named(value: str, key: str = "") -> str:
    """A key's value as people read it: an unknown one is said in words."""
    return value.replace("\x1f", " ").strip() or f"(no {key.replace('_', ' ')})"


@register.filter
def short(name: str) -> str:
    """The last part of a resource id that is a path."""
    return name.rsplit("/", 1)[-1]


@register.filter
def line_of(text: str, number: int) -> str:
    """One line of a text, from 1."""
    return "".join(text.splitlines()[number - 1 : number])


@register.simple_tag
def moved(one: Any, kind: str) -> str:
    """The part of a change that one cost type makes."""
    return signed_money(one.by_type[kind]) if kind in one.by_type else NONE


MEASURES = {
    "gpu_ms": "GPU time",
    "batch_tokens": "batch-aware tokens",
    "list_price": "list price",
    "latency_ms": "latency",
    "requests": "one each",
}


@register.filter
def measure_name(name: str) -> str:
    """What requests were weighed by, in words."""
    return MEASURES.get(name, name)


@register.filter
def words(name: str) -> str:
    return name.replace("_", " ")


@register.inclusion_tag("_nav.html", takes_context=True)
def navigation(context: template.Context) -> dict[str, object]:
    """The pages that this reader may open; the one that is open is marked."""
    request: HttpRequest = context["request"]
    roles = roles_of(request.user)
    match = request.resolver_match
    return {
        "user": request.user,
        "roles": sorted(roles),
        "sees_everything": bool(roles & {FINANCE, ENGINEER, "admin"}),
        "here": match.url_name if match else "",
        "path": request.path,
    }
