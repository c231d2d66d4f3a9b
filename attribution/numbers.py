"""What a token weighs and costs, as integers: the policy's numbers and the list's prices for a day's requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import gcd

import pyarrow as pa
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
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Survey:
    """What a day's requests call for, and the largest of each of their numbers; 0 where no request has it."""

    requests: int
    timed: int  # uncached requests that say when they decoded
    lacking: int  # uncached requests that the server did not measure
    not_batch_aware: int  # uncached requests that do not say when they decoded, or how much
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    gpu_ms: int  # in 10^-6 ms, as latency_ms
    latency_ms: int
    predictions: int
    value: Decimal | int
    least_value: Decimal | int

    @classmethod
    def of(cls, found: pa.Table) -> "Survey":
        """From the one row of `survey.sql`."""
        (row,) = found.to_pylist()
        return cls(**{name: number or 0 for name, number in row.items()})


def give(
    con: DuckDBPyConnection, day: date, policy: Policy, params: steps.Parameters, survey: Survey
) -> bool:
    """The table `number`: for each key of the requests the coefficients of `gather.sql`; whether any key is of an API.

    They are BIGINT where no weight of the day's requests can then leave 64 bits, else HUGEINT.
    """
    tokens = {model: _token_numbers(weights) for model, weights in _weights(policy).items()}
    used = con.execute(
        "select distinct provider, model from key_names where day = $day and provider <> ''", {"day": day}
    ).fetchall()
    priced = {name: _price_numbers(price) for name, price in prices.prices(policy, used, day).items()}
    every = [*tokens.values(), *priced.values()]
    kind = "bigint" if _fits(every, survey) else "hugeint"
    of_models = [((model,), found) for model, found in tokens.items()]
    _table(con, "token_number", ("model",), TOKEN_NUMBERS, kind, of_models)
    _table(con, "price_number", ("provider", "model"), PRICE_NUMBERS, kind, sorted(priced.items()))
    steps.run(con, "numbers", params)
    return bool(used)


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


def heaviest(one: Mapping[str, int], survey: Survey) -> dict[str, tuple[int, int]]:
    """By measure, the largest weight that a request can have, after the largest number it is rounded from."""
    most_input = max(survey.input_tokens, survey.cached_input_tokens)
    most_output = survey.output_tokens
    found = {}
    for measure, what in (("tokens", "token"), ("list_price", "price")):
        if f"{what}_unit" in one:
            dearest = max(one[f"{what}_fresh"], one[f"{what}_reused"])
            weight = most_input * dearest + most_output * one[f"{what}_written"]
            found[measure] = _rounded(weight, one[f"{what}_unit"])
    if "batch_unit" in one:
        # A product of three is computed from the left: the first two must fit though the third be 0.
        weight = most_input * one["batch_fresh"] + most_output * _MICRO * max(one["batch_share"], 1)
        weight += most_output * (2 * most_input + most_output) * max(one["batch_context"], 1)
        found["batch_tokens"] = _rounded(weight, one["batch_unit"])
    return found


def _rounded(weight: int, unit: int) -> tuple[int, int]:
    rounded_from = 2 * weight + unit
    return rounded_from, rounded_from // (2 * unit)


def _fits(every: Sequence[Mapping[str, int]], survey: Survey) -> bool:
    """Whether no weight, nor what it is rounded from, leaves 64 bits."""
    return all(rounded_from <= LARGEST for one in every for rounded_from, _ in heaviest(one, survey).values())
