"""Which figure the address of an explanation means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from django.http import QueryDict

from attribution.queries import FILTERS, Cells, published
from finops.core.access import Scope
from finops.core.datasets import KEYS
from finops.core.errors import UsageError
from finops.core.periods import parse_day
from reports.billing_periods import NoSuchVersion, closed_version
from reports.exploration import MOST_ROWS, ranked
from reports.figures import MEASURES
from reports.filters import one_of, whole_number
from reports.models import ClosedMonth
from reports.queries import figures_by
from reports.selection import Selection, Span, spread

PER = {"predictions": "prediction", "tokens": "1K tokens", "days": "day"}


@dataclass(frozen=True)
class Others:
    """The row of the explorer that stands for all values beyond its first."""

    by: str
    measure: str
    among: tuple[str, ...]  # that the address names; none: all

    def values(self, span: Span, where: Mapping[str, tuple[str, ...]], scope: Scope) -> tuple[str, ...]:
        """Which they are among the figures with these filters."""
        keys = {name: wanted for name, wanted in where.items() if name in KEYS}
        period = (where.get("billing_period") or ("",))[0]
        selection = Selection(span.start, span.end, "day", (self.by,), keys, period, scope)
        rows = [(value, figures) for (value,), figures in figures_by(selection, (self.by,)).items()]
        return tuple(value for value, _ in ranked(rows, self.by, self.measure)[MOST_ROWS:])


@dataclass(frozen=True)
class Asked:
    """Which figure the address means."""

    cells: Cells
    span: Span
    day: date | None  # the one of them that is opened
    without: frozenset[date]  # days that the figure leaves out
    snapshot: int | None  # as published then; None: today
    closed: ClosedMonth | None  # the closed month whose figure it is
    per: str  # of a unit cost: what it is divided by
    others: Others | None = None  # the values of one filter are those beyond the dearest
    before: tuple[date, ...] = ()  # of a change: the days with which the span is compared

    @property
    def query(self) -> str:
        """The query string of the figure, without a day."""
        return self._query(self.span, self.without, [("before", day) for day in self.before])

    @property
    def query_before(self) -> str:
        """The query string of the cost a day of the days before."""
        return replace(self, per="days")._query(*spread(self.before))

    @property
    def days(self) -> int:
        """How many days the figure is the sum of."""
        return self.span.length - len(self.without)

    def _query(self, span: Span, without: frozenset[date], more: Sequence[tuple[str, object]] = ()) -> str:
        pairs: list[tuple[str, object]] = [("start", span.start), ("end", span.end), *self.named]
        pairs += [("others", self.others.by), ("sort", self.others.measure)] if self.others else []
        pairs += [("without", day) for day in sorted(without)]
        pairs += more
        pairs += [("per", self.per)] if self.per else []
        if self.closed:
            pairs.append(("version", self.closed.version))
        elif self.snapshot:
            pairs.append(("snapshot", self.snapshot))
        return urlencode(pairs)

    @property
    def named(self) -> list[tuple[str, str]]:
        """Each filter with each of its values as the address names them, so without the many that `others` stands for."""
        return [
            (name, value)
            for name in self.cells.where
            for value in (
                self.others.among if self.others and name == self.others.by else self.cells.wanted(name)
            )
        ]

    @property
    def where(self) -> list[tuple[str, str]]:
        """In words."""
        if self.others is None:
            return self.named
        by = self.others.by
        return [*(one for one in self.named if one[0] != by), (by, f"{len(self.cells.wanted(by))} others")]


def asked_of(data: QueryDict, scope: Scope, newest: date, in_window: bool = False) -> Asked:
    """Raises UsageError where the address means no figure; `newest` is the last attributed day.

    `in_window`: of one unit in one window.
    """
    where = {name: tuple(dict.fromkeys(data.getlist(name))) for name in FILTERS if name in data}
    if added := data.get("add_key"):
        where[one_of(added, FILTERS, "a key")] = (data.get("add_value", "").strip(),)
    day = parse_day(chosen) if (chosen := data.get("day")) else None
    span = span_of(data.get("start"), data.get("end"), day or newest)
    without = frozenset(map(parse_day, data.getlist("without")))
    if day is None and span.length - len(without) == 1:
        day = next(one for one in span if one not in without)
    if day and day not in span:
        raise UsageError(f"{day} is not one of the days from {span.start} to {span.last}")
    closed = _closed(where, whole_or_none(data.get("version")))
    snapshot = closed.snapshot if closed else snapshot_or_none(data)
    per = one_of(str(data["per"]), tuple(PER), "what a cost is divided by") if data.get("per") else ""
    others = _others(data, where)
    if others:
        where[others.by] = others.values(span, where, scope)
    before = tuple(map(parse_day, data.getlist("before")))
    return Asked(Cells(where, scope, in_window), span, day, without, snapshot, closed, per, others, before)


def _others(data: QueryDict, where: Mapping[str, tuple[str, ...]]) -> Others | None:
    if not data.get("others"):
        return None
    measure = one_of(data.get("sort") or "cost", tuple(MEASURES), "a measure")
    by = one_of(str(data["others"]), KEYS, "a key")
    return Others(by, measure, where.get(by, ()))


def _closed(where: dict[str, tuple[str, ...]], version: int | None) -> ClosedMonth | None:
    """The version of the month that was asked for; today's figures where none was."""
    if version is None:
        return None
    periods = where.get("billing_period", ())
    if len(periods) != 1:
        raise UsageError(f"version {version} of which month? Expected one billing_period beside it")
    found = closed_version(periods[0], version)
    if found is None:
        raise NoSuchVersion(periods[0], version)
    return found


def span_of(start: str | None, end: str | None, day: date) -> Span:
    """The days [start, end), where they are given, else the one day."""
    if not start and not end:
        return Span(day, day + timedelta(days=1))
    if not start or not end:
        raise UsageError("start and end go together: expected both, YYYY-MM-DD")
    span = Span(parse_day(start), parse_day(end))
    if span.length < 1:
        raise UsageError(f"{start} to {end} holds no day: the end is not included")
    return span


def whole_or_none(text: str | None) -> int | None:
    return whole_number(text) if text else None


def snapshot_or_none(data: QueryDict) -> int | None:
    """`?snapshot=7`, where it is there. Raises UsageError where there is no such snapshot."""
    number = whole_or_none(data.get("snapshot"))
    return published(number) if number else None
