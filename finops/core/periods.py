"""Spans of time: half-open, in UTC, never naive."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from finops.core.errors import UsageError


@dataclass(frozen=True)
class ChargePeriod:
    """A span of time in UTC: start included, end excluded, as in FOCUS."""

    start: datetime
    end: datetime

    @classmethod
    def day(cls, day: date) -> "ChargePeriod":
        return cls.days(day, day + timedelta(days=1))

    @classmethod
    def days(cls, first: date, end: date) -> "ChargePeriod":
        """From the first day's midnight to the midnight of `end`, which is not included."""
        return cls(midnight(first), midnight(end))

    @classmethod
    def month(cls, month: str) -> "ChargePeriod":
        """The calendar month of a billing period such as `2026-09`."""
        first = parse_month(month)
        return cls.days(first, next_month(first))

    def __iter__(self) -> Iterator[date]:
        """The UTC days it touches."""
        day = self.start.date()
        while midnight(day) < self.end:
            yield day
            day += timedelta(days=1)

    def params(self) -> dict[str, datetime]:
        return {"start": self.start, "end": self.end}


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def previous_month(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


YEARS = range(1970, 3000)  # far from where calendars end: days can be counted on and back


def parse_day(text: str) -> date:
    """A day as `2026-09-07`, and written in no other way. Raises UsageError."""
    return _parse(text, text, "a date: expected YYYY-MM-DD")


def parse_month(text: str) -> date:
    """The first day of a month as `2026-09`, and written in no other way. Raises UsageError."""
    return _parse(text, f"{text}-01", "a month: expected YYYY-MM")


def _parse(text: str, day: str, expected: str) -> date:
    try:
        found = date.fromisoformat(day)
    except ValueError as error:
        raise UsageError(f"{text!r} is not {expected}") from error
    if found.isoformat() != day:  # 20260907 and 2026-W37-1 are ISO as well
        raise UsageError(f"{text!r} is not {expected}")
    if found.year not in YEARS:
        raise UsageError(f"{text!r} is too far away: expected a year from {YEARS[0]} to {YEARS[-1]}")
    return found


def in_spans(days: Iterable[date]) -> str:
    """Days in order as text: of those that follow each other the first and the last."""
    spans: list[tuple[date, date]] = []
    for day in days:
        if spans and day - spans[-1][1] == timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
