"""Shares by weight, over arrays: the telescoping split of every piece of a table at once."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from attribution.arrays import Integers, to_arrow, to_numpy

_SAFE = 2**61  # below it `_times_over` stays within 64 bits
_HALF = 31
_BLOCK = 2**13  # rows whose intermediate results stay in the processor's cache


def shares(piece: pa.ChunkedArray, pico: pa.ChunkedArray, weight: pa.ChunkedArray) -> pa.Array:
    """Each row's share of its piece by weight, for rows in the order of their pieces and of the ranks within.

    `pico` is the piece's amount, on each of its rows. The differences of two running totals, each cut toward zero.
    """
    if not len(piece):
        return to_arrow(np.empty(0, dtype=np.int64))
    found = _shares(to_numpy(piece), _integers(pico), _integers(weight))
    return pa.array(found, pa.decimal128(38, 0)) if found.dtype == object else to_arrow(found)


def whole_pieces(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The same rows in at least one table, cut between pieces alone."""
    held = pa.Table.from_batches([], batches.schema)
    for batch in batches:
        piece = to_numpy(batch["piece"])
        last = int(np.searchsorted(piece, piece[-1]))
        if last:
            yield pa.concat_tables([held, pa.Table.from_batches([batch[:last]])])
            held = pa.Table.from_batches([], batches.schema)
        held = pa.concat_tables([held, pa.Table.from_batches([batch[last:]])])
    yield held


def _integers(column: pa.ChunkedArray) -> Integers:
    try:
        return to_numpy(column)
    except pa.ArrowInvalid:
        return _unbounded(column.to_pylist())


def _unbounded(numbers: Sequence[Decimal | int]) -> Integers:
    """As Python's own integers: slower, but of any size."""
    return np.array([int(number) for number in numbers], dtype=object)


def _shares(piece: Integers, pico: Integers, weight: Integers) -> Integers:
    first = np.flatnonzero(np.diff(piece, prepend=piece[0] - 1))
    size = np.diff(first, append=len(piece))
    if max(_no_sum_is_above(weight, first), int(pico.max()), -int(pico.min())) >= _SAFE:
        pico, weight = pico.astype(object), weight.astype(object)
    upto = np.cumsum(weight)
    running = upto - np.repeat((upto - weight)[first], size)
    total = running[first + size - 1]
    amount = np.abs(pico[first])
    quotient, remainder = amount // total, amount % total
    parts = np.repeat(remainder, size), running, np.repeat(total, size)
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(piece), _BLOCK)]
    reached = np.concatenate([_times_over(*(part[block] for part in parts)) for block in blocks])
    share: Integers = np.diff(reached, prepend=reached[:1] * 0)
    share[first] = reached[first]
    share += np.repeat(quotient, size) * weight
    share *= np.repeat(np.where(pico[first] < 0, -1, 1), size)
    return share


def _no_sum_is_above(weight: Integers, first: Integers) -> int:
    """What no piece's weights sum to more than: halves are summed, which cannot leave 64 bits."""
    high = int(np.add.reduceat(weight >> _HALF, first).max())
    return (high + len(weight)) << _HALF


def _times_over(number: Integers, times: Integers, over: Integers) -> Integers:
    """number * times // over, for numbers at least 0 and smaller than `over`, and `times` at most as large.

    The product of two of 61 bits needs more than 64: one factor is taken in two halves, as in long division.
    """
    if number.dtype == object:
        return number * times // over
    high, rest = _divided(number, times >> _HALF, over)
    low, other = _divided(number, times & (2**_HALF - 1), over)
    middle, rest = _divided(rest, np.int64(2**_HALF), over)
    return (high << _HALF) + middle + low + (rest + other >= over)


def _divided(number: Integers, times: Integers | np.int64, over: Integers) -> tuple[Integers, Integers]:
    """Quotient and remainder of number * times by `over`, where `times` is at most 2^31.

    Doubles only guess the quotient, at most 1 too large or small; what is left then fits though the products wrap,
    and puts it right. No share is ever a double.
    """
    quotient = (number.astype(float) * times / over).astype(np.int64)
    rest = number * times - quotient * over
    more = (rest >= over).astype(np.int64) - (rest < 0)
    return quotient + more, rest - more * over
