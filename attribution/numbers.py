"""What a token weighs and costs, as integers: the policy's numbers and the list's prices for a day's requests."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import gcd

from duckdb import DuckDBPyConnection

from attribution import prices, steps
from attribution.policy import Policy, Price
from finops.core.money import PICO, to_pico

TOKEN_NUMBERS = (
    *("token_fresh", "token_reused", "token_written", "token_unit"),
    *("batch_fresh", "batch_share", "batch_context", "batch_unit"),
)
PRICE_NUMBERS = ("price_fresh", "price_reused", "price_written", "price_unit")
_MICRO = 10**6
_LARGEST = 2**63 - 1


def give(con: DuckDBPyConnection, day: date, policy: Policy, params: steps.Parameters) -> None:
    """The table `number`: for each key of the requests the coefficients of `gather.sql`.

    They are BIGINT where no weight of the day's requests can then leave 64 bits, else HUGEINT.
    """
    tokens = {model: _token_numbers(weights) for model, weights in _weights(policy).items()}
    used = con.execute(
        "select distinct provider, model from key_names where day = $day and provider <> ''", {"day": day}
    ).fetchall()
    priced = {name: _price_numbers(price) for name, price in prices.prices(policy, used, day).items()}
    every = [*tokens.values(), *priced.values()]
    kind = "bigint" if _fits(con, every) else "hugeint"
    of_models = [((model,), found) for model, found in tokens.items()]
    _table(con, "token_number", ("model",), TOKEN_NUMBERS, kind, of_models)
    _table(con, "price_number", ("provider", "model"), PRICE_NUMBERS, kind, sorted(priced.items()))
    steps.run(con, "numbers", params)


def _weights(policy: Policy) -> dict[str | None, Mapping[str, Decimal]]:
    weights: dict[str | None, Mapping[str, Decimal]] = {None: policy.tokens}
    weights.update(policy.model_tokens)
    return weights


def _reduced(*numbers: int) -> list[int]:
    """The same proportions in the smallest integers."""
    common = gcd(*numbers)
    return [number // common for number in numbers]


def _token_numbers(weights: Mapping[str, Decimal]) -> dict[str, int]:
    pico = {name: to_pico(weight) for name, weight in weights.items()}
    fresh, reused, written, unit = _reduced(
        pico["input"], pico["cached_input"], pico["output"], PICO // _MICRO
    )
    # u + R*o*s + g/1000*o*(p + o/2), where s is in 10^-6 already: 10^6 u + R*o*s + 500 g*o*(2p + o)
    share, context, batch_unit = _reduced(pico["weight_read"], 500 * pico["context"], PICO)
    batch = (_MICRO * batch_unit, share, context, batch_unit)
    return dict(zip(TOKEN_NUMBERS, (fresh, reused, written, unit, *batch), strict=True))


def _price_numbers(price: Price) -> dict[str, int]:
    picos = (to_pico(one) for one in (price.input, price.cached_input, price.output))
    return dict(zip(PRICE_NUMBERS, _reduced(*picos, PICO // _MICRO), strict=True))


def _table(
    con: DuckDBPyConnection,
    name: str,
    named: Sequence[str],
    columns: Sequence[str],
    kind: str,
    rows: Sequence[tuple[Sequence[str | None], Mapping[str, int]]],
) -> None:
    declared = [*(f"{column} varchar" for column in named), *(f"{column} {kind}" for column in columns)]
    con.execute(f"create table {name} ({', '.join(declared)})")
    marks = ", ".join(["?"] * len(named) + [f"cast(? as {kind})"] * len(columns))
    for names, numbers in rows:
        con.execute(
            f"insert into {name} values ({marks})", [*names, *(str(numbers[column]) for column in columns)]
        )


def _fits(con: DuckDBPyConnection, every: Sequence[Mapping[str, int]]) -> bool:
    """Whether no weight, nor what it is rounded from, leaves 64 bits."""
    found = con.execute("select max(input_tokens), max(output_tokens) from raw").fetchall()[0]
    most_input, most_output = (int(count or 0) for count in found)
    for one in every:
        for what in ("token", "price"):
            if f"{what}_unit" in one:
                dearest = max(one[f"{what}_fresh"], one[f"{what}_reused"])
                weight = most_input * dearest + most_output * one[f"{what}_written"]
                if 2 * weight + one[f"{what}_unit"] > _LARGEST:
                    return False
        if "batch_unit" in one:
            weight = most_input * one["batch_fresh"] + most_output * _MICRO * one["batch_share"]
            weight += most_output * (2 * most_input + most_output) * one["batch_context"]
            if 2 * weight + one["batch_unit"] > _LARGEST:
                return False
    return True
