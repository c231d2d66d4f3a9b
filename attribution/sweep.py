"""Batch-aware weights: how alone each request was while it decoded. Over arrays, some rows at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from attribution.arrays import Integers, mask, to_arrow, to_numpy

_LONGEST = 9 * 10**12  # microseconds, 104 days: a longer interval times 10^6 is beyond 64 bits
_NEVER, _FOREVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Decoding:
    """Requests with batch, decode_start and decode_end; from when on each is yet to be looked at, and what it was
    alone before.
    """

    rows: pa.Table
    begin: Integers
    alone: Integers

    @classmethod
    def of(cls, rows: pa.Table) -> "_Decoding":
        return cls(rows, to_numpy(rows["decode_start"]), np.zeros(len(rows), dtype=np.int64))

    def and_also(self, other: "_Decoding") -> "_Decoding":
        return _Decoding(
            pa.concat_tables([self.rows, other.rows]),
            np.concatenate([self.begin, other.begin]),
            np.concatenate([self.alone, other.alone]),
        )


def swept(parts: Iterable[tuple[pa.Table, int]]) -> Iterator[pa.Table]:
    """The parts' rows with their `share`, those that are `done`: the others come again, in a later part.

    Each part comes with a moment before which nothing of a later part decodes.
    """
    going_on = None
    for part, until in parts:
        found = _Decoding.of(part)
        rows, going_on = _swept(found if going_on is None else going_on.and_also(found), until)
        yield rows
    if going_on is not None and len(going_on.rows):
        yield _swept(going_on, _FOREVER)[0]


def _swept(now: _Decoding, until: int) -> tuple[pa.Table, _Decoding]:
    """The rows with what is known by `until`, and those that decode beyond it.

    These are looked at up to the last start or end in their batch before `until`: every piece is cut there anyway,
    and so what comes later adds up without another rounding.
    """
    batch, start, end = (to_numpy(now.rows[name]) for name in ("batch", "decode_start", "decode_end"))
    order = _by_batch(batch)
    begin, stop = now.begin[order], end[order]
    first = _first_of_batch(batch[order])
    moment = np.where(stop <= until, stop, np.where(begin <= until, begin, _NEVER))
    moment[stop <= begin] = _NEVER
    cut = np.maximum.reduceat(moment, first) if len(first) else moment
    cut = np.repeat(cut, np.diff(first, append=len(order)))
    alone = now.alone + _back(_alone_by_batch(first, begin, np.minimum(stop, cut)), order)
    done = (end <= until) | (end <= start)
    share = to_arrow(_mean(alone, start, end))
    rows = now.rows.append_column("share", share).append_column("done", mask(done))
    left = ~done
    return rows, _Decoding(
        now.rows.filter(mask(left)), np.maximum(now.begin, _back(cut, order))[left], alone[left]
    )


def decoding_shares(batch: Integers, start_us: Integers, end_us: Integers) -> Integers:
    """The mean of 1/n(t) over each request's decoding, in millionths.

    One entry a request: its batch, and the half-open interval in which it decodes. n(t) is the number of
    requests of the batch that decode at t; an interval is cut at every start and end in its batch, and
    each piece counts `dt * 10^6 div n`. An empty interval gives 10^6.
    """
    order = _by_batch(batch)
    start, end = start_us[order], end_us[order]
    alone = _alone_by_batch(_first_of_batch(batch[order]), start, end)
    return _back(_mean(alone, start, end), order)


def _by_batch(batch: Integers) -> Integers:
    """The order of the rows by batch."""
    number = batch - batch.min(initial=_FOREVER)
    few = number.max(initial=0) < 2**16  # 16 bits are sorted by their digits
    return np.argsort(number.astype(np.uint16) if few else number, kind="stable")


def _first_of_batch(batch: Integers) -> Integers:
    """The first row of each batch, whose rows follow each other."""
    return np.flatnonzero(np.diff(batch, prepend=batch[:1] - 1))


def _back(ordered: Integers, order: Integers) -> Integers:
    found = np.empty_like(ordered)
    found[order] = ordered
    return found


def _mean(alone: Integers, start: Integers, end: Integers) -> Integers:
    length = end - start
    return np.where(length > 0, alone // np.maximum(length, 1), 10**6).astype(np.int64)


def _alone_by_batch(first: Integers, start: Integers, end: Integers) -> Integers:
    """`_alone` of the intervals of each batch, whose rows follow each other from `first` on."""
    parts = [_alone(start[a:b], end[a:b]) for a, b in pairwise([*first, len(start)])]
    return np.concatenate(parts) if parts else start


def _alone(start: Integers, end: Integers) -> Integers:
    """For each interval the sum over its pieces of `dt * 10^6 div n`; 0 where it is empty."""
    found = np.zeros(len(start), dtype=np.int64)
    rows = np.flatnonzero(end > start)
    count = len(rows)
    if not count:
        return found
    start, end = start[rows], end[rows]
    by_start, by_end = np.argsort(start), np.argsort(end)
    starts, ends = start[by_start], end[by_end]
    # The place of each start and end among all of them. Where two are equal no time lies between.
    begun = np.arange(count) + np.searchsorted(ends, starts, "left")
    change = np.full(2 * count, -1, dtype=np.int64)
    change[begun] = 1
    ended = np.flatnonzero(change < 0)
    moment = np.empty(2 * count, dtype=np.int64)
    moment[begun], moment[ended] = starts, ends
    decoding = np.maximum(np.cumsum(change)[:-1], 1)
    length = np.diff(moment)
    if (end - start).max() > _LONGEST:
        length = length.astype(object)
    # The running total may wrap around: its differences, of which each fits, are right all the same.
    upto = np.concatenate([[0], np.cumsum(length * 10**6 // decoding)])
    alone = np.empty(count, dtype=upto.dtype)
    alone[by_end] = upto[ended]
    alone[by_start] -= upto[begun]
    found = found.astype(upto.dtype)
    found[rows] = alone
    return found
