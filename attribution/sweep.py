"""Batch-aware weights: how alone each request was while it decoded. Pure, over arrays."""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
_LONGEST = 9 * 10**12  # microseconds, 104 days: a longer interval times 10^6 is beyond 64 bits


def decoding_shares(group: Integers, start_us: Integers, end_us: Integers) -> Integers:
    """The mean of 1/n(t) over each request's decoding, in millionths.

    One entry a request: its group (the same set of units), and the half-open interval in which it
    decodes. n(t) is the number of requests of the group that decode at t; an interval is cut at every
    start and end in its group, and each piece counts `dt * 10^6 div n`. An empty interval gives 10^6.
    """
    share = np.full(len(group), 10**6, dtype=np.int64)
    rows = np.flatnonzero(end_us > start_us)
    if not len(rows):
        return share
    group, start_us, end_us = group[rows], start_us[rows], end_us[rows]
    count = len(rows)
    moment = np.concatenate([start_us, end_us])
    owner = np.concatenate([group, group])
    change = np.concatenate([np.ones(count, dtype=np.int64), np.full(count, -1, dtype=np.int64)])
    order = np.lexsort((moment, owner))
    moment, owner, change = moment[order], owner[order], change[order]
    decoding = np.cumsum(change)
    # A piece lies between an event and the next one; after a group's last event nothing decodes.
    length = np.append(np.diff(moment), 0)
    if (end_us - start_us).max() > _LONGEST:
        length = length.astype(object)
    alone = np.zeros_like(length)
    busy = decoding > 0
    alone[busy] = length[busy] * 10**6 // decoding[busy]
    # The running total may wrap around: its differences, of which each fits, are right all the same.
    upto = np.concatenate([[0], np.cumsum(alone)])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    begun, ended = place[:count], place[count:]
    share[rows] = (upto[ended] - upto[begun]) // (end_us - start_us)
    return share
