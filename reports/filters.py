"""The query strings of pages, read once: every view of the explorer is a link."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TypeVar
from urllib.parse import urlencode

from django.http import QueryDict

from finops.core.access import Scope
from finops.core.datasets import KEYS
from finops.core.errors import UsageError
from finops.core.periods import next_month, parse_day, parse_month
from reports.billing_periods import days_of_bill
from reports.figures import MEASURES
from reports.selection import GRAINS, Grain, Selection, Span

Word = TypeVar("Word", bound=str)

# A click on a value asks for the next of these.
DRILL_ORDER = ("team", "model", "feature", "tenant", "environment", "region", "endpoint", "model_version")
DEFAULT_DAYS = 30
MOST = 1_000_000_000  # of what is numbered: far below what databases count to


@dataclass(frozen=True)
class ExplorerQuery:
    """One view of the explorer, as its address says it."""

    start: date
    end: date
    by: str = "model"  # empty: by period
    grain: Grain = "day"
    measure: str = "cost"
    sort: str = ""  # a measure; empty: the dearest first, periods in order
    billing_period: str = ""
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all_rows: bool = False

    def selection(self, scope: Scope) -> Selection:
        return Selection(
            self.start,
            self.end,
            self.grain,
            (self.by,) if self.by else (),
            self.where,
            self.billing_period,
            scope,
        )

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    def query(self) -> str:
        """The query string that gives this view again."""
        pairs = [
            ("start", self.start.isoformat()),
            ("end", self.end.isoformat()),
            ("by", self.by),
            ("grain", self.grain),
            ("measure", self.measure),
        ]
        pairs += [("sort", self.sort)] if self.sort else []
        pairs += [("billing_period", self.billing_period)] if self.billing_period else []
        pairs += [("all", "1")] if self.all_rows else []
        pairs += [(key, value) for key, values in self.where.items() for value in values]
        return urlencode(pairs)

    def explained(self, value: str | None = None, period: str = "") -> str:
        """The query string of the page that explains a row (None: their total), or a period of the total.

        An hour is explained by its day.
        """
        span, where = Span(self.start, self.end), dict(self.where)
        if value is not None and self.by:
            where[self.by] = (value,)
        elif value is not None:
            period = value
        if period:
            days = _days_of_period(period)
            span = Span(max(days.start, span.start), min(days.end, span.end))
        pairs = [("start", span.start.isoformat()), ("end", span.end.isoformat())]
        pairs += [("billing_period", self.billing_period)] if self.billing_period else []
        return urlencode(pairs + [(key, one) for key, values in where.items() for one in values])

    def rows_explained(self) -> Callable[[str], str]:
        """`explained` of many rows; what they have in common is written once."""
        if not self.by:
            return self.explained
        alike = replace(self, where=self._others_than(self.by)).explained()
        return lambda value: f"{alike}&{urlencode({self.by: value})}"

    def others_explained(self) -> str:
        """The query string of the page that explains all rows beyond those that are shown; of periods there is none."""
        if not self.by:
            return ""
        return f"{self.explained()}&{urlencode({'others': self.by, 'sort': self.sort or 'cost'})}"

    def sorted_by(self, measure: str) -> "ExplorerQuery":
        return replace(self, sort=measure)

    def with_all_rows(self) -> "ExplorerQuery":
        return replace(self, all_rows=True)

    def without(self, key: str, value: str) -> "ExplorerQuery":
        kept = {
            name: tuple(one for one in values if (name, one) != (key, value))
            for name, values in self.where.items()
        }
        return replace(self, where={name: values for name, values in kept.items() if values})

    def into(self, value: str) -> "ExplorerQuery":
        """The view one click deeper: this value alone, by the next key."""
        if not self.by:
            days = _days_of_period(value)
            return replace(self, start=days.start, end=days.end, by=self._next({}))
        where = {**self.where, self.by: (value,)}
        return replace(self, where=where, by=self._next(where), sort="", all_rows=False)

    def rows_into(self) -> Callable[[str], str]:
        """The query strings of `into` for many rows; what they have in common is written once."""
        if not self.by:
            return lambda value: self.into(value).query()
        alike = replace(self.into(""), where=self._others_than(self.by)).query()
        return lambda value: f"{alike}&{urlencode({self.by: value})}"

    def _others_than(self, key: str) -> dict[str, tuple[str, ...]]:
        return {name: values for name, values in self.where.items() if name != key}

    def _next(self, where: Mapping[str, tuple[str, ...]]) -> str:
        where = {**self.where, **where}
        return next((key for key in DRILL_ORDER if key not in where), "")


def _days_of_period(period: str) -> Span:
    if len(period) == len("2026-09"):
        return Span(parse_month(period), next_month(parse_month(period)))
    day = parse_day(period[: len("2026-09-07")])
    return Span(day, day + timedelta(days=1))


def explorer_query(data: QueryDict, newest: date) -> ExplorerQuery:
    """What a query string asks for; `newest` is the last attributed day. Raises UsageError."""
    billing_period = data.get("billing_period", "").strip()
    span = days_of_bill(billing_period) if billing_period else _default_span(newest)
    start = parse_day(first) if (first := data.get("start")) else span.start
    end = parse_day(after) if (after := data.get("end")) else span.end
    where = {key: tuple(dict.fromkeys(data.getlist(key))) for key in KEYS if key in data}
    if added := data.get("add_key"):
        key = one_of(added, KEYS, "a key")
        where[key] = tuple(dict.fromkeys((*where.get(key, ()), data.get("add_value", "").strip())))
    by = data.get("by", "model")
    return ExplorerQuery(
        start,
        end,
        one_of(by, KEYS, "a key") if by else "",
        one_of(data.get("grain", "day"), GRAINS, "a grain"),
        one_of(data.get("measure", "cost"), tuple(MEASURES), "a measure"),
        one_of(sort, tuple(MEASURES), "a measure") if (sort := data.get("sort")) else "",
        billing_period,
        where,
        data.get("all") == "1",
    )


def _default_span(newest: date) -> Span:
    end = newest + timedelta(days=1)
    return Span(end - timedelta(days=DEFAULT_DAYS), end)


def one_of(value: str, words: tuple[Word, ...], what: str) -> Word:
    """The word itself, where it is one of these; else an error that lists them."""
    for word in words:
        if word == value:
            return word
    raise UsageError(f"{value!r} is not {what}: expected {', '.join(words)}")


def whole_number(text: str) -> int:
    """The number of a page, a version or a snapshot. Raises UsageError."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise UsageError(f"{text!r} is not a number: expected 1 to {MOST:,}")
    return int(text)


def month_or_none(data: QueryDict) -> date | None:
    """`?month=2026-09`, where it is there."""
    return parse_month(month) if (month := data.get("month")) else None
