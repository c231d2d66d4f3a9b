"""What a day's explanation shows: its shares, gathered where they differ in window and unit alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from attribution.explain import ExplainedCharge, ExplainedShare
from attribution.explain import name_of as unit_name

__all__ = ["Line", "lines", "unit_name"]
SHOWN = 60  # windows and units of a line


@dataclass(frozen=True)
class Line:
    """One machine's idle hours, one model's part of a pool: what reads as one thing."""

    shares: tuple[ExplainedShare, ...]  # by window and unit

    @property
    def like(self) -> ExplainedShare:
        """Any of them, for what they have in common."""
        return self.shares[0]

    @property
    def cost(self) -> Decimal:
        return sum((share.cost for share in self.shares), Decimal(0))

    @property
    def charges(self) -> tuple[ExplainedCharge, ...]:
        """Those behind all of its windows, each once, in the order of the bill."""
        found = {(one.file, one.line): one for share in self.shares for one in share.charges}
        return tuple(found[place] for place in sorted(found))

    @property
    def charged(self) -> Decimal:
        """The cost of its charges in its windows, of which it is a part."""
        groups = {(share.window_start, share.charges): share.group_cost for share in self.shares}
        return sum(groups.values(), Decimal(0))

    @property
    def part(self) -> Decimal | None:
        """As a ratio; only for showing."""
        return self.cost / self.charged if self.charged else None

    @property
    def dearest(self) -> list[ExplainedShare]:
        """Of many windows and units, the dearest, in their order."""
        chosen = set(sorted(self.shares, key=lambda share: -abs(share.cost))[:SHOWN])
        return [share for share in self.shares if share in chosen]

    @property
    def others(self) -> tuple[int, Decimal]:
        """How many windows and units are not among the dearest, and what they cost together."""
        shown = self.dearest
        return len(self.shares) - len(shown), self.cost - sum((share.cost for share in shown), Decimal(0))

    @property
    def requested(self) -> ExplainedShare | None:
        """Of the windows and units whose requests decided, the dearest."""
        decided = [share for share in self.shares if share.measure and share.unit]
        return max(decided, key=lambda share: abs(share.cost), default=None)

    @property
    def assumed(self) -> bool:
        """Whether a unit counted as busy without a sample."""
        return any(share.assumed for share in self.shares)


def lines(shares: Iterable[ExplainedShare]) -> list[Line]:
    """The dearest first."""
    gathered: dict[tuple[str, ...], list[ExplainedShare]] = {}
    for share in shares:
        alike = (
            share.source,
            share.billing_account,
            share.billing_period,
            share.service_category,
            share.resource_id,
            share.rule,
            share.disposition,
            share.target,
            share.cost_type,
            share.reason,
            share.measure,
        )
        # What follows no resource is told apart by the unit that it went through: a model of an API.
        gathered.setdefault((*alike, "" if share.resource_id else share.unit), []).append(share)
    found = [
        Line(tuple(sorted(alike, key=lambda share: (share.window_start, share.unit))))
        for alike in gathered.values()
    ]
    return sorted(found, key=lambda line: -abs(line.cost))


def sampled(found: Iterable[Line]) -> Line | None:
    """The line whose requests are shown with it: the dearest of usage, else of what others' requests decided."""
    decided = [line for line in found if line.requested]
    return next((line for line in decided if line.like.cost_type == "usage"), next(iter(decided), None))
