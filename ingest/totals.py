"""The total that whoever delivers a bill says it has, beside what was read."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from finops.core.errors import FinopsError, UsageError
from finops.core.money import all_digits
from ingest.loading import Staged
from ingest.models import Delivery


def require_amount(text: str) -> None:
    """Raises UsageError where the text is no amount; none at all expects nothing."""
    try:
        if text and not Decimal(text).is_finite():
            raise InvalidOperation
    except InvalidOperation as error:
        raise UsageError(f"--expect-total {text!r}: expected an amount such as 1234.56") from error


def unexpected(staged: Staged, expected: str) -> list[str]:
    """Why the delivery is held: neither what is effective nor what is billed, in any currency, is that."""
    if not expected or any(_same(expected, amount) for pair in staged.totals.values() for amount in pair):
        return []
    said = "; ".join(
        f"{effective} {currency} effective, {billed} {currency} billed"
        for currency, (effective, billed) in staged.totals.items()
    )
    return [f"the total is not {expected} but {said or 'nothing'}"]


def require_expected(known: Delivery, expected: str) -> None:
    """A bill that is in force already is not held any more, but a wrong total is still said."""
    if not expected or known.kind != Delivery.Kind.BILLING:
        return
    with all_digits():
        amounts = [
            f"{sum((Decimal(cost) for cost in costs), Decimal(0)):f}"
            for currency in {period.currency for period in known.periods.all()}
            for costs in zip(
                *known.periods.filter(currency=currency).values_list("effective_cost", "billed_cost"),
                strict=True,
            )
        ]
    if not any(_same(expected, amount) for amount in amounts):
        raise FinopsError(
            f"delivery {known.pk} has brought these files already, and their total is not {expected} but {known.total}"
        )


def _same(expected: str, amount: str) -> bool:
    """Whether an amount is the expected one, to the places that this is given in."""
    with all_digits():
        wanted = Decimal(expected)
        return Decimal(amount).quantize(wanted, rounding=ROUND_HALF_UP) == wanted
