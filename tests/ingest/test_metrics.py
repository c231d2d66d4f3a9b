import json

import pytest

from finops.core import warehouse
from ingest.deliveries import deliver
from ingest.models import Problem
from ingest.sources.files import Unreadable
from tests.ingest.arrivals import rows

pytestmark = pytest.mark.django_db

RATIO, PERCENT = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
NOON = 1788775200  # 2026-09-07 10:00 UTC


def answer(path, *series: tuple[dict[str, str], list[list[object]]], **around: object):
    result = [
        {"metric": {"__name__": RATIO, "UUID": "GPU-0", "Hostname": "h1", **labels}, "values": values}
        for labels, values in series
    ]
    told = {"status": "success", "data": {"resultType": "matrix", "result": result}, **around}
    path.write_text(json.dumps(told))
    return path


def samples(columns: str = "busy", order: str = "time, busy") -> list[object]:
    found = rows("gpu_samples", columns, order)
    return [row[0] if len(row) == 1 else row for row in found]


def test_a_ratio_becomes_millionths_half_up_and_stays_within_bounds(tmp_path):
    texts = ["0.5", "0.1234565", "0.12345649", "1.2", "-0.1", "5e-7", "1E0"]
    values = [[NOON + 30 * number, text] for number, text in enumerate(texts)]
    deliver("gpu", [answer(tmp_path / "g.json", ({}, values))])
    assert samples() == [500000, 123457, 123456, 1000000, 0, 1, 1000000]


def test_a_percentage_becomes_millionths(tmp_path):
    values = [[NOON + 30 * number, text] for number, text in enumerate(["70", "12.34565", "250"])]
    deliver("gpu", [answer(tmp_path / "g.json", ({"__name__": PERCENT}, values))])
    assert samples() == [700000, 123457, 1000000]


def test_sentinels_nan_and_infinities_are_no_samples(tmp_path):
    texts = ["NaN", "+Inf", "-Inf", "9223372036854775794", "4611686018427387904", "9.3e18", "1e60", "0.25"]
    values = [[NOON + 30 * number, text] for number, text in enumerate(texts)]
    outcome = deliver("gpu", [answer(tmp_path / "g.json", ({}, values))])
    assert samples() == [250000]
    assert outcome.delivery.bad_rows == 0


def test_of_repeated_samples_the_largest_counts_in_one_delivery_and_over_several(tmp_path):
    first = answer(tmp_path / "a.json", ({}, [[NOON, "0.2"], [NOON + 30, "0.9"]]), ({}, [[NOON, "0.4"]]))
    deliver("gpu", [first])
    assert samples() == [400000, 900000]
    deliver(
        "gpu", [answer(tmp_path / "b.json", ({}, [[NOON, "0.3"], [NOON + 30, "0.95"], [NOON + 60, "0.1"]]))]
    )
    assert samples() == [400000, 950000, 100000]


def test_a_time_sliced_gpu_keeps_one_sample_a_pod(tmp_path):
    labels = {"pod": "dcgm-exporter", "namespace": "monitoring"}
    pods = [
        ({**labels, "exported_pod": f"p{n}", "exported_namespace": "team"}, [[NOON, "0.5"]]) for n in (1, 2)
    ]
    deliver("gpu", [answer(tmp_path / "g.json", *pods, (labels | {"UUID": "GPU-1"}, [[NOON, "0.5"]]))])
    assert samples("namespace, pod", "pod") == [
        ("monitoring", "dcgm-exporter"),
        ("team", "p1"),
        ("team", "p2"),
    ]


def test_host_labels_are_kept_in_the_order_of_the_setting_with_the_port_cut_off(tmp_path, settings):
    labels = {"instance": "10.0.0.1:9400", "node": "n1", "Hostname": ""}
    deliver("gpu", [answer(tmp_path / "g.json", (labels, [[NOON, "0.5"]]))])
    assert samples("hosts") == [["n1", "10.0.0.1"]]
    assert rows("named_resources", "kind, names") == [("gpu", ["n1", "10.0.0.1"])]


def test_a_mig_instance_is_a_unit_of_its_own(tmp_path):
    labels = {"GPU_I_ID": "3", "GPU_I_PROFILE": "2g.20gb", "modelName": "NVIDIA A100"}
    deliver("gpu", [answer(tmp_path / "g.json", (labels, [[NOON, "0.5"]]), ({}, [[NOON, "0.7"]]))])
    found = samples("uuid, instance, profile, gpu_model, busy", "instance")
    assert found == [("GPU-0", "", "", "", 700000), ("GPU-0", "3", "2g.20gb", "NVIDIA A100", 500000)]


def test_metrics_of_other_kinds_are_counted_not_kept(tmp_path):
    other = ({"__name__": "DCGM_FI_DEV_POWER_USAGE"}, [[NOON, "78.174"]])
    outcome = deliver("gpu", [answer(tmp_path / "g.json", other, ({}, [[NOON, "0.5"]]))])
    assert samples() == [500000]
    assert outcome.notes == ["1 series of other metrics ignored"]


def test_a_value_that_is_no_number_is_quarantined(tmp_path):
    outcome = deliver("gpu", [answer(tmp_path / "g.json", ({}, [[NOON, "busy"], [NOON + 1, "0.5"]]))])
    assert (outcome.delivery.rows, outcome.delivery.bad_rows) == (1, 1)
    assert Problem.objects.get().reason == "value is no number: busy"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"status":"error","errorType":"bad_data","error":"parse error"}', "parse error"),
        (
            '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"',
            "breaks off",
        ),
        (
            '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"2"]]',
            "breaks off",
        ),
        ('{"status":"success","data":{"result":["x"]}}', "no JSON object"),
        ('{"status":"success","data":{"result":[{"values":[]}]}}', "no metric"),
        ('{"status":"success","data":{"resultType":"matrix","result":[]}', "breaks off"),
        ('{"hello": "world"}', "data.result"),
        ("timestamp,host\n1,2\n", "UUID"),
    ],
)
def test_what_is_no_answer_of_prometheus_says_so(tmp_path, content, said):
    (tmp_path / "g.json").write_text(content)
    with pytest.raises(Unreadable, match=said):
        deliver("gpu", [tmp_path / "g.json"])


def test_an_answer_is_read_in_small_chunks_alike(tmp_path, monkeypatch):
    series = [({"UUID": f"GPU-{n}"}, [[NOON + 30 * at + 0.781, "0.5"] for at in range(50)]) for n in range(5)]
    path = answer(tmp_path / "g.json", *series, warnings=["partial response"])
    monkeypatch.setattr("ingest.formats.prometheus.CHUNK", 100)
    monkeypatch.setattr("ingest.formats.prometheus.HEAD", 300)
    outcome = deliver("gpu", [path])
    assert outcome.delivery.rows == 250
    assert samples("max(time)::varchar", "1") == ["2026-09-07 10:24:30.781+00"]
    assert outcome.notes == ["g.json: Prometheus warned: partial response"]


def test_members_of_a_series_may_come_in_any_order_and_number(tmp_path):
    labels = f'"__name__": "{RATIO}", "Hostname": "h 1]]"'
    (tmp_path / "g.json").write_text(
        '{"status": "success", "data": {"result": [\n'
        f'{{"values": [[{NOON}, "0.1"]], "metric": {{"UUID": "a", {labels}}}}},\n'
        f'{{"metric": {{"UUID": "b", {labels}}}, "value": [{NOON}.5, "0.2"]}},\n'
        f'{{"metric": {{"UUID": "c", {labels}}}, "values": []}},\n'
        f'{{"metric": {{"UUID": "d", {labels}}} , "values" : [ [{NOON}, "0.4"] ,\n [{NOON + 30}, "0.5"] ] , '
        f'"histograms": [[{NOON}, {{"count": "1"}}]]}}\n'
        "]}}\n"
    )
    deliver("gpu", [tmp_path / "g.json"])
    assert samples("uuid, busy, hosts") == [
        ("a", 100000, ["h 1]]"]),
        ("d", 400000, ["h 1]]"]),
        ("b", 200000, ["h 1]]"]),
        ("d", 500000, ["h 1]]"]),
    ]


def test_several_answers_may_be_in_one_file(tmp_path):
    first = answer(tmp_path / "a.json", ({}, [[NOON, "0.2"]])).read_text()
    second = answer(tmp_path / "b.json", ({}, [[NOON + 30, "0.4"]])).read_text()
    (tmp_path / "c.json").write_text(f"{first}\n{second}\n")
    deliver("gpu", [tmp_path / "c.json"])
    assert samples() == [200000, 400000]
    (tmp_path / "d.json").write_text(first + '\n{"status": "error", "error": "query timed out"}')
    with pytest.raises(Unreadable, match="query timed out"):
        deliver("gpu", [tmp_path / "d.json"])


def test_an_exposition_line_that_cannot_be_read_is_quarantined(tmp_path):
    (tmp_path / "g.prom").write_text(
        "# HELP\n"
        f'{PERCENT}{{UUID="GPU-0" 42 1788775200000\n{PERCENT}{{UUID="GPU-0"}} 42 1788775200000\n{PERCENT}{{gpu="0"}} 4\n'
    )
    outcome = deliver("gpu", [tmp_path / "g.prom"])
    assert [(p.line, p.reason) for p in outcome.delivery.problems.all()] == [
        (2, "the line is no sample of a metric"),
        (4, "the UUID label is missing"),
    ]
    assert samples() == [420000]


def test_exposition_text_is_read_with_blanks_escapes_and_times(tmp_path):
    (tmp_path / "g.prom").write_text(
        "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).\n"
        "# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
        'DCGM_FI_DEV_GPU_UTIL{gpu="0", UUID="GPU-0", Hostname="h1",pod="a\\"b",namespace="n, {x}"} 42 1788775200000\n'
        'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-0"} 78.1 1788775200000\n'
        'DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",UUID="GPU-0",GPU_I_ID="3",Hostname="h1"} 0.5 1788775200000\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-1"} 9223372036854775794 1788775200000\n'
    )
    deliver("gpu", [tmp_path / "g.prom"])
    assert samples("uuid, instance, busy, time::varchar, namespace, pod, hosts", "instance") == [
        ("GPU-0", "", 420000, "2026-09-07 10:00:00+00", "n, {x}", 'a"b', ["h1"]),
        ("GPU-0", "3", 500000, "2026-09-07 10:00:00+00", "", "", ["h1"]),
    ]


def test_a_scrape_without_times_is_of_when_it_was_written(tmp_path):
    import os

    path = tmp_path / "g.prom"
    path.write_text('DCGM_FI_DEV_GPU_UTIL{UUID="GPU-0"} 42\n')
    os.utime(path, (NOON, NOON))
    deliver("gpu", [path])
    assert samples("time::varchar") == ["2026-09-07 10:00:00+00"]


def test_csv_may_be_long_or_wide(tmp_path):
    (tmp_path / "long.csv").write_text(
        "timestamp,metric,value,UUID,Hostname\n"
        f"{NOON},{RATIO},0.5,GPU-0,h1\n{NOON},DCGM_FI_DEV_GPU_TEMP,60,GPU-0,h1\n"
    )
    (tmp_path / "wide.csv").write_text(
        f"timestamp,UUID,Hostname,{RATIO},{PERCENT}\n{NOON + 30},GPU-0,h1,0.25,\n"
    )
    deliver("gpu", [tmp_path / "long.csv", tmp_path / "wide.csv"])
    assert samples("metric, busy, hosts", "busy") == [(RATIO, 250000, ["h1"]), (RATIO, 500000, ["h1"])]


def test_parquet_says_the_same(tmp_path):
    warehouse.connect().execute(
        f"copy (select timestamp '2026-09-07 10:00:00' as timestamp, '{RATIO}' as metric, 0.1234565::double as value, "
        f"'GPU-0' as \"UUID\", 'h1' as \"Hostname\") to '{tmp_path}/g.parquet' (format parquet)"
    )
    deliver("gpu", [tmp_path / "g.parquet"])
    assert samples("busy, time::varchar, hosts") == [(123457, "2026-09-07 10:00:00+00", ["h1"])]


def test_the_same_metrics_twice_change_nothing(tmp_path):
    path = answer(tmp_path / "a.json", ({}, [[NOON, "0.2"]]))
    deliver("gpu", [path])
    before = warehouse.latest()
    assert deliver("gpu", [path]).already_there
    assert warehouse.latest() == before


def test_an_answer_without_a_series_or_a_table_without_a_row_is_a_delivery_of_none(tmp_path):
    assert deliver("gpu", [answer(tmp_path / "g.json")]).delivery.rows == 0
    (tmp_path / "g.csv").write_text("timestamp,metric,value,UUID\n")
    assert deliver("gpu", [tmp_path / "g.csv"]).delivery.rows == 0
    (tmp_path / "g.prom").write_text("# HELP DCGM_FI_DEV_GPU_UTIL\n# NOTE nothing\n")
    assert deliver("gpu", [tmp_path / "g.prom"]).delivery.rows == 0
    assert warehouse.latest() == 0


def test_samples_are_kept_by_their_own_day(tmp_path):
    midnight = NOON + 14 * 3600
    deliver("gpu", [answer(tmp_path / "g.json", ({}, [[midnight - 0.001, "0.1"], [midnight, "0.2"]]))])
    assert samples("day::varchar, busy") == [("2026-09-07", 100000), ("2026-09-08", 200000)]


def test_labels_may_come_and_go(tmp_path):
    (tmp_path / "a.csv").write_text(f"time,metric,value,uuid,node\n{NOON},{RATIO},0.5,GPU-0,n1\n")
    (tmp_path / "b.csv").write_text(
        f"value;UUID;timestamp;__name__;pod;zone\r\n0.25;GPU-0;{NOON + 30};{RATIO};p;eu\r\n"
    )
    deliver("gpu", [tmp_path / "a.csv", tmp_path / "b.csv"])
    assert samples("busy, pod, hosts") == [(500000, "", ["n1"]), (250000, "p", [])]


def test_a_ragged_row_of_metrics_is_quarantined(tmp_path):
    (tmp_path / "g.csv").write_text(
        f"timestamp,metric,value,UUID\n{NOON},{RATIO},0.5,GPU-0\n{NOON},{RATIO},0.5\n{NOON + 1},{RATIO},0.5,GPU-0,9\n"
    )
    outcome = deliver("gpu", [tmp_path / "g.csv"])
    assert [(p.line, p.reason) for p in outcome.delivery.problems.all()] == [
        (3, "the UUID label is missing"),
        (4, "the row has more values than the header has columns"),
    ]
    assert samples() == [500000]
