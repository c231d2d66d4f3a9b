"""Shares out of arrays against the rule in plain integers."""

from decimal import Decimal

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from attribution.shares import shares, whole_pieces
from tests import reference

AMOUNTS = st.integers(-(10**26), 10**26) | st.integers(-(10**13), 10**13)
WEIGHTS = st.lists(
    st.integers(1, 9) | st.integers(1, 2**40) | st.integers(1, 2**59) | st.integers(1, 10**25),
    min_size=1,
    max_size=9,
)
Pieces = list[tuple[int, list[int]]]


@example(
    [(2**61 - 1, [2**60, 2**60 - 2**33])]
)  # about the largest that 64 bits take, and the first beyond them
@example([(2**61 - 1, [2**60, 2**60 - 1])])
@example([(2**61, [2**60, 2**60])])
@example([(-(2**63), [1, 2]), (2**63 - 1, [1, 1, 1])])
@given(st.lists(st.tuples(AMOUNTS, WEIGHTS), max_size=5))
def test_every_share_is_that_of_the_telescoping_rule(pieces: Pieces) -> None:
    table = split_table(pieces)
    found = shares(table["piece"], table["piece_pico"], table["weight"])
    assert [int(share) for share in found.to_pylist()] == [
        share for amount, weights in pieces for share in reference.split(amount, weights)
    ]


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 7))
def test_rows_that_come_in_batches_are_cut_between_pieces(pieces: list[int], rows: int) -> None:
    table = pa.table({"piece": pa.array(sorted(pieces), pa.int64())})
    found = list(whole_pieces(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(rows))))
    assert pa.concat_tables(found) == table
    seen = [piece for one in found for piece in set(one["piece"].to_pylist())]
    assert len(seen) == len(set(pieces))


def split_table(pieces: Pieces) -> pa.Table:
    rows = [
        {"piece": number, "piece_pico": Decimal(amount), "weight": Decimal(weight)}
        for number, (amount, weights) in enumerate(pieces)
        for weight in weights
    ]
    wide = pa.decimal128(38, 0)
    return pa.Table.from_pylist(
        rows, pa.schema([("piece", pa.int64()), ("piece_pico", wide), ("weight", wide)])
    )
