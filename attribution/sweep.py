"""Batch-aware weights: how alone each request was while it decoded. Over arrays, some batches at a time."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection

from attribution import steps

Integers = npt.NDArray[np.int64]
ROWS = 500_000  # of batches that are swept together: some 200 MB
_LONGEST = 9 * 10**12  # microseconds, 104 days: a longer interval times 10^6 is beyond 64 bits


def batches(con: DuckDBPyConnection, requests: Mapping[int, int], rows: int = ROWS) -> Iterator[pa.Table]:
    """The rows of `raw` that decode in these batches, with their `share`; some batches, or a stretch of one, at a time.

    `requests`: how many decode in each batch. Reads raw, placed and number.
    """
    together: list[int] = []
    held = 0
    for batch, count in requests.items():
        if count > rows:
            yield from _stretches(con, batch, -(-count // rows))
            continue
        if held + count > rows:
            yield _shared(_rows(con, together))
            together, held = [], 0
        together.append(batch)
        held += count
    if together:
        yield _shared(_rows(con, together))


def _rows(con: DuckDBPyConnection, wanted: Sequence[int], span: str = "true") -> pa.Table:
    named = ", ".join(str(batch) for batch in wanted)
    return con.sql(steps.text("decoding_rows", batches=named, span=span)).to_arrow_table()


def _shared(rows: pa.Table) -> pa.Table:
    columns = [rows[name].to_numpy() for name in ("batch", "decode_start", "decode_end")]
    return _with_share(rows, decoding_shares(*columns))


def _with_share(rows: pa.Table, share: Integers) -> pa.Table:
    return rows.set_column(rows.column_names.index("share"), "share", pa.array(share))


def _stretches(con: DuckDBPyConnection, batch: int, count: int) -> Iterator[pa.Table]:
    """A batch with too many rows for memory, cut where a decoding starts: there every piece is cut anyway.

    What goes on past a cut is carried over, with what it was alone so far.
    """
    parts = ", ".join(str(number / count) for number in range(1, count))
    rows_of_batch = steps.text("decoding_rows", batches=str(batch), span="true")
    starts = con.execute(f"select quantile_disc(decode_start, [{parts}]) from ({rows_of_batch})").fetchall()[
        0
    ][0]
    cuts = sorted(set(starts))
    carried: pa.Table | None = None
    upto = np.empty(0, dtype=np.int64)
    for first, end in zip([None, *cuts], [*cuts, None], strict=True):
        span = "true" if first is None else f"row.decode_start >= {first}"
        span += "" if end is None else f" and row.decode_start < {end}"
        rows = _rows(con, [batch], span)
        if carried is not None:
            rows = pa.concat_tables([carried, rows])
        before = np.concatenate([upto, np.zeros(len(rows) - len(upto), dtype=np.int64)])
        start, stop = (rows[name].to_numpy() for name in ("decode_start", "decode_end"))
        begins = start if first is None else np.maximum(start, first)
        ends = stop if end is None else np.minimum(stop, end)
        alone = before + _alone(begins, ends)
        over = np.zeros(len(rows), dtype=bool) if end is None else stop > end
        yield _with_share(rows.filter(pa.array(~over)), _mean(alone, start, stop)[~over])
        carried, upto = rows.filter(pa.array(over)), alone[over]


def decoding_shares(batch: Integers, start_us: Integers, end_us: Integers) -> Integers:
    """The mean of 1/n(t) over each request's decoding, in millionths.

    One entry a request: its batch, and the half-open interval in which it decodes. n(t) is the number of
    requests of the batch that decode at t; an interval is cut at every start and end in its batch, and
    each piece counts `dt * 10^6 div n`. An empty interval gives 10^6.
    """
    order = np.argsort(batch, kind="stable")
    start, end, share = start_us[order], end_us[order], np.empty(len(order), dtype=np.int64)
    cuts = np.flatnonzero(np.diff(batch[order])) + 1
    for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
        begins, ends = start[first:last], end[first:last]
        share[first:last] = _mean(_alone(begins, ends), begins, ends)
    found = np.empty_like(share)
    found[order] = share
    return found


def _mean(alone: Integers, start: Integers, end: Integers) -> Integers:
    length = end - start
    return np.where(length > 0, alone // np.maximum(length, 1), 10**6).astype(np.int64)


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
    ended = np.arange(count) + np.searchsorted(starts, ends, "right")
    moment = np.empty(2 * count, dtype=np.int64)
    moment[begun], moment[ended] = starts, ends
    change = np.full(2 * count, -1, dtype=np.int64)
    change[begun] = 1
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
