"""The policy's versions: applying one puts its text in force beside the others, and says so in the history."""

from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import NamedTuple

from attribution.models import PolicyChange
from attribution.policy import parse
from attribution.world import PolicyInForce, policies_in_force
from finops.core import warehouse
from finops.core.errors import UsageError

FirstOpen = Callable[[], date | None]  # the first day after all months that are closed; None: none is


class Applied(NamedTuple):
    version: int
    is_new: bool
    holds_from: date | None  # None: since ever


def no_month_is_closed() -> None:
    return None


def apply(
    text: str,
    *,
    holds_from: date | None = None,
    by: str = "",
    reason: str = "",
    first_open: FirstOpen = no_month_is_closed,
) -> Applied:
    """Check the text and put it in force as the next version.

    `holds_from`: earlier days keep the policy that they have; None: it holds on all days that are open.
    `first_open` is asked under the commit lock as well: a month that is closed meanwhile keeps its policy too.
    Raises PolicyError, and UsageError where the day is closed. The text that is already in force on these days
    changes nothing.
    """
    parse(text)
    while True:
        open_from = first_open()
        if holds_from is not None:
            require_open(holds_from, open_from)
        begins = holds_from or open_from
        snapshot = warehouse.latest()
        before = policies_in_force(snapshot)
        if _holds_already(before, text, begins):
            return Applied(before[-1].version, False, begins)
        version = _next_version()
        kept = [one for one in before if one.version and one.holds_before(begins)]
        after = [*kept, PolicyInForce(version, text, begins)]
        rows = " union all ".join(
            f"select $version_{n}::bigint as version, $text_{n} as text, $holds_from_{n}::date as holds_from"
            for n in range(len(after))
        )
        values = {f"{name}_{n}": value for n, one in enumerate(after) for name, value in vars(one).items()}
        with closing(warehouse.connect(threads=1)) as con:
            file = warehouse.write(con, "policy", warehouse.partition("policy"), rows, values)

        def remember(
            snapshot: int, version: int = version, begins: date | None = begins, seen: date | None = open_from
        ) -> None:
            if first_open() != seen:
                raise warehouse.Overtaken("a month was closed or reopened meanwhile")
            PolicyChange.objects.create(
                version=version,
                text=text,
                holds_from=begins,
                applied_by=by,
                reason=reason,
                snapshot=snapshot,
            )

        try:
            warehouse.commit(
                [file], computed_from=snapshot, note=f"policy version {version}", beside=remember
            )
        except warehouse.Overtaken:
            continue
        return Applied(version, True, begins)


def require_open(month: date, first_open: date | None) -> None:
    """A closed month, and each before one, keeps its policy. Raises UsageError."""
    if first_open is not None and month < first_open:
        raise UsageError(f"{month:%Y-%m} is closed, or before a month that is: it keeps its policy")


def _holds_already(timetable: tuple[PolicyInForce, ...], text: str, holds_from: date | None) -> bool:
    """Whether this is the text of these days and of all after them."""
    newest = timetable[-1]
    if not newest.version or newest.text != text:
        return False
    return newest.holds_from is None if holds_from is None else newest.holds_on(holds_from)


def _next_version() -> int:
    """One more than any version there ever was, also those that a later one replaced."""
    newest = PolicyChange.objects.order_by("-version").values_list("version", flat=True).first()
    return max(newest or 0, policies_in_force()[-1].version) + 1
