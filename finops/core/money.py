"""Money: exact decimals of twelve places, split and rounded so that nothing is lost."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import TypeVar

PICO = 10**12
PLACE = Decimal(1).scaleb(-12)

# ISO 4217: the currencies whose minor unit is not a hundredth.
_PLACES = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

Name = TypeVar("Name")


@contextmanager
def all_digits() -> Iterator[None]:
    """Sums and differences of amounts keep every digit, as a bill is delivered: by default 28 are kept."""
    with localcontext(prec=200):
        yield


def to_pico(text: str | Decimal) -> int:
    """An amount in units of 10^-12, rounded half up away from zero.

    Raises decimal.InvalidOperation where the text is no number.
    """
    with all_digits():
        amount = Decimal(text)
        return int((amount * PICO).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def plain(amount: Decimal) -> str:
    """Twelve decimals, no exponent: the notation of every export."""
    return f"{amount:.12f}"


def minor_unit(currency: str) -> Decimal:
    """The smallest amount a statement in this currency shows (ISO 4217)."""
    return Decimal(1).scaleb(-_PLACES.get(currency, 2))


def largest_remainder(
    amounts: Mapping[Name, Decimal], unit: Decimal, total: Decimal | None = None
) -> dict[Name, Decimal]:
    """Round every amount to `unit` so that they sum to the rounded total.

    `total` is the figure to meet, a multiple of `unit`; by default the sum of the amounts,
    rounded half up. Each amount is cut toward minus infinity, and the units still missing
    go to the largest remainders, ties in the order given. An amount moves by less than one
    unit, unless `total` asks for more than the amounts sum to.
    """
    with all_digits():
        exact = {name: amount / unit for name, amount in amounts.items()}
        target = sum(amounts.values(), Decimal(0)) if total is None else total
        units = int((target / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP))
        floors = {name: _floor(value) for name, value in exact.items()}
        missing = units - sum(floors.values())
        by_remainder = sorted(exact, key=lambda name: floors[name] - exact[name])
        if by_remainder:
            rounds, rest = divmod(missing, len(by_remainder))
            for position, name in enumerate(by_remainder):
                floors[name] += rounds + (1 if position < rest else 0)
        return {name: floors[name] * unit for name in amounts}


def _floor(value: Decimal) -> int:
    whole = int(value)
    return whole - 1 if value < whole else whole
