"""Figures: costs by type beside what was served, and the unit costs that follow."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from attribution.queries import COST_TYPES as COST_TYPES


@dataclass(frozen=True)
class Figures:
    """Costs by type beside what was served; unit costs are None where nothing was."""

    usage: Decimal = Decimal(0)
    idle: Decimal = Decimal(0)
    shared: Decimal = Decimal(0)
    unallocated: Decimal = Decimal(0)
    requests: int = 0
    failed_requests: int = 0
    cached_requests: int = 0
    predictions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.usage + other.usage,
            self.idle + other.idle,
            self.shared + other.shared,
            self.unallocated + other.unallocated,
            self.requests + other.requests,
            self.failed_requests + other.failed_requests,
            self.cached_requests + other.cached_requests,
            self.predictions + other.predictions,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    @property
    def cost(self) -> Decimal:
        return self.usage + self.idle + self.shared + self.unallocated

    @property
    def failed_share(self) -> Decimal | None:
        return Decimal(self.failed_requests) / self.requests if self.requests else None

    @property
    def by_type(self) -> dict[str, Decimal]:
        return {
            "usage": self.usage,
            "idle": self.idle,
            "shared": self.shared,
            "unallocated": self.unallocated,
        }

    @property
    def loaded(self) -> Decimal:
        """Fully loaded: everything but what nobody could be found for."""
        return self.usage + self.idle + self.shared

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cpp_usage(self) -> Decimal | None:
        return self.usage / self.predictions if self.predictions else None

    @property
    def cpp_loaded(self) -> Decimal | None:
        return self.loaded / self.predictions if self.predictions else None

    @property
    def per_1k_usage(self) -> Decimal | None:
        return self.usage * 1000 / self.tokens if self.tokens else None

    @property
    def per_1k_loaded(self) -> Decimal | None:
        return self.loaded * 1000 / self.tokens if self.tokens else None

    @property
    def idle_share(self) -> Decimal | None:
        """Of what machines cost, the part that served nothing."""
        paid = self.usage + self.idle
        return self.idle / paid if paid > 0 else None


# What can be asked of the figures; those of ADDITIVE may be stacked and summed.
MEASURES: dict[str, tuple[str, Callable[[Figures], Decimal | int | None]]] = {
    "cost": ("Cost", lambda one: one.cost),
    "usage": ("Usage cost", lambda one: one.usage),
    "idle": ("Idle cost", lambda one: one.idle),
    "shared": ("Shared cost", lambda one: one.shared),
    "unallocated": ("Unallocated cost", lambda one: one.unallocated),
    "requests": ("Requests", lambda one: one.requests),
    "predictions": ("Predictions", lambda one: one.predictions),
    "cpp_usage": ("Cost per prediction, usage", lambda one: one.cpp_usage),
    "cpp_loaded": ("Cost per prediction, fully loaded", lambda one: one.cpp_loaded),
    "per_1k_usage": ("Cost per 1K tokens, usage", lambda one: one.per_1k_usage),
    "per_1k_loaded": ("Cost per 1K tokens, fully loaded", lambda one: one.per_1k_loaded),
}
ADDITIVE = ("cost", "usage", "idle", "shared", "unallocated", "requests", "predictions")


def total(figures: Iterable[Figures]) -> Figures:
    return sum(figures, Figures())
