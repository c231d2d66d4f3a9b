"""Between Arrow and numpy. The ways that pyarrow has for it import all of pandas first, a second for every command."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]


def to_numpy(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Whole numbers without NULL. Raises pyarrow.ArrowInvalid where one needs more than 64 bits."""
    whole = column.cast(pa.int64())
    chunks = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    parts = [
        np.frombuffer(one.buffers()[1], np.int64, len(one), 8 * one.offset) for one in chunks if len(one)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def to_arrow(numbers: Integers) -> pa.Array:
    return pa.Array.from_buffers(
        pa.int64(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))]
    )


def mask(wanted: npt.NDArray[np.bool_]) -> pa.Array:
    bits = np.packbits(wanted, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(wanted), [None, pa.py_buffer(bits)])
