"""How alone a request was while it decoded: the sweep against the definition."""

from collections import defaultdict
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from attribution.sweep import batches, decoding_shares, swept

Interval = tuple[int, int, int]  # group, start, end in microseconds


def shares(intervals: list[Interval]) -> list[int]:
    columns = np.array(intervals, dtype=np.int64).reshape(-1, 3).T
    return decoding_shares(*columns).tolist()


def by_definition(intervals: list[Interval]) -> list[int]:
    """For every request, over every piece between two cuts of its group: how many decode there."""
    cuts = defaultdict(set)
    for group, start, end in intervals:
        if start < end:
            cuts[group] |= {start, end}
    found = []
    for group, start, end in intervals:
        pieces = [
            (b - a, sum(g == group and s <= a < e for g, s, e in intervals))
            for a, b in pairwise(sorted(cuts[group]))
            if start <= a < end
        ]
        found.append(
            sum(length * 10**6 // decoding for length, decoding in pieces) // (end - start)
            if start < end
            else 10**6
        )
    return found


few_moments = st.integers(0, 12) | st.integers(1_788_771_600_000_000, 1_788_771_600_000_040)
intervals = st.lists(st.tuples(st.integers(0, 2), few_moments, few_moments), max_size=12)


@given(intervals)
def test_each_share_is_the_mean_of_one_over_the_number_that_decode(drawn: list[Interval]) -> None:
    assert shares(drawn) == by_definition(drawn)


def test_alone_a_request_has_all_of_the_weights_read() -> None:
    assert shares([(0, 0, 7)]) == [1_000_000]


def test_in_company_of_two_others_a_third() -> None:
    assert shares([(0, 0, 9), (0, 0, 9), (0, 0, 9)]) == [333_333] * 3


def test_where_one_ends_as_another_starts_they_do_not_meet() -> None:
    assert shares([(0, 0, 5), (0, 5, 9)]) == [1_000_000, 1_000_000]


def test_requests_on_other_units_are_no_company() -> None:
    assert shares([(0, 0, 5), (1, 0, 5)]) == [1_000_000, 1_000_000]


def test_an_empty_or_backward_interval_is_alone_and_no_company() -> None:
    assert shares([(0, 3, 3), (0, 0, 5), (0, 4, 2)]) == [1_000_000] * 3


def test_each_piece_is_cut_before_the_pieces_are_summed() -> None:
    """1 of 3 microseconds is 333333; three such pieces are 999999 and not a million."""
    three_times = [(0, a, a + 1) for a in (0, 2, 4)] * 2
    assert shares([(0, 0, 6), *three_times])[0] == (3 * 333_333 + 3 * 1_000_000) // 6


def test_a_day_of_requests_that_decode_at_once_does_not_overflow() -> None:
    crowd = [(0, 0, 86_400_000_000)] * 2_000
    assert shares(crowd) == [86_400_000_000 * 10**6 // 2_000 // 86_400_000_000] * 2_000


def test_many_units_that_decode_around_the_clock_do_not_overflow() -> None:
    """A running total over all of them is beyond 64 bits; no single share is."""
    day = 86_400_000_000
    assert shares([(group, 0, day) for group in range(1_000)] * 2) == [500_000] * 2_000


def test_a_decoding_of_years_as_a_broken_log_may_tell_it_is_shared_like_any_other() -> None:
    years = 10**17
    assert shares([(0, 0, years), (0, years // 2, years)]) == [750_000, 500_000]


def test_no_requests_have_no_shares() -> None:
    assert shares([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 2), few_moments, few_moments), min_size=1, max_size=40),
    st.integers(1, 9),
)
def test_batches_that_come_in_parts_are_swept_alike(drawn: list[Interval], rows: int) -> None:
    batch, start, end = np.array(sorted(drawn), dtype=np.int64).T
    table = pa.table({"batch": batch, "decode_start": start, "decode_end": end, "number": range(len(drawn))})
    parts = [table.slice(at, rows) for at in range(0, len(drawn), rows)]
    found = pa.concat_tables(swept(parts)).sort_by("number")
    assert found.drop_columns("share") == table
    assert found["share"].to_pylist() == shares(sorted(drawn))


def test_the_rows_of_the_batches_asked_for_are_swept() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table raw as select number, number % 3 + 1 as place_hash, 0 as hour, 0 as key_hash, "
            "number % 5 > 0 as timed, number % 7 = 0 as cached, number % 11 as decode_start, "
            "20 + number % 13 as decode_end, null::bigint as share from range(10000) as numbers (number)"
        )
        con.execute(
            "create table placed as select distinct place_hash, 0 as hour, place_hash as unit_set from raw"
        )
        con.execute("create table number as select 0 as key_hash, 1 as served_by")
        found = pa.concat_tables(batches(con, {1: 3000, 3: 3000}, 1000)).sort_by("number")
    wanted = [n for n in range(10_000) if n % 3 != 1 and n % 5 and n % 7]
    assert found["number"].to_pylist() == wanted
    assert found["share"].to_pylist() == shares([(n % 3, n % 11, 20 + n % 13) for n in wanted])
