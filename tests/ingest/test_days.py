"""The days of a request log: delivered again, in pieces, in many files, for any day."""

import pytest

from finops.core import warehouse
from ingest.deliveries import deliver
from tests.ingest.arrivals import log, request, rows

pytestmark = pytest.mark.django_db


def test_of_a_request_delivered_twice_the_first_counts(tmp_path):
    log(tmp_path / "a.jsonl", request(1, tenant="first"), request(1, tenant="second"))
    log(tmp_path / "b.jsonl", request(1, tenant="third"), request(2, tenant="b"))
    outcome = deliver("requests", [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert outcome.delivery.duplicate_rows == 2
    assert rows("requests", "request_id, tenant") == [("r1", "first"), ("r2", "b")]
    deliver("requests", [log(tmp_path / "c.jsonl", request(2, tenant="late"), request(3, tenant="c"))])
    assert rows("requests", "request_id, tenant") == [("r1", "first"), ("r2", "b"), ("r3", "c")]


def test_the_same_id_on_another_day_or_of_another_source_is_another_request(tmp_path):
    path = log(tmp_path / "a.jsonl", request(1), request(1, timestamp="2026-09-08T00:00:00Z"))
    deliver("requests", [path])
    deliver("requests", [path], source="gateway")
    assert rows("requests", "source, day::varchar") == [
        ("default", "2026-09-07"),
        ("default", "2026-09-08"),
        ("gateway", "2026-09-07"),
        ("gateway", "2026-09-08"),
    ]


def test_the_same_log_twice_changes_nothing(tmp_path):
    path = log(tmp_path / "a.jsonl", request(1))
    deliver("requests", [path])
    before = warehouse.latest()
    assert deliver("requests", [path]).already_there
    deliver("requests", [log(tmp_path / "b.jsonl", request(1), "")])
    assert len(rows("requests", "request_id")) == 1
    assert deliver("requests", [path]).already_there
    assert warehouse.latest() <= before + 1


def test_many_small_deliveries_of_a_day_are_written_together(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.days.MANY_FILES", 3)
    for number in range(8):
        deliver("requests", [log(tmp_path / f"{number}.jsonl", request(number))])
    assert len(rows("requests", "request_id")) == 8
    assert len(warehouse.files("requests")) <= 3


def test_a_large_day_is_written_anew_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.days.ROWS_IN_FILE", 10)
    monkeypatch.setattr("ingest.days.MANY_FILES", 1)
    for name, numbers in (("a", range(40)), ("b", range(20, 60))):
        path = log(tmp_path / f"{name}.jsonl", *(request(number, tenant=name) for number in numbers))
        deliver("requests", [path])
    assert [(int(r[1:]), t) for r, t in rows("requests", "request_id, tenant", "request_id[2:]::int")] == [
        (number, "a" if number < 40 else "b") for number in range(60)
    ]
    assert len(warehouse.files("requests")) > 5


def test_of_rows_that_are_there_already_only_the_new_file_is_written_anew(tmp_path):
    first = deliver("requests", [log(tmp_path / "a.jsonl", *(request(number) for number in range(50)))])
    (kept,) = warehouse.files("requests")
    path = log(tmp_path / "b.jsonl", *(request(number, tenant="late") for number in range(45, 60)))
    second = deliver("requests", [path])
    assert kept in warehouse.files("requests")
    assert [file.rows for file in warehouse.files("requests")] == [50, 10]
    assert (first.delivery.duplicate_rows, second.delivery.duplicate_rows) == (0, 5)
    assert len(list(warehouse.folder().glob("requests/*"))) == 2


def test_pieces_of_a_file_say_the_same_as_the_whole(tmp_path, monkeypatch):
    requests = [
        request(n % 50, timestamp=1788775200 + 40_000 * (n % 7), resource_id=f"i-{n % 3}") for n in range(90)
    ]
    path = log(tmp_path / "r.jsonl", *requests, "no json", "")
    deliver("requests", [path], source="whole")
    monkeypatch.setattr("ingest.days.ROWS_HELD", 20)
    monkeypatch.setattr("ingest.formats.lines.CHUNK", 300)
    monkeypatch.setattr("ingest.formats.lines.BATCH", 200)
    outcome = deliver("requests", [path], source="pieces")
    assert [(p.line, p.reason) for p in outcome.delivery.problems.all()] == [
        (91, "the line is no JSON object")
    ]
    for dataset, columns in (
        ("requests", "request_id, time::varchar, line, resource_id"),
        ("named_resources", "day, names"),
    ):
        said = [(source, *row) for source, *row in rows(dataset, f"source, {columns}")]
        whole, pieces = ([row[1:] for row in said if row[0] == source] for source in ("whole", "pieces"))
        assert whole == pieces


def test_large_tables_are_read_in_parts_and_small_ones_together(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.formats.tables.ROWS", 7)
    monkeypatch.setattr("ingest.formats.tables.LARGE", 100)
    csv = tmp_path / "a.csv"
    csv.write_text(
        "request_id,timestamp,model,tenant\n"
        + "".join(f"a{n},1788775200,m,{n}\n" for n in range(20))
        + ",,,\n"
    )
    con = warehouse.connect()
    for name, count in (("b", 20), ("c", 3), ("d", 3)):
        con.execute(
            f"copy (select '{name}' || range as request_id, 1788775200 as timestamp, 'm' as model, range::varchar as tenant "
            f"from range({count})) to '{tmp_path}/{name}.parquet' (format parquet, row_group_size 4)"
        )
    outcome = deliver("requests", [tmp_path])
    assert [(p.file, p.line) for p in outcome.delivery.problems.all()] == [("a.csv", 22)]
    found = rows("requests", "file, line, request_id, tenant")
    assert found == sorted(
        [("a.csv", n + 2, f"a{n}", str(n)) for n in range(20)]
        + [
            (f"{name}.parquet", n + 1, f"{name}{n}", str(n))
            for name, count in (("b", 20), ("c", 3), ("d", 3))
            for n in range(count)
        ]
    )


def test_a_log_may_hold_requests_of_any_day(tmp_path):
    """A file is named after a day, and its first and last requests are of the days around it."""
    times = [
        "2026-09-06T23:59:59.999999Z",
        "2026-09-07T00:00:00Z",
        "2026-09-08T01:30:00+02:00",
        "2026-09-08T00:00:00Z",
    ]
    deliver(
        "requests",
        [log(tmp_path / "2026-09-07.jsonl", *(request(n, timestamp=t) for n, t in enumerate(times)))],
    )
    assert rows("requests", "request_id, day::varchar") == [
        ("r0", "2026-09-06"),
        ("r1", "2026-09-07"),
        ("r2", "2026-09-07"),
        ("r3", "2026-09-08"),
    ]
    assert [(file.partition, file.rows) for file in warehouse.files("requests")] == [
        ("default/2026-09-06", 1),
        ("default/2026-09-07", 2),
        ("default/2026-09-08", 1),
    ]
