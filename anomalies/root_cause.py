"""Which factor made a cost change: exact, additive, pure.

    usage  = requests x cost of a request on average
    idle   = sum over machines of: hours x price x idle share x share of the machines

and the cost of a request differs by part (tenant and feature): tokens per request x work per token x price.
The change of a product is split over its factors by the logarithmic mean (the LMDI method): factor x
contributes L(now, before) * ln(x now / x before), with L(a, b) = (a - b) / (ln a - ln b). No order of the
factors is preferred. What neither the number of requests nor the parts' own factors explain is the
mix: who asked, and for what. A machine that is new or gone has no logarithm: it counts wholly as machines.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from finops.core.money import PLACE

# Factors, in words that a reader of a mail understands.
REQUESTS, MIX, TOKENS = "requests", "mix", "tokens per request"
PRICE = "price"  # of a machine's hour
TOKEN_PRICE, REQUEST_PRICE = "price per token", "price per request"  # of a metered API
WORK, LABOUR = "work per token", "work per request"  # what it takes of a machine; the latter has no tokens
MACHINES, IDLENESS, SHARING = "machines", "utilisation", "share of machines"
IDLE = "idle"  # of machines that nobody knows
LAUNCH, END = "launch", "end"  # nothing was there before, or nothing is any more


@dataclass(frozen=True)
class Part:
    """A product of positive factors; `cost` is what it comes to, to the last place."""

    cost: Decimal
    factors: Mapping[str, Decimal]


@dataclass
class Span:
    """What a slice's usage and idle were made of, over some days."""

    usage: dict[str, Decimal] = field(default_factory=dict)  # by part
    requests: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    idle: Decimal = Decimal(0)
    machine_seconds: dict[str, int] = field(default_factory=dict)  # by resource
    machine_cost: dict[str, Decimal] = field(default_factory=dict)
    machine_idle: dict[str, Decimal] = field(default_factory=dict)

    @property
    def whole_usage(self) -> Decimal:
        return sum(self.usage.values(), Decimal(0))

    @property
    def whole_requests(self) -> int:
        return sum(self.requests.values())

    @property
    def hour_price(self) -> Decimal | None:
        """What a busy hour of its machines costs; None where they were never busy.

        A machine that only stands idle has no part in it: nothing is served at its price.
        """
        busy_cost = busy_hours = Decimal(0)
        for name, cost in self.machine_cost.items():
            used = cost - self.machine_idle[name]
            if cost > 0 and used > 0:
                busy_cost += used
                busy_hours += Decimal(self.machine_seconds[name]) / 3600 * used / cost
        return busy_cost / busy_hours if busy_hours else None


def contributions(before: Span, now: Span) -> dict[str, Decimal]:
    """What each factor added to usage + idle, largest first; they sum to the change exactly."""
    change = now.whole_usage + now.idle - before.whole_usage - before.idle
    if now.whole_requests and not any(before.usage.values()) and not before.idle:
        total = {LAUNCH: change}
    elif before.whole_requests and not any(now.usage.values()) and not now.idle:
        total = {END: change}
    else:
        total = defaultdict(Decimal, _usage_changes(before, now))
        for factor, amount in _idle_changes(before, now).items():
            total[factor] += amount
    return dict(sorted(((f, a) for f, a in total.items() if a), key=lambda one: -abs(one[1])))


def _usage_changes(before: Span, now: Span) -> dict[str, Decimal]:
    changes: dict[str, Decimal] = defaultdict(Decimal)
    volume = [
        Part(
            span.whole_usage,
            {REQUESTS: Decimal(span.whole_requests), "": span.whole_usage / span.whole_requests},
        )
        for span in (before, now)
        if span.whole_requests
    ]
    if len(volume) == 2:
        changes[REQUESTS] = (_split(*volume) or {}).get(REQUESTS, Decimal(0))
    old, new = _usage_parts(before, now), _usage_parts(now, before)
    for name in old.keys() & new.keys():
        for factor, amount in (_split(old[name], new[name]) or {}).items():
            if factor:
                changes[factor] += amount
    changes[MIX] = now.whole_usage - before.whole_usage - sum(changes.values(), Decimal(0))
    return changes


def _usage_parts(span: Span, other: Span) -> dict[str, Part]:
    """What a request of each part costs. Factors only where both spans know them: tokens, the machines' price.

    The factor without a name is the number of the part's requests, which volume and mix tell of.
    """
    priced = span.hour_price is not None and other.hour_price is not None
    parts = {}
    for name, cost in span.usage.items():
        asked = span.requests.get(name, 0)
        if not asked:
            continue
        factors = {"": Decimal(asked)}
        rest = cost / asked
        with_tokens = bool(span.tokens.get(name) and other.tokens.get(name))
        if with_tokens:
            factors[TOKENS] = Decimal(span.tokens[name]) / asked
            rest /= factors[TOKENS]
        if priced and span.hour_price:
            factors[PRICE] = span.hour_price
            factors[WORK if with_tokens else LABOUR] = rest / span.hour_price
        else:
            factors[TOKEN_PRICE if with_tokens else REQUEST_PRICE] = rest
        parts[name] = Part(cost, factors)
    return parts


def _idle_changes(before: Span, now: Span) -> dict[str, Decimal]:
    changes: dict[str, Decimal] = defaultdict(Decimal)
    nothing = Part(Decimal(0), {})
    old, new = _idle_parts(before, now), _idle_parts(now, before)
    for name in {**old, **new}:
        then, today = old.get(name, nothing), new.get(name, nothing)
        whole = {MACHINES if name else IDLE: today.cost - then.cost}
        for factor, amount in (_split(then, today) or whole).items():
            changes[factor] += amount
    return changes


def _idle_parts(span: Span, other: Span) -> dict[str, Part]:
    """The slice's idle cost by machine, in proportion to what stood idle on each."""
    there = {name: idle for name, idle in span.machine_idle.items() if idle > 0}
    whole = sum(there.values(), Decimal(0))
    if (
        not span.idle
        or not whole
        or (other.idle and not any(idle > 0 for idle in other.machine_idle.values()))
    ):
        return {"": Part(span.idle, {})} if span.idle else {}
    parts = {}
    left = span.idle
    for place, (name, idle) in enumerate(there.items()):
        own = left if place == len(there) - 1 else (span.idle * idle / whole).quantize(PLACE, ROUND_HALF_EVEN)
        left -= own
        hours = Decimal(span.machine_seconds[name]) / 3600
        cost = span.machine_cost[name]
        parts[name] = Part(
            own, {MACHINES: hours, PRICE: cost / hours, IDLENESS: idle / cost, SHARING: span.idle / whole}
        )
    return parts


def _split(before: Part, now: Part) -> dict[str, Decimal] | None:
    """The change of a product over its factors; None where one of them has no logarithm, or is not known of both."""
    if not now.factors or now.factors.keys() != before.factors.keys():
        return None
    if min(before.cost, now.cost, *before.factors.values(), *now.factors.values()) <= 0:
        return None
    change = now.cost - before.cost
    with localcontext(prec=60):
        ratio = (now.cost / before.cost).ln()
        mean = change / ratio if ratio else now.cost
        split = {
            factor: (mean * (now.factors[factor] / before.factors[factor]).ln()).quantize(PLACE)
            for factor in now.factors
        }
    largest = max(split, key=lambda factor: abs(split[factor]))
    split[largest] += change - sum(split.values(), Decimal(0))  # the last places
    return split
