"""DCGM metrics: how busy each GPU was, out of Prometheus' JSON, exposition text, CSV or Parquet.

Only the two busy metrics are kept; the others are counted.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa
from django.conf import settings

from ingest.formats import prometheus, tables
from ingest.formats.lines import MARK, numbered_lines, read_ahead
from ingest.formats.tables import Table, literal, quoted
from ingest.sources.files import InputFile, Unreadable

RATIO, PERCENT = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
METRICS = (RATIO, PERCENT)
BATCH, BATCHES = (
    1 << 20,
    8,
)  # characters of points that one thread takes at a time, and how many of those are a piece
TIME = ("timestamp", "time", "ts")
METRIC = ("metric", "__name__", "metric_name", "name")
VALUE = ("value",)
LABELS = {
    "uuid": ("UUID", "uuid", "gpu_uuid"),
    "instance": ("GPU_I_ID", "gpu_i_id"),
    "profile": ("GPU_I_PROFILE", "gpu_i_profile"),
    "gpu_model": ("modelName", "model_name"),
    "namespace": ("exported_namespace", "namespace"),
    "pod": ("exported_pod", "pod"),
}


@dataclass(frozen=True)
class SamplePiece:
    """SQL of some samples: file, line, malformed, metric, time, time_text, value_text, the labels and hosts."""

    text: str
    packed: int


@dataclass
class Remarks:
    """What a person should know of the files."""

    skipped_series: int = 0
    warnings: list[str] = field(default_factory=list)
    scraped: bool = False

    def said(self) -> list[str]:
        said = [f"{self.skipped_series} series of other metrics ignored"] if self.skipped_series else []
        if self.scraped:
            said.append("samples without a time are taken as of when their file was written")
        return said + self.warnings[:3]


def pieces(
    con: duckdb.DuckDBPyConnection, files: Sequence[InputFile], spool: Path, remarks: Remarks
) -> Iterator[SamplePiece]:
    """The samples of files, piece by piece; each must be used before the next is asked for."""
    for reader, some in groupby(files, lambda file: READERS.get(form(file))):
        if reader is None:
            for piece in tables.pieces(con, list(some), spool):
                yield SamplePiece(_table(piece.table, piece.files[0].name), piece.packed)
        else:
            for file in some:
                yield from reader(con, file, remarks)


def form(file: InputFile) -> str:
    """prometheus, exposition, csv or parquet."""
    if file.is_parquet:
        return "parquet"
    start = file.start().removeprefix(MARK).lstrip()
    if not start:
        raise Unreadable(f"{file.name}: the file is empty; expected DCGM metrics")
    if start[:1] in (b"{", b"["):
        return "prometheus"
    return "exposition" if start[:1] == b"#" or b"{" in start.splitlines()[0] else "csv"


def _labels(label: Callable[[str], str | None]) -> str:
    """The labels a sample is known by, from what reads one label as text."""
    cells = []
    for name, spellings in LABELS.items():
        read = [f"nullif({text}, '')" for text in map(label, spellings) if text]
        cells.append(f"coalesce({', '.join([*read, chr(39) * 2])}) as {name}")
    hosts = []
    for name in settings.FINOPS_HOST_LABELS:
        text = label(name)
        if text:
            hosts.append(f"regexp_replace({text}, ':[0-9]+$', '')" if name == "instance" else text)
    distinct = dict.fromkeys(hosts)  # a table's column answers to every spelling of a label
    listed = f"list_filter([{', '.join(distinct)}], lambda host: host <> '')" if hosts else "[]::varchar[]"
    return f"{', '.join(cells)}, {listed} as hosts"


def _answer(con: duckdb.DuckDBPyConnection, file: InputFile, remarks: Remarks) -> Iterator[SamplePiece]:
    """Labels are read once a series, and every point's two texts by themselves."""
    answer = prometheus.Answer()
    found = prometheus.points(file, lambda metric: metric.get("__name__") in METRICS, answer)
    for series, packed in read_ahead(_gathered(found)):
        con.register("sample_series", series)
        labelled = (
            f"select labels['__name__'] as metric, {_labels(lambda name: f'labels[{literal(name)}]')}, points "
            "from (select json_transform(metric, '\"MAP(VARCHAR, VARCHAR)\"') as labels, points from sample_series)"
        )
        yield SamplePiece(
            f"select {literal(file.name)} as file, null::bigint as line, null::varchar as malformed, * exclude (point), "
            "unix_time(six_places(point[1])) as time, "
            "point[1] as time_text, point[2] as value_text from (select * exclude (points), "
            f"unnest(from_json(points, '[[\"VARCHAR\"]]')) as point from ({labelled}))",
            packed,
        )
        con.unregister("sample_series")
    remarks.skipped_series += answer.skipped
    remarks.warnings += [f"{file.name}: Prometheus warned: {text}" for text in answer.warnings]


def _gathered(found: Iterator[prometheus.Points]) -> Iterator[tuple[pa.Table, int]]:
    """Points of some series as an Arrow table, and the bytes of the file that they were."""
    batches: list[pa.RecordBatch] = []
    packed = 0
    for batch, batch_packed in _batches(found):
        batches.append(batch)
        packed += batch_packed
        if len(batches) == BATCHES:
            yield pa.Table.from_batches(batches), packed
            batches, packed = [], 0
    if batches:
        yield pa.Table.from_batches(batches), packed


def _batches(found: Iterator[prometheus.Points]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """What one thread takes at a time."""
    metrics: list[str] = []
    points: list[str] = []
    size = packed = 0
    for one in found:
        metrics.append(json.dumps(one.metric))
        points.append(one.text)
        size += len(one.text)
        packed += one.packed
        if size >= BATCH:
            yield pa.record_batch({"metric": metrics, "points": points}), packed
            metrics, points, size, packed = [], [], 0, 0
    if points:
        yield pa.record_batch({"metric": metrics, "points": points}), packed


def _exposition(con: duckdb.DuckDBPyConnection, file: InputFile, remarks: Remarks) -> Iterator[SamplePiece]:
    """Lines such as `NAME{label="text", …} value [time]`; without a time: when the file was written."""
    wanted = "|".join(METRICS)
    pattern = literal(r"^\s*([A-Za-z_:][\w:]*)\s*(?:\{(.*)\})?\s+(\S+)(?:\s+(-?[0-9.]+))?\s*$")
    scraped = f"make_timestamp({file.modified_ns // 1000})"
    remarks.scraped = True
    for lines in read_ahead(numbered_lines(file)):
        con.register("sample_lines", lines.table)
        yield SamplePiece(
            f"select {literal(file.name)} as file, line, part.metric as metric, "
            "case when part.metric = '' then 'the line is no sample of a metric' end as malformed, "
            f"case when part.time = '' then timezone('UTC', {scraped}) else moment(part.time) end as time, "
            f"part.time as time_text, part.value as value_text, {_labels(lambda name: f'labels[{literal(name)}]')} "
            "from (select line, part, map_from_entries(list_transform("
            r"""regexp_extract_all(part.labels, '([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*")'), """
            r"""lambda pair: {'key': regexp_extract(pair, '^\w+'), """
            r"""'value': replace(replace(regexp_extract(pair, '"(.*)"$', 1), '\"', '"'), '\\', '\')})) as labels """
            f"from (select line, regexp_extract(text, {pattern}, ['metric', 'labels', 'value', 'time']) as part "
            f"from sample_lines where regexp_matches(text, '^\\s*({wanted})\\b')))",
            lines.packed,
        )
        con.unregister("sample_lines")


READERS = {"prometheus": _answer, "exposition": _exposition}


def _table(table: Table, name: str) -> str:
    """Columns timestamp, metric, value and the labels; or a column for each metric."""
    time = table.find(*TIME)
    uuid = table.find(*LABELS["uuid"])
    if time is None or uuid is None:
        raise _not_metrics(name, table)

    def label(spelling: str) -> str | None:
        column = table.find(spelling)
        return table.text(column) if column else None

    shared = (
        '"#file" as file, "#line" as line, "#malformed" as malformed, '
        f"{table.value(time, 'moment')} as time, {table.text(time)} as time_text, "
    )
    metric, value = table.find(*METRIC), table.find(*VALUE)
    if metric and value:
        return (
            f"select {shared} {table.text(metric)} as metric, {table.text(value)} as value_text, "
            f"{_labels(label)} from ({table.sql}) where {quoted(metric)} in {METRICS}"
        )
    wide = [(one, column) for one in METRICS if (column := table.find(one))]
    if not wide:
        raise _not_metrics(name, table)
    return " union all ".join(
        f"select {shared} {literal(one)} as metric, {table.text(column)} as value_text, {_labels(label)} "
        f"from ({table.sql})"
        for one, column in wide
    )


def _not_metrics(name: str, table: Table) -> Unreadable:
    shown: Sequence[str] = list(table.columns)[:8]
    return Unreadable(
        f"{name}, line 1: expected the columns timestamp, metric, value and UUID "
        f"(and other labels), or a column for each DCGM metric; found {', '.join(shown)[:300]}"
    )
