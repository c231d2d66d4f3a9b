import gzip
import json
import subprocess
import sys
from decimal import Decimal

import duckdb
import pytest
import zstandard

from finops.core import warehouse
from finops.core.errors import FinopsError
from ingest.deliveries import deliver
from ingest.logs import RequestLog
from ingest.models import Problem
from ingest.sources.files import Unreadable
from tests.ingest.arrivals import log, request, rows

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-09-07T10:00:00Z", "2026-09-07 10:00:00+00"),
        ("2026-09-07t12:00:00.5+02:00", "2026-09-07 10:00:00.5+00"),
        ("2026-09-07 10:00:00.1234567", "2026-09-07 10:00:00.123456+00"),
        (1788775200, "2026-09-07 10:00:00+00"),
        (1788775200.25, "2026-09-07 10:00:00.25+00"),
        ("1788775200.000001", "2026-09-07 10:00:00.000001+00"),
        (1788775200123, "2026-09-07 10:00:00.123+00"),
        (99999999999, "5138-11-16 09:46:39+00"),
        (100000000000, "1973-03-03 09:46:40+00"),
    ],
)
def test_a_time_is_rfc_3339_or_unix_seconds_or_milliseconds(tmp_path, text, time):
    deliver("requests", [log(tmp_path / "r.jsonl", request(timestamp=text))])
    assert rows("requests", "time::varchar") == [(time,)]


def test_durations_become_millionths_half_up_without_a_double(tmp_path):
    texts = [
        "5.781",
        "0.0000005",
        "0.00000049999",
        "1e-6",
        "5.7810005",
        "302",
        "8640000.25",
        "8999999999999.5",
    ]
    lines = [
        f'{{"request_id": "r{n}", "timestamp": 1788775200, "model": "m", "gpu_ms": {t}}}'
        for n, t in enumerate(texts)
    ]
    deliver("requests", [log(tmp_path / "r.jsonl", *lines)])
    assert [found for (found,) in rows("requests", "gpu_micro_ms", "line")] == [
        5781000,
        1,
        0,
        1,
        5781001,
        302000000,
        8640000250000,
        8999999999999500000,
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "jsonl.gz"])
def test_all_forms_of_a_log_say_the_same(tmp_path, form):
    path = tmp_path / f"r.{form}"
    told = request(
        tenant="acme", gpu_uuid="GPU-1", gpu_ms=1.5, input_tokens=10, cached_input_tokens=4, cached=True
    )
    if form == "jsonl":
        log(path, told)
    elif form == "jsonl.gz":
        path.write_bytes(gzip.compress(json.dumps(told).encode()))
    elif form == "csv":
        path.write_text(",".join(told) + "\n" + ",".join(str(value) for value in told.values()) + "\n")
    else:
        warehouse.connect().execute(
            "copy (select 'r1' as request_id, timestamp '2026-09-07 10:00:00' as timestamp, 'chat' as model, "
            "'acme' as tenant, ['GPU-1'] as gpu_uuid, 1.5::double as gpu_ms, 10 as input_tokens, "
            f"4::double as cached_input_tokens, true as cached) to '{path}' (format parquet)"
        )
    deliver("requests", [path])
    assert rows(
        "requests",
        "request_id, time::varchar, model, tenant, team, gpu_uuids, gpu_micro_ms, input_tokens, cached_input_tokens, "
        "output_tokens, cached, succeeded, predictions, source",
    ) == [
        (
            "r1",
            "2026-09-07 10:00:00+00",
            "chat",
            "acme",
            "",
            ["GPU-1"],
            1500000,
            10,
            4,
            None,
            True,
            True,
            1,
            "default",
        )
    ]


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        (["a", "a"], ["a"]),
        (["a", "", None, "b"], ["a", "b"]),
        (["", "a"], ["a"]),
        ([None], []),
        ([""], []),
        ([], []),
        ("a", ["a"]),
        ('["b", "a"]', ["a", "b"]),
        ("", []),
        (None, []),
    ],
)
def test_a_request_may_name_several_gpus(tmp_path, told, names):
    deliver("requests", [log(tmp_path / "r.jsonl", request(gpu_uuid=told))])
    assert rows("requests", "gpu_uuids", "line") == [(names,)]


def test_missing_ok_and_2xx_are_success(tmp_path):
    statuses = [None, "", "ok", "OK", 200, "204", "error", 500, "2000", "timeout"]
    deliver("requests", [log(tmp_path / "r.jsonl", *(request(n, status=s) for n, s in enumerate(statuses)))])
    assert [ok for (ok,) in rows("requests", "succeeded", "line")] == [True] * 6 + [False] * 4


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"request_id": None}, "request_id is missing"),
        ({"model": ""}, "model is missing"),
        ({"timestamp": "noon"}, "timestamp is no time: noon"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"input_tokens": -1}, "a count is negative"),
        ({"gpu_ms": -0.5}, "a duration is negative"),
        ({"input_tokens": 1.5}, "input_tokens is no whole number: 1.5"),
        ({"latency_ms": "slow"}, "latency_ms is no number: slow"),
        ({"latency_ms": 1e300}, "latency_ms is no number: 1e+300"),
        ({"input_tokens": 5, "cached_input_tokens": 6}, "cached_input_tokens is larger than input_tokens"),
        ({"cached": "perhaps"}, "cached is neither true nor false: perhaps"),
    ],
)
def test_a_request_that_cannot_be_used_is_quarantined_with_its_line(tmp_path, bad, reason):
    path = log(tmp_path / "r.jsonl", request(1), "", request(2, **bad), request(3))
    outcome = deliver("requests", [path])
    assert (outcome.delivery.rows, outcome.delivery.bad_rows) == (2, 1)
    assert rows("requests", "request_id, line") == [("r1", 1), ("r3", 4)]
    problem = Problem.objects.get()
    assert (problem.file, problem.line, problem.reason) == ("r.jsonl", 3, reason)


def test_a_line_that_is_no_json_never_hides_the_others(tmp_path):
    path = log(tmp_path / "r.jsonl", request(1), '{"request_id": "r2", "model"', "[1, 2]", "7", request(3))
    deliver("requests", [path])
    assert [number for (number,) in rows("requests", "line")] == [1, 5]
    assert [problem.line for problem in Problem.objects.all()] == [2, 3, 4]


def test_where_no_row_can_be_used_nothing_is_loaded(tmp_path):
    with pytest.raises(FinopsError, match=r"r\.jsonl:1: model is missing"):
        deliver("requests", [log(tmp_path / "r.jsonl", request(model=None))])
    assert warehouse.latest() == 0


def test_unknown_fields_are_counted_and_prompts_are_not_stored(tmp_path):
    path = log(
        tmp_path / "r.jsonl", request(1, prompt="my secret", user={"a": 1}), request(2, prompt="another")
    )
    outcome = deliver("requests", [path])
    assert outcome.notes == ["2 unknown fields ignored: prompt (2), user (1)"]
    for file in warehouse.folder().rglob("*.parquet"):
        assert b"secret" not in file.read_bytes()


@pytest.mark.parametrize("around", ["{}", ' {} , "note": "x: 12345678901234567890, y"'])
def test_numbers_of_many_digits_are_read_as_decimals(tmp_path, around):
    """As a double 123456789.123456789012 would end in …79, and 0.4999… millionths would be rounded up."""
    texts = ["5.78100049999999999999", "0.00000049999999999999999999", "1.00000050000000000000e0", "7"]
    lines = [
        f'{{"request_id": "r{n}", "timestamp": 1788775200, "model": "m", "value": 123456789.123456789012, "gpu_ms": {around.format(t)}}}'
        for n, t in enumerate(texts)
    ]
    deliver("requests", [log(tmp_path / "r.jsonl", *lines)])
    if around == "{}":
        assert rows("requests", "gpu_micro_ms, value", "line") == [
            (micro, Decimal("123456789.123456789012")) for micro in (5781000, 0, 1000001, 7000000)
        ]
    else:
        assert len(rows("requests", "request_id")) == 4


def test_the_resources_that_requests_name_are_kept_by_day(tmp_path):
    path = log(tmp_path / "a.jsonl", request(1, resource_id="i-1"), request(2, resource_id="i-1"), request(3))
    deliver("requests", [path])
    deliver(
        "requests", [log(tmp_path / "b.jsonl", request(4, resource_id="i-1"), request(5, resource_id="i-2"))]
    )
    assert rows("named_resources", "source, day::varchar, kind, names") == [
        ("default", "2026-09-07", "request", ["i-1"]),
        ("default", "2026-09-07", "request", ["i-2"]),
    ]


def test_every_request_has_the_number_of_its_key_and_of_its_place_and_they_are_named_once(tmp_path):
    asked = [request(n, tenant=f"t-{n % 2}", host="h-1", timestamp="2026-09-07T23:59:59Z") for n in range(4)]
    deliver("requests", [log(tmp_path / "a.jsonl", *asked)])
    deliver("requests", [log(tmp_path / "b.jsonl", request(5, tenant="t-1", host="h-2"))])
    con = warehouse.connect()
    for dataset in ("requests", "key_names", "place_names"):
        warehouse.open_view(con, dataset)
    assert con.execute(
        "select request_id, hour, key.tenant, place.host from requests join key_names as key using (key_hash) "
        "join place_names as place using (place_hash) order by all"
    ).fetchall() == [
        ("r0", 23, "t-0", "h-1"),
        ("r1", 23, "t-1", "h-1"),
        ("r2", 23, "t-0", "h-1"),
        ("r3", 23, "t-1", "h-1"),
        ("r5", 10, "t-1", "h-2"),
    ]
    assert con.execute("select count(*) from key_names").fetchall() == [(2,)]


def test_a_request_that_does_not_count_names_no_resource(tmp_path):
    deliver("requests", [log(tmp_path / "a.jsonl", request(1), request(1, resource_id="i-1"))])
    deliver(
        "requests", [log(tmp_path / "b.jsonl", request(1, resource_id="i-2"), request(2, resource_id="i-3"))]
    )
    assert rows("named_resources", "names") == [(["i-3"],)]


def test_a_csv_log_without_its_columns_is_refused(tmp_path):
    (tmp_path / "r.csv").write_text("id,when,model\n1,2,3\n")
    with pytest.raises(Unreadable, match="request_id and timestamp are missing"):
        deliver("requests", [tmp_path / "r.csv"])


def test_business_value_and_predictions_are_kept(tmp_path):
    deliver("requests", [log(tmp_path / "r.jsonl", request(1, value="1.25", predictions=500))])
    assert rows("requests", "value, predictions") == [(Decimal("1.25"), 500)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_log_without_a_row_is_a_delivery_of_none(tmp_path, form, pack):
    path = tmp_path / "r"
    if form == "jsonl":
        path.write_text("\n\n")
    elif form == "csv":
        path.write_text("request_id,timestamp,model\n")
    else:
        warehouse.connect().execute(
            f"copy (select 'a' as request_id, 1 as timestamp, 'm' as model where false) to '{path}' (format parquet)"
        )
    path.write_bytes(pack(path.read_bytes()))
    if form == "jsonl":
        with pytest.raises(Unreadable, match="empty"):
            deliver("requests", [path])
    else:
        assert deliver("requests", [path]).delivery.rows == 0
    assert warehouse.latest() == 0


def test_columns_of_a_log_may_come_and_go(tmp_path):
    deliver("requests", [log(tmp_path / "a.jsonl", request(1, tenant="acme", note="x"))])
    (tmp_path / "b.csv").write_text("Model,REQUEST_ID,timestamp,team,gone\nchat,r2,1788775200,search,\n")
    deliver("requests", [tmp_path / "b.csv"])
    assert rows("requests", "request_id, tenant, team") == [("r1", "acme", ""), ("r2", "", "search")]


def test_files_of_one_delivery_may_each_have_fields_of_their_own(tmp_path):
    """What none of the first has is not held for it, and is there all the same when a later one has it."""
    files = [
        log(tmp_path / "b.jsonl", request(3, queue_ms=2, batch_size=8), request(4, value="1.5")),
        log(tmp_path / "a.jsonl", request(1, predictions=5), request(2, predictions=5, cached=True)),
        log(tmp_path / "c.jsonl", request(5), request(6, cached="perhaps"), request(7, note="x")),
    ]
    outcome = deliver("requests", files)
    columns = "request_id, predictions, cached, queue_micro_ms, batch_size, value, file"
    assert rows("requests", columns) == [
        ("r1", 5, False, None, None, None, "a.jsonl"),
        ("r2", 5, True, None, None, None, "a.jsonl"),
        ("r3", 1, False, 2000000, 8, None, "b.jsonl"),
        ("r4", 1, False, None, None, Decimal("1.5"), "b.jsonl"),
        ("r5", 1, False, None, None, None, "c.jsonl"),
        ("r7", 1, False, None, None, None, "c.jsonl"),
    ]
    assert [(p.line, p.reason) for p in outcome.delivery.problems.all()] == [
        (2, "cached is neither true nor false: perhaps")
    ]


@pytest.mark.parametrize("files", [1, 2])
def test_two_keys_with_one_number_are_not_taken_for_one(tmp_path, monkeypatch, files):
    """No two keys are known that have the same hash, so that here all have."""
    monkeypatch.setattr(RequestLog, "derived", {**RequestLog.derived, "key_hash": "7::bigint"})
    both = [request(1, tenant="acme"), request(2, tenant="other")]
    paths = [
        log(tmp_path / f"{number}.jsonl", *both[number::files], request(9 + number, model=""))
        for number in range(files)
    ]
    with pytest.raises(Unreadable, match="two different rows of key_names have the same key_hash"):
        deliver("requests", paths)
    assert rows("requests", "request_id") == []


def test_a_byte_order_mark_carriage_returns_and_a_missing_last_newline_do_no_harm(tmp_path):
    lines = [json.dumps(request(n)) for n in range(3)]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["", *lines]).encode())
    (tmp_path / "b.csv").write_bytes(
        b"\xef\xbb\xbfrequest_id,timestamp,model\r\nr7,1788775200,m\r\nr8,1788775200,m"
    )
    deliver("requests", [tmp_path / "a.jsonl", tmp_path / "b.csv"])
    assert rows("requests", "request_id, line") == [("r0", 2), ("r1", 3), ("r2", 4), ("r7", 2), ("r8", 3)]


def test_a_ragged_row_of_a_log_is_quarantined_where_it_is_too_long(tmp_path):
    (tmp_path / "r.csv").write_text(
        "request_id,timestamp,model,tenant\nr1,1788775200,m\nr2,1788775200,m,acme,and,more\nr3,1788775200,m,acme\n"
    )
    outcome = deliver("requests", [tmp_path / "r.csv"])
    assert rows("requests", "request_id, tenant") == [("r1", ""), ("r3", "acme")]
    assert [(p.line, p.reason) for p in outcome.delivery.problems.all()] == [
        (3, "the row has more values than the header has columns")
    ]


def test_lines_are_read_without_pandas(tmp_path):
    """To import it costs a second of every command."""
    path = log(tmp_path / "r.jsonl", request(1), "", request(2))
    code = (
        "import sys; from pathlib import Path; from ingest.formats.lines import numbered_lines; "
        "from ingest.sources.files import identified; "
        f"(lines,) = numbered_lines(*identified([Path({str(path)!r})])); "
        "print(lines.table['line'].to_pylist(), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 3] False\n"


def test_text_that_is_not_utf_8_does_not_hide_the_rest(tmp_path):
    path = log(tmp_path / "r.jsonl", request(1), request(2))
    path.write_bytes(path.read_bytes().replace(b'"r2"', b'"r\xfc"'))
    deliver("requests", [path])
    assert rows("requests", "request_id") == [("r1",), ("r\ufffd",)]


def test_a_parquet_file_that_was_cut_off_is_named_as_what_was_delivered(tmp_path):
    whole = tmp_path / "whole.parquet"
    duckdb.sql("select 'r' as request_id, 'm' as model, now() as timestamp").write_parquet(str(whole))
    cut = tmp_path / "requests.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(Unreadable, match=r"^requests\.parquet: the Parquet file cannot be read: "):
        deliver("requests", [cut])
