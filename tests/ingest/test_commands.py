"""The commands: exit codes, what stands on standard error, and every way to hand over a file."""

import gzip
import io
import json
import re
import sys

import pytest
import zstandard
from django.core.management import execute_from_command_line

from finops.core import warehouse
from ingest.models import Delivery
from tests.ingest.arrivals import bill, charge, costs, rows

pytestmark = pytest.mark.django_db
NOON = 1788775200
FILES = {
    "billing": (
        "charges",
        "BilledCost,EffectiveCost,ChargePeriodStart,ChargePeriodEnd\n1,1,2026-09-07,2026-09-08\n",
    ),
    "gpu": ("gpu_samples", f'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-0"}} 42 {NOON}000\n'),
    "requests": ("requests", json.dumps({"request_id": "a", "timestamp": NOON, "model": "m"}) + "\n"),
    "hosts": ("hosts", "host,resource_id\nh,i-1\n"),
    "owners": ("owners", "kind,name,team\nmodel,m,search\n"),
    "rates": ("rates", "date,currency,rate\n2026-09-01,EUR,1.1\n"),
}


@pytest.fixture
def run(capsys):
    """Exit code, standard output and standard error of a command."""

    def _run(*arguments: object) -> tuple[int, str, str]:
        code: int | str | None = 0
        try:
            execute_from_command_line(["manage.py", *map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return _run


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_every_kind_is_read_from_standard_input_and_packed(run, kind, pack, monkeypatch):
    dataset, text = FILES[kind]
    stdin = io.TextIOWrapper(io.BytesIO(pack(text.encode())))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, _ = run("ingest", kind, "-")
    assert code == 0
    assert re.match(rf"{kind} delivery \d+: 1 rows loaded from standard-input\n", out)
    assert sum(file.rows for file in warehouse.files(dataset)) == 1


@pytest.mark.parametrize("kind", FILES)
def test_the_same_again_is_a_success_that_says_so(run, kind, tmp_path):
    path = tmp_path / "file"
    path.write_text(FILES[kind][1])
    assert run("ingest", kind, path)[0] == 0
    code, out, _ = run("ingest", kind, path)
    assert (code, out) == (
        0,
        f"file: already there (delivery {Delivery.objects.get().pk}); nothing changes\n",
    )


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><body>403 Forbidden</body></html>", "file, line 1: this is an HTML or XML page"),
        (gzip.compress(b"x" * 5000)[:-9], "file: the gzip file is cut short"),
        (zstandard.compress(bytes(range(256)) * 90)[:-3], "file: the zstandard file is cut short"),
        (b"\x1f\x8b\x08\x00garbage and more of it", "file: the gzip file is damaged"),
        (b"one,two\n1,2\n", "file, line 1: .*(missing; found the columns one, two|expected the columns)"),
        (b"", "file: the file is empty"),
        (b"PAR1 and then nothing", "file: the Parquet file cannot be read"),
        (b"\xff\xfeo\x00n\x00e\x00", "file: this is UTF-16 text"),
    ],
)
def test_a_file_that_is_not_what_it_says_loads_nothing_and_exits_1(run, kind, content, said, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    code, out, err = run("ingest", kind, path)
    assert (code, out) == (1, "")
    assert re.match(said, err), err
    assert warehouse.latest() == 0
    assert Delivery.objects.get().state == Delivery.State.FAILED


@pytest.mark.parametrize("kind", FILES)
def test_one_bad_file_of_a_delivery_keeps_all_of_it_out(run, kind, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text(FILES[kind][1])
    (tmp_path / "in" / "b").write_bytes(gzip.compress(FILES[kind][1].encode() * 50)[:-5])
    code, _, err = run("ingest", kind, tmp_path / "in")
    assert (code, warehouse.latest()) == (1, 0)
    assert err.startswith("b: the gzip file is cut short")


def test_a_missing_file_and_an_empty_folder_exit_1(run, tmp_path):
    assert run("ingest", "requests", tmp_path / "none.csv")[::2] == (
        1,
        f"{tmp_path}/none.csv: there is no such file\n",
    )
    (tmp_path / "empty").mkdir()
    assert run("ingest", "requests", tmp_path / "empty")[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest",),
        ("ingest", "bills", "x"),
        ("ingest", "billing"),
        ("ingest", "requests", "x", "--format", "xml"),
        ("ingest", "billing", "x", "--expect-total", "lots"),
        ("deliveries", "show", "999"),
        ("deliveries", "accept", "many"),
    ],
)
def test_wrong_usage_exits_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_format_that_the_file_has_not_exits_1(run, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("request_id,timestamp,model\na,1788775200,m\n")
    assert run("ingest", "requests", path, "--format", "jsonl")[::2] == (
        1,
        "r.csv: this is csv, and --format says jsonl\n",
    )
    assert run("ingest", "requests", path, "--format", "csv")[0] == 0


def test_rows_in_quarantine_are_a_success_and_shown_with_file_line_and_reason(run, tmp_path):
    good = "".join(
        json.dumps({"request_id": f"r{n}", "timestamp": NOON, "model": "m"}) + "\n" for n in range(3)
    )
    (tmp_path / "r.jsonl").write_text(
        good + "{no json\n" + '{"request_id": "x", "timestamp": "soon", "model": "m"}\n'
    )
    code, out, _ = run("ingest", "requests", tmp_path / "r.jsonl")
    assert code == 0
    assert "3 rows loaded" in out
    for text in (out, run("deliveries", "show", Delivery.objects.get().pk)[1]):
        assert "r.jsonl:4: the line is no JSON object" in text
        assert "r.jsonl:5: timestamp is no time: soon" in text


def test_a_held_bill_exits_1_and_waits_until_it_is_accepted(run, tmp_path):
    run("ingest", "billing", bill(tmp_path / "a.csv", *[charge("1")] * 5))
    code, out, err = run("ingest", "billing", bill(tmp_path / "b.csv", charge("1")))
    held = Delivery.objects.latest("pk")
    assert (code, out) == (1, "")
    assert "shrank from 5 rows to 1" in err
    assert f"deliveries accept {held.pk}" in err
    assert len(costs()) == 5
    listed = run("deliveries", "list", "--held")[1]
    assert re.search(rf"\b{held.pk}\b.*billing.*held.*shrank", listed)
    code, out, _ = run("deliveries", "accept", held.pk)
    assert (code, len(costs())) == (0, 1)
    assert "replaces 2026-09 of AWS/1001: 5 to 1 rows, effective cost 5 to 1 USD (-4)" in out
    assert run("deliveries", "list", "--held")[1] == "no delivery is held\n"
    assert run("deliveries", "accept", held.pk)[0] == 1


def test_a_rejected_bill_leaves_the_earlier_one_in_force(run, tmp_path):
    run("ingest", "billing", bill(tmp_path / "a.csv", charge("1")))
    run("ingest", "billing", bill(tmp_path / "b.csv", charge("7")), "--expect-total", "8")
    number = Delivery.objects.latest("pk").pk
    assert run("deliveries", "reject", number, "--reason", "wrong month")[0] == 0
    assert costs() == [1]
    assert "rejected: wrong month" in run("deliveries", "show", number)[1]
    assert run("deliveries", "accept", number)[0] == 1


def test_a_summary_says_what_is_new_and_what_was_there_already(run, tmp_path):
    lines = [json.dumps({"request_id": f"r{n}", "timestamp": NOON, "model": "m", "x": 1}) for n in range(4)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:3]))
    (tmp_path / "b.jsonl").write_text("\n".join(lines[1:]))
    run("ingest", "requests", tmp_path / "a.jsonl", "--source", "gateway")
    _, out, _ = run("ingest", "requests", tmp_path / "b.jsonl", "--source", "gateway")
    assert "1 rows loaded" in out
    assert "2 rows were there already" in out
    assert "newest day: 2026-09-07" in out
    assert "1 unknown fields ignored: x (3)" in out
    assert rows("requests", "request_id") == [("r0",), ("r1",), ("r2",), ("r3",)]
