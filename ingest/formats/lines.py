"""Text files as tables of numbered lines, some megabytes at a time: a file may be larger than memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ingest.sources.files import InputFile, Unreadable

CHUNK = 32 << 20  # bytes of text in one table
BATCH = 4 << 20  # bytes that one thread takes at a time
LONGEST_LINE = 16_000_000  # bytes
MARK = b"\xef\xbb\xbf"  # the byte order mark

Item = TypeVar("Item")


@dataclass(frozen=True)
class Lines:
    """Some lines of a file as an Arrow table of (line, text), and how many bytes of the file they were."""

    table: pa.Table
    packed: int


def numbered_lines(file: InputFile) -> Iterator[Lines]:
    """A file's lines in order, each numbered as in the file; blank ones are left out."""
    batches: list[pa.RecordBatch] = []
    size = packed = 0
    for batch, batch_size, batch_packed in _batches(file):
        batches.append(batch)
        size += batch_size
        packed += batch_packed
        if size >= CHUNK:
            yield Lines(pa.Table.from_batches(batches), packed)
            batches, size, packed = [], 0, 0
    if batches:
        yield Lines(pa.Table.from_batches(batches), packed)


def _batches(file: InputFile) -> Iterator[tuple[pa.RecordBatch, int, int]]:
    """Whole lines, the bytes they have, and the bytes of the file that they were."""
    parts: list[bytes] = []
    held, packed, first = 0, 0, 1
    for block in file.blocks():
        parts.append(block.plain)
        held += len(block.plain)
        packed += block.packed
        if held < BATCH:
            continue
        text = b"".join(parts)
        end = text.rfind(b"\n") + 1
        parts, held = [text[end:]], len(text) - end
        if end:
            batch, count = _numbered(text, end, first)
            yield batch, end, packed
            packed, first = 0, first + count
        if held > LONGEST_LINE:
            raise Unreadable(f"{file.name}, line {first}: the line is longer than {LONGEST_LINE:,} bytes")
    if held:
        text = b"".join(parts)
        batch, _ = _numbered(text, len(text), first)
        yield batch, held, packed


def _numbered(text: bytes, end: int, first: int) -> tuple[pa.RecordBatch, int]:
    """The lines of UTF-8 text up to `end`, and how many there are; their bytes are not copied."""
    if not text.isascii():
        text = text[:end].decode(errors="replace").encode()
        end = len(text)
    ends = np.flatnonzero(np.frombuffer(text, np.uint8, end) == ord("\n")) + 1
    if not len(ends) or ends[-1] < end:
        ends = np.append(ends, end)
    begin = len(MARK) if first == 1 and text.startswith(MARK) else 0
    offsets = np.concatenate(([begin], ends)).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text))
    numbers = _arrow(pa.int64(), len(ends), np.arange(first, first + len(ends)))
    batch = pa.record_batch([numbers, lines], names=["line", "text"])
    blank = [
        at for at in np.flatnonzero(np.diff(offsets) <= 2) if not text[offsets[at] : offsets[at + 1]].strip()
    ]
    if blank:
        kept = np.ones(len(ends), bool)
        kept[blank] = False
        batch = batch.filter(_arrow(pa.bool_(), len(kept), np.packbits(kept, bitorder="little")))
    return batch, len(ends)


def _arrow(kind: pa.DataType, length: int, values: "np.ndarray[Any, Any]") -> pa.Array:
    """The same as `pa.array`, which imports pandas: a second of every command."""
    return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(values)])


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one being made in a thread while one is used."""
    done = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, done)
        while (item := coming.result()) is not done:
            coming = pool.submit(next, items, done)
            yield item  # type: ignore[misc]
