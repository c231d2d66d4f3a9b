"""The overview: a month's figures up to its newest complete day, beside the same days of the month before."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from finops.core import warehouse
from finops.core.access import Scope
from finops.core.periods import next_month, previous_month
from finops.core.results import cached
from reports.figures import Figures, total
from reports.queries import content, figures_by, incomplete_days, newest_day
from reports.selection import Selection, Span


@dataclass(frozen=True)
class ModelFigures:
    model: str
    now: Figures
    before: Figures


@dataclass(frozen=True)
class Overview:
    """A month up to its newest complete day, against the same days of the month before.

    Incomplete days are in `days` and in none of the sums, unless there is no complete day at all.
    """

    span: Span
    before: Span
    figures: Figures
    figures_before: Figures
    models: list[ModelFigures]  # dearest first, at the end what has no model; they sum to the figures
    days: dict[str, Figures]
    days_before: dict[str, Figures]
    incomplete: dict[
        date, str
    ]  # days of the month whose bill or logs are still to come, with what is missing
    content: str  # of the files that it was read from
    skipped: frozenset[date]  # incomplete days of the span, which its sums leave out
    skipped_before: frozenset[date]

    @property
    def cell(self) -> str:
        """The query string of the page that explains the month's figures."""
        return _cell(self.span, self.skipped)

    @property
    def cell_before(self) -> str:
        return _cell(self.before, self.skipped_before)


def _cell(span: Span, without: Iterable[date]) -> str:
    return urlencode(
        [("start", span.start), ("end", span.end), *(("without", day) for day in sorted(without))]
    )


def overview_of(month: date | None, scope: Scope) -> Overview | None:
    """The figures of a month (by default the newest one attributed); None where nothing is attributed."""
    snapshot = warehouse.latest()
    newest = newest_day(snapshot)
    if newest is None:
        return None
    first = month or newest.replace(day=1)
    whole = Span(first, next_month(first))
    incomplete_of_month = incomplete_days(whole)
    last = min(whole.last, max(newest, first))
    span, before = _compared(first, last, incomplete_of_month)
    skipped = {day for day in incomplete_of_month if day in span}
    if len(incomplete_of_month) >= span.length:
        skipped = set()
    skipped_before = {before.start + (day - span.start) for day in skipped}
    selection = Selection(before.start, whole.end, "day", ("model",), scope=scope)
    now = content(selection, snapshot)

    def compute() -> Overview:
        found = figures_by(selection, ("period", "model"), snapshot)
        now_by, then_by = _by_model(found, span, skipped), _by_model(found, before, skipped_before)
        models = [
            ModelFigures(model, now_by.get(model, Figures()), then_by.get(model, Figures()))
            for model in sorted({*now_by, *then_by})
        ]
        return Overview(
            span,
            before,
            total(now_by.values()),
            total(then_by.values()),
            sorted(models, key=lambda one: (not one.model, -one.now.cost)),
            _by_day(found, whole),
            _by_day(found, before),
            incomplete_of_month,
            now,
            frozenset(skipped),
            frozenset(skipped_before),
        )

    return cached("overview", now, (scope, span, repr(incomplete_of_month)), compute)


def _compared(first: date, last: date, incomplete: Mapping[date, str]) -> tuple[Span, Span]:
    """The month without the incomplete days at its end, and as many days of the month before."""
    end = last
    while end in incomplete and end > first:
        end -= timedelta(days=1)
    if end in incomplete:  # not one complete day: better these than none
        end = last
    span = Span(first, end + timedelta(days=1))
    earlier = previous_month(first)
    whole_month = span.end == next_month(first)
    return span, Span(earlier, first if whole_month else min(earlier + (span.end - first), first))


def _by_model(
    found: Mapping[tuple[str, ...], Figures], span: Span, skipped: Collection[date]
) -> dict[str, Figures]:
    summed: dict[str, Figures] = {}
    for (period, model), figures in found.items():
        day = date.fromisoformat(period)
        if day in span and day not in skipped:
            summed[model] = summed.get(model, Figures()) + figures
    return summed


def _by_day(found: Mapping[tuple[str, ...], Figures], span: Span) -> dict[str, Figures]:
    summed: dict[str, Figures] = {}
    for (period, _), figures in sorted(found.items()):
        if date.fromisoformat(period) in span:
            summed[period] = summed.get(period, Figures()) + figures
    return summed
