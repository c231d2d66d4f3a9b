"""Batch-aware weights: how alone each request was while it decoded. Over arrays, some rows at a time."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import pairwise

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import steps
from attribution.arrays import Integers, mask, to_arrow, to_numpy

ROWS = 200_000  # that are swept together: some 80 MB
_SORTED = 1_200_000  # rows, some 150 MB; of a larger batch DuckDB spills what does not fit
_LONGEST = 9 * 10**12  # microseconds, 104 days: a longer interval times 10^6 is beyond 64 bits
_NEVER = np.iinfo(np.int64).min


def batches(con: DuckDBPyConnection, requests: Mapping[int, int], rows: int = ROWS) -> Iterator[pa.Table]:
    """The rows of `raw` that decode in these batches, with their `share`; some at a time.

    `requests`: how many decode in each batch. Reads raw, placed and number.
    """
    for wanted in _together(requests):
        decoding = steps.text("decoding_rows", batches=", ".join(map(str, wanted)))
        ordered = f"select * exclude (share) from ({decoding}) order by batch, decode_start"
        with closing(con.cursor()) as reading:
            yield from swept(map(_table, reading.sql(ordered).to_arrow_reader(rows)))


def _together(requests: Mapping[int, int]) -> Iterator[list[int]]:
    """Batches that are sorted at once, in one pass over the requests."""
    together: list[int] = []
    held = 0
    for batch, count in requests.items():
        if together and held + count > _SORTED:
            yield together
            together, held = [], 0
        together.append(batch)
        held += count
    if together:
        yield together


def _table(rows: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([rows])


def swept(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows with their `share`. They come in the order of batch and decode_start.

    A batch may go on in the next part. It is cut where a decoding starts: there every piece is cut anyway. What goes
    on past the cut is carried over, with what it was alone so far.
    """
    carried, upto, first = None, np.empty(0, dtype=np.int64), _NEVER
    for part in parts:
        rows = part if carried is None else pa.concat_tables([carried, part])
        batch, start, end = _intervals(rows)
        begin = np.concatenate([np.full(len(upto), first), start[len(upto) :]])
        goes_on = (batch == batch[-1]) & (end > start)
        cut = begin[goes_on].max(initial=_NEVER)
        alone = _alone_by_batch(batch, begin, np.where(goes_on, np.minimum(end, cut), end))
        alone = alone + np.concatenate([upto, np.zeros(len(rows) - len(upto), dtype=np.int64)])
        over = goes_on & (end > cut)
        yield _with_share(rows.filter(mask(~over)), _mean(alone, start, end)[~over])
        carried, upto, first = rows.filter(mask(over)), alone[over], cut
    if carried:
        batch, start, end = _intervals(carried)
        alone = upto + _alone_by_batch(batch, np.full(len(upto), first), end)
        yield _with_share(carried, _mean(alone, start, end))


def _intervals(rows: pa.Table) -> Iterator[Integers]:
    return (to_numpy(rows[name]) for name in ("batch", "decode_start", "decode_end"))


def _with_share(rows: pa.Table, share: Integers) -> pa.Table:
    return rows.append_column("share", to_arrow(share))


def decoding_shares(batch: Integers, start_us: Integers, end_us: Integers) -> Integers:
    """The mean of 1/n(t) over each request's decoding, in millionths.

    One entry a request: its batch, and the half-open interval in which it decodes. n(t) is the number of
    requests of the batch that decode at t; an interval is cut at every start and end in its batch, and
    each piece counts `dt * 10^6 div n`. An empty interval gives 10^6.
    """
    order = np.argsort(batch, kind="stable")
    start, end = start_us[order], end_us[order]
    found = np.empty(len(order), dtype=np.int64)
    found[order] = _mean(_alone_by_batch(batch[order], start, end), start, end)
    return found


def _mean(alone: Integers, start: Integers, end: Integers) -> Integers:
    length = end - start
    return np.where(length > 0, alone // np.maximum(length, 1), 10**6).astype(np.int64)


def _alone_by_batch(batch: Integers, start: Integers, end: Integers) -> Integers:
    """`_alone` of the intervals of each batch, whose rows follow each other."""
    cuts = np.flatnonzero(np.diff(batch)) + 1
    parts = [_alone(start[a:b], end[a:b]) for a, b in pairwise([0, *cuts, len(batch)])]
    return np.concatenate(parts)


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
