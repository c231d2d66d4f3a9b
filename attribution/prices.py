"""List prices of metered APIs: the policy's, over a list that comes as a package."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version

from attribution.policy import Policy, Price


def list_version() -> str:
    """Names the built-in price list: part of what a day is computed from."""
    return version("genai-prices")


def prices(policy: Policy, used: Iterable[tuple[str, str]], day: date) -> dict[tuple[str, str], Price]:
    """The price per 1M tokens of each (provider, model) in force on the day; the unpriced are absent."""
    found = {}
    for provider, model in used:
        price = policy.prices.get((provider, model)) or _listed(provider, model, day)
        if price:
            found[provider, model] = price
    return found


def _listed(provider: str, model: str, day: date) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot

    if not provider or not model:
        return None
    try:
        _, listed = get_snapshot().find_provider_model(model, None, provider.lower(), None)
    except LookupError:
        return None
    at = listed.get_prices(datetime.combine(day, time(), UTC))
    fresh, cached, output = (_base(value) for value in (at.input_mtok, at.cache_read_mtok, at.output_mtok))
    if fresh is None or output is None:
        return None
    return Price(input=fresh, cached_input=fresh if cached is None else cached, output=output)


def _base(value: object) -> Decimal | None:
    """A price without its tiers: what the first token costs."""
    base = getattr(value, "base", value)
    return None if base is None else Decimal(str(base))
