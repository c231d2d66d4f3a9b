"""Selections: which days, and which allocations of them, by which keys and how finely."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, get_args

from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import KEYS
from finops.core.errors import UsageError
from finops.core.periods import ChargePeriod

Grain = Literal["hour", "day", "month"]
GRAINS: tuple[Grain, ...] = get_args(Grain)


@dataclass(frozen=True)
class Span:
    """UTC days [start, end)."""

    start: date
    end: date

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def length(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def __iter__(self) -> Iterator[date]:
        return iter(ChargePeriod.days(self.start, self.end))


def spread(days: Collection[date]) -> tuple[Span, frozenset[date]]:
    """The span from the first of some days to the last, and the days of it that are none of them."""
    span = Span(min(days), max(days) + timedelta(days=1))
    return span, frozenset(span) - frozenset(days)


@dataclass(frozen=True)
class Selection:
    """Which allocations, and how finely: the UTC days [start, end), by these keys.

    `billing_period` keeps the costs of one bill, and the requests of its calendar month: a request has
    no bill, and so it is counted in one billing period and not in two.
    """

    start: date
    end: date
    grain: Grain = "day"
    by: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    billing_period: str = ""
    scope: Scope = EVERYTHING

    def __post_init__(self) -> None:
        for key in (*self.by, *self.where):
            if key not in KEYS:
                raise UsageError(f"{key!r} is not a key: expected {', '.join(KEYS)}")
        if len(set(self.by)) < len(self.by):
            raise UsageError("a key is named twice")
        if self.grain not in GRAINS:
            raise UsageError(f"{self.grain!r} is not a grain: expected {', '.join(GRAINS)}")
        if self.start >= self.end:
            raise UsageError(f"{self.start} to {self.end} holds no day: the end is not included")
