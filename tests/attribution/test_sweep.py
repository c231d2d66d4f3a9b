"""How alone a request was while it decoded: the sweep against the definition."""

from collections import Counter, defaultdict
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.engines.duckdb import DuckDB, as_asked
from attribution.engines.engine import decoding
from attribution.numbers import Survey
from attribution.sweep import decoding_shares, swept

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
    st.lists(st.tuples(st.integers(0, 2), few_moments, few_moments, st.integers(0, 3)), max_size=40),
    st.lists(few_moments, unique=True, max_size=6).map(sorted),
)
def test_what_comes_in_parts_is_swept_alike(
    drawn: list[tuple[int, int, int, int]], moments: list[int]
) -> None:
    """Requests come in the order in which they were asked, some time before they decode."""
    requests = pa.table(
        {
            "batch": pa.array([batch for batch, *_ in drawn], pa.int64()),
            "decode_start": pa.array([start for _, start, *_ in drawn], pa.int64()),
            "decode_end": pa.array([end for *_, end, _ in drawn], pa.int64()),
            "number": pa.array(range(len(drawn)), pa.int64()),
        }
    )
    asked = np.array([start - before for _, start, _, before in drawn], dtype=np.int64)
    bounds = [-(10**18), *moments, 10**18]
    parts = [
        (requests.take(np.flatnonzero((asked >= first) & (asked < until))), until)
        for first, until in pairwise(bounds)
    ]
    found = pa.concat_tables(swept(parts)).to_pylist()
    done = sorted((row["number"], row["share"]) for row in found if row["done"])
    assert done == list(enumerate(shares([request[:3] for request in drawn])))


@pytest.mark.parametrize("batches", [{1, 3}, {1, 2, 3}])
def test_the_requests_of_the_batches_asked_for_are_swept(batches: set[int]) -> None:
    wanted = [n for n in range(10_000) if n % 3 + 1 in batches and n % 5 and n % 7]
    with duckdb.connect() as con:
        con.execute(
            """
            create table requests as
            select number as predictions, number % 3 + 1 as place_hash, 0 as hour, 0 as key_hash, true as succeeded,
                number % 7 = 0 as cached, null::decimal(38, 12) as value, 1 as input_tokens,
                null::bigint as cached_input_tokens, 1 as output_tokens, null::bigint as gpu_micro_ms,
                make_timestamptz(number * 1000000) as time,
                case when number % 5 > 0 then number % 11 * 1000000000 end as ttft_micro_ms,
                (20 + number % 13) * 1000000000 as latency_micro_ms
            from range(10000) as numbers (number) order by hash(number)
            """
        )
        con.execute(
            "create table placed as select distinct place_hash, 0 as hour, place_hash as unit_set from requests"
        )
        con.execute("create table number as select 0 as key_hash, 1 as served_by")
        survey = Survey.of(DuckDB(con).ask("survey"))
        which = decoding(Counter(n % 3 + 1 for n in wanted), survey)
        parts = list(as_asked(con, which, 1000))
        found = pa.concat_tables(swept(parts)).to_pylist()
    assert len(parts) > 5
    done = sorted((row["predictions"], row["share"]) for row in found if row["done"])
    asked = [(n % 3, (n + n % 11) * 10**6, (n + 20 + n % 13) * 10**6) for n in wanted]
    assert done == list(zip(wanted, shares(asked), strict=True))
