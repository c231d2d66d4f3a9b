"""The policy's versions: applying one puts its text in force beside the others, and says so in the history."""

from contextlib import closing
from datetime import date

from attribution.models import PolicyChange
from attribution.policy import parse
from attribution.world import PolicyInForce, policies_in_force
from finops.core import warehouse


def apply(text: str, *, holds_from: date | None = None, by: str = "", reason: str = "") -> tuple[int, bool]:
    """Check the text and put it in force as the next version; the version, and whether it is new.

    `holds_from`: earlier days keep the policy that they have; None: it holds on all days.
    Raises PolicyError. The text that is already in force on these days changes nothing.
    """
    parse(text)
    while True:
        snapshot = warehouse.latest()
        before = policies_in_force(snapshot)
        if _holds_already(before, text, holds_from):
            return before[-1].version, False
        version = _next_version()
        kept = [one for one in before if one.version and one.holds_before(holds_from)]
        after = [*kept, PolicyInForce(version, text, holds_from)]
        rows = " union all ".join(
            f"select $version_{n}::bigint as version, $text_{n} as text, $holds_from_{n}::date as holds_from"
            for n in range(len(after))
        )
        values = {f"{name}_{n}": value for n, one in enumerate(after) for name, value in vars(one).items()}
        with closing(warehouse.connect(threads=1)) as con:
            file = warehouse.write(con, "policy", warehouse.partition("policy"), rows, values)

        def remember(snapshot: int, version: int = version) -> None:
            PolicyChange.objects.create(
                version=version,
                text=text,
                holds_from=holds_from,
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
        return version, True


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
