"""Putting a policy in force, which closed months never notice."""

from datetime import date

from attribution import policies
from finops.core.periods import next_month, parse_month
from reports.billing_periods import closed_months


def apply_to_open_months(
    text: str, *, holds_from: date | None = None, by: str = "", reason: str = ""
) -> policies.Applied:
    """`attribution.policies.apply` after all closed months: a day in or before them is refused."""
    return policies.apply(text, holds_from=holds_from, by=by, reason=reason, first_open=first_open)


def first_open() -> date | None:
    """The first day after the last month that is closed; None where none is."""
    closed = max(closed_months(), default="")
    return next_month(parse_month(closed)) if closed else None
