"""Arrays that go to Arrow and back, without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from attribution.arrays import mask, to_arrow, to_numpy

NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)


@given(NUMBERS, NUMBERS, st.integers(0, 5))
def test_numbers_come_back_as_they_were(some: list[int], others: list[int], offset: int) -> None:
    parts = [to_arrow(np.array(numbers, dtype=np.int64)) for numbers in (some, others)]
    both = pa.chunked_array(parts)
    assert both.to_pylist() == [*some, *others]
    assert to_numpy(both.slice(offset)).tolist() == [*some, *others][offset:]


@given(st.lists(st.booleans(), max_size=20))
def test_a_mask_says_of_each_row_whether_it_is_wanted(wanted: list[bool]) -> None:
    assert mask(np.array(wanted, dtype=bool)).to_pylist() == wanted


def test_pandas_stays_away() -> None:
    program = (
        "import sys, numpy, pyarrow; from attribution.arrays import mask, to_arrow, to_numpy;"
        "to_numpy(to_arrow(numpy.arange(3))); mask(numpy.ones(3, dtype=bool)); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
