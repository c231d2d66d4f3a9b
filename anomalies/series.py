"""Series as a CSV file: read, judged row by row, written with what was expected."""

import csv
import io
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from anomalies import detection
from finops.core.errors import FinopsError

COLUMNS = ("series_id", "timestamp", "value")
FOUND = ("expected", "lower", "upper", "score", "is_anomaly")
_PACKED = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
MISSING = {"", "nan", "null", "none", "na", "n/a"}


@dataclass(frozen=True)
class Row:
    """One line as it stood, and what it says. Lines go out in the order in which they came."""

    texts: tuple[str, str, str]
    seconds: int
    value: float  # NaN where the line has none


@dataclass(frozen=True)
class Summary:
    rows: int
    series: int
    judged: int  # rows that had enough rows before them
    anomalies: int


def judge_file(source: str, target: str, progress: Callable[[int, int], None] | None = None) -> Summary:
    """Judge every row by the earlier rows of its series. `-` is standard input or output.

    Raises FinopsError, with file, line and column, where a line cannot be understood: nothing is written.
    """
    rows = list(read(source))
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row.texts[0]].append(place)
    cells: list[tuple[str, ...]] = [()] * len(rows)
    judged = anomalies = done = 0
    for places in groups.values():
        places.sort(key=lambda place: rows[place].seconds)  # stable: equal times stay in the file's order
        verdicts = detection.judge(
            np.array([rows[place].seconds for place in places], dtype=np.int64),
            np.array([rows[place].value for place in places], dtype=np.float64),
        )
        numbers = (verdicts.expected, verdicts.lower, verdicts.upper, verdicts.score)
        for position, place in enumerate(places):
            flag = bool(verdicts.is_anomaly[position])
            cells[place] = (*(_plain(float(one[position])) for one in numbers), "true" if flag else "false")
            judged += cells[place][0] != ""
            anomalies += flag
        done += len(places)
        if progress:
            progress(done, len(rows))
    _write(target, ((*row.texts, *found) for row, found in zip(rows, cells, strict=True)))
    return Summary(len(rows), len(groups), judged, anomalies)


def read(source: str) -> Iterator[Row]:
    """The rows of a CSV file with a header; further columns are passed over."""
    name = "standard input" if source == "-" else source
    with _opened(source) as stream:
        reader = csv.reader(stream)
        try:
            header = [cell.strip().lower() for cell in next(reader, [])]
            missing = [column for column in COLUMNS if column not in header]
            if missing:
                raise FinopsError(
                    f"{name}: line 1: column {missing[0]} is missing; expected {', '.join(COLUMNS)}"
                )
            wanted = [header.index(column) for column in COLUMNS]
            for cells in reader:
                if not cells:
                    continue
                where = f"{name}: line {reader.line_num}"
                if len(cells) <= max(wanted):
                    raise FinopsError(f"{where}: {len(cells)} columns; expected {len(header)}")
                series, timestamp, value = (cells[index] for index in wanted)
                yield Row((series, timestamp, value), _seconds(timestamp, where), _number(value, where))
        except (csv.Error, UnicodeDecodeError) as error:
            raise FinopsError(f"{name}: line {reader.line_num + 1}: not a CSV file: {error}") from error
        except OSError as error:
            raise FinopsError(f"{name}: line {reader.line_num + 1}: cannot be unpacked: {error}") from error


def _opened(source: str) -> TextIO:
    """The file as text, unpacked where its first bytes say that it is packed. Raises OSError where it is cut off."""
    raw = open(0 if source == "-" else source, "rb", closefd=source != "-")  # noqa: SIM115
    start = raw.peek(4)
    packing = next((name for name, magic in _PACKED.items() if start.startswith(magic)), None)
    stream = pa.CompressedInputStream(raw, packing) if packing else raw
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _seconds(text: str, where: str) -> int:
    """A moment in Unix seconds: RFC 3339 (no zone is UTC), Unix seconds, or from 10^11 on milliseconds."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise FinopsError(
                f"{where}, column timestamp: {text!r} is not a time; expected such as 2026-09-07T13:00:00Z"
            ) from None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if len(text) == 8 and text.isdigit():  # 20260907
        return int(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).timestamp())
    if not math.isfinite(number):
        raise FinopsError(f"{where}, column timestamp: {text!r} is not a time")
    return int(number / 1000 if abs(number) >= 1e11 else number)


def _number(text: str, where: str) -> float:
    if text.strip().lower() in MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise FinopsError(f"{where}, column value: {text!r} is not a number") from None


def _plain(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.10g}"


def _write(target: str, rows: Iterator[Sequence[str]]) -> None:
    """To a file as a whole or not at all, packed where its name ends in .gz or .zst."""
    if target == "-":
        _write_rows(sys.stdout, rows)
        return
    part = Path(f"{target}.part")
    packing = {".gz": "gzip", ".zst": "zstd"}.get(Path(target).suffix)
    with part.open("wb") as raw:
        stream = pa.CompressedOutputStream(raw, packing) if packing else raw
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            _write_rows(text, rows)
    part.replace(target)


def _write_rows(stream: TextIO, rows: Iterator[Sequence[str]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*COLUMNS, *FOUND))
    writer.writerows(rows)
