"""Putting a policy in force, which closed months never notice."""

from datetime import date

from attribution import policies
from finops.core.periods import next_month, parse_month
from reports.billing_periods import closed_months


def apply(text: str, *, holds_from: date | None = None, by: str = "", reason: str = "") -> policies.Applied:
    """`policies.apply` on the days after all closed months: a day before them is refused, all days begin after them."""
    return policies.apply(text, holds_from=holds_from, by=by, reason=reason, first_open=first_open)


def first_open() -> date | None:
    """The first day after the last month that is closed; None where none is."""
    closed = max(closed_months(), default="")
    return next_month(parse_month(closed)) if closed else None
