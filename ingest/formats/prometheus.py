"""Answers of Prometheus (`query_range`, `query`), taken apart series by series: one may be larger than memory."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ingest.sources.files import InputFile, Unreadable

CHUNK = 4 << 20  # bytes read at a time
HEAD = 1 << 16  # characters, in which a series' labels end
LONGEST_AROUND = 1 << 24  # characters that may stand around the series
RESULT = re.compile(r'"result"\s*:\s*\[')
SERIES = re.compile(r'\{\s*"metric"\s*:\s*(?=\{)')
VALUES = re.compile(r'\s*,\s*"values"\s*:\s*\[\s*(?=\[)')
LAST_BRACKETS = re.compile(r"\]\s*\]")
CLOSED = re.compile(r"\s*\}")
BETWEEN = re.compile(r"[\s,]*")
BLANK = re.compile(r"\s*")
DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


@dataclass
class Answer:
    """What stood around the series, and how many there were."""

    series: int = 0
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Points:
    """Some points of a series, as the JSON list of pairs they are, and the bytes of the file read for them."""

    metric: dict[str, Any]
    text: str
    packed: int


class _Text:
    """A file's text, of which only what is not used yet is held: `held` from `at` on."""

    def __init__(self, file: InputFile) -> None:
        self.name = file.name
        self.held = ""
        self.at = 0
        self._blocks = file.blocks()
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._packed = 0

    def more(self) -> bool:
        """Read on; False where the file has ended."""
        read, size, wanted = [], 0, max(CHUNK, len(self.held) - self.at)
        for block in self._blocks:
            read.append(self._decode(block.plain))
            size += len(block.plain)
            self._packed += block.packed
            if size >= wanted:
                break
        self.held = "".join([self.held[self.at :], *read])
        self.at = 0
        return bool(read)

    def look(self, length: int) -> None:
        """Hold as many characters, or all there are."""
        while len(self.held) - self.at < length and self.more():
            pass

    def packed(self) -> int:
        """Bytes of the file read since this was asked before."""
        packed, self._packed = self._packed, 0
        return packed

    def decoded(self, what: str) -> Any:
        """The JSON value that comes next."""
        while True:
            try:
                value, self.at = DECODER.raw_decode(self.held, self.at)
            except json.JSONDecodeError as error:
                if not self.more():
                    raise self.broken(f"in {what}: {error.msg}") from error
            else:
                return value

    def broken(self, where: str) -> Unreadable:
        return Unreadable(
            f"{self.name}: the JSON breaks off {where}; expected a complete answer of query_range"
        )


def points(file: InputFile, wanted: Callable[[dict[str, Any]], bool], answer: Answer) -> Iterator[Points]:
    """The points of the wanted series of an answer, or of several in one file, as they are written.

    Raises Unreadable where the file is no such answer, or an answer that says that the query failed.
    """
    text = _Text(file)
    around, found = "", False
    while True:
        start = RESULT.search(text.held, text.at)
        end = start.end() if start else max(text.at, len(text.held) - 64)
        around += text.held[text.at : end]
        text.at = end
        if start:
            found = True
            yield from _series(text, wanted, answer)
        elif len(around) > LONGEST_AROUND or not text.more():
            break
    _require_success(text, around + text.held[text.at :], found, answer)


def _series(text: _Text, wanted: Callable[[dict[str, Any]], bool], answer: Answer) -> Iterator[Points]:
    """The series of one result, up to the bracket that ends it."""
    while True:
        text.look(HEAD)
        text.at = BETWEEN.match(text.held, text.at).end()  # type: ignore[union-attr]
        if text.held.startswith("]", text.at):
            return
        answer.series += 1
        start = SERIES.match(text.held, text.at)
        metric, values = None, None
        if start:
            metric, end = _labels(text.held, start.end())
            values = VALUES.match(text.held, end)
        if metric is None or values is None:
            yield from _decoded_series(text, wanted, answer)
            continue
        keep = wanted(metric)
        answer.skipped += not keep
        text.at = values.end()
        for part in _written_values(text, answer):
            if keep:
                yield Points(metric, part, text.packed())


def _labels(held: str, at: int) -> tuple[dict[str, Any] | None, int]:
    try:
        metric, end = DECODER.raw_decode(held, at)
    except json.JSONDecodeError:
        return None, at
    return metric, end


def _written_values(text: _Text, answer: Answer) -> Iterator[str]:
    """The pairs of `[time, "value"], …]}` as they are written, without reading them; `at` is after the brace."""
    while True:
        last = LAST_BRACKETS.search(text.held, text.at)
        if last:
            yield f"[{text.held[text.at : last.start() + 1]}]"
            text.at = last.end()
            break
        end = text.held.rfind("],", text.at)
        if end >= 0:
            yield f"[{text.held[text.at : end + 1]}]"
            text.at = end + 2
        if not text.more():
            raise text.broken(f"in series {answer.series}")
    text.look(HEAD)
    closed = CLOSED.match(text.held, text.at)
    if closed:
        text.at = closed.end()
    else:  # more members, such as histograms
        text.held, text.at = '{"": 0' + text.held[text.at :], 0
        text.decoded(f"series {answer.series}")


def _decoded_series(
    text: _Text, wanted: Callable[[dict[str, Any]], bool], answer: Answer
) -> Iterator[Points]:
    """A series whose members come in another order, or that has one value or none."""
    one = text.decoded(f"series {answer.series}")
    if not isinstance(one, dict):
        raise Unreadable(f"{text.name}: series {answer.series} is no JSON object")
    metric = one.get("metric")
    if not isinstance(metric, dict):
        raise Unreadable(f"{text.name}: series {answer.series} has no metric; expected data.result[].metric")
    if wanted(metric):
        values = one.get("values") or ([one["value"]] if "value" in one else [])
        yield Points(metric, json.dumps(values), text.packed())
    else:
        answer.skipped += 1


def _require_success(text: _Text, around: str, found: bool, answer: Answer) -> None:
    """What stands around the series is one answer or several, complete and successful."""
    at = 0
    while (at := BLANK.match(around, at).end()) < len(around):  # type: ignore[union-attr]
        try:
            told, at = DECODER.raw_decode(around, at)
        except json.JSONDecodeError as error:
            if found:
                raise text.broken(f"at its end: {error.msg}") from error
            break
        for one in told if isinstance(told, list) else [told]:
            if isinstance(one, dict) and one.get("status") == "error":
                reason = one.get("error") or "no reason given"
                raise Unreadable(f"{text.name}: Prometheus answered with an error: {reason}")
            if isinstance(one, dict):
                answer.warnings += [str(warning) for warning in one.get("warnings") or []]
    if not found:
        raise Unreadable(f"{text.name}: there is no data.result in it; expected an answer of query_range")
