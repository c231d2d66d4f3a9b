"""The landing zone: what is new is loaded once, and what fails is seen and stops nothing else."""

import json
import os
import shutil
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from finops.core import warehouse
from ingest.models import Delivery
from tests.ingest.arrivals import bill, charge, costs, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def landing(data_dir):
    return data_dir / "landing"


def put(path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def log(*names: str) -> str:
    return "".join(json.dumps({"request_id": n, "timestamp": 1788775200, "model": "m"}) + "\n" for n in names)


def pull() -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("pull", stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_new_files_of_every_kind_are_loaded_under_the_source_of_their_folder(landing):
    put(landing / "requests" / "gateway" / "a.jsonl", log("r1"))
    put(landing / "requests" / "batch" / "a.jsonl", log("r1"))
    put(landing / "gpu" / "dcgm" / "s.prom", 'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-0"} 42 1788775200000\n')
    put(landing / "hosts" / "cmdb" / "hosts.csv", "host,resource_id\nh,i-1\n")
    bill(landing / "billing" / "aws" / "2026-09.csv", charge("1"))
    code, out, err = pull()
    assert (code, out.count("rows loaded"), err) == (0, 5, "")
    assert rows("requests", "source") == [("batch",), ("gateway",)]
    assert rows("charges", "source") == [("aws",)]
    assert rows("gpu_samples", "source") == [("dcgm",)]
    assert rows("hosts", "host") == [("h",)]


def test_a_file_is_loaded_once_whatever_it_is_called_and_whenever_it_was_touched(landing):
    path = put(landing / "requests" / "gateway" / "a.jsonl", log("r1"))
    pull()
    before = warehouse.latest()
    assert pull()[:2] == (0, f"nothing new in {landing}\n")
    os.utime(path, (1, 1))
    path.rename(path.with_name("b.jsonl"))
    assert pull()[:2] == (0, f"nothing new in {landing}\n")
    assert (warehouse.latest(), Delivery.objects.count()) == (before, 1)
    put(landing / "requests" / "gateway" / "b.jsonl", log("r1", "r2"))
    assert "1 rows loaded" in pull()[1]
    assert path.with_name("b.jsonl").exists()


def test_a_bad_file_is_seen_and_does_not_stop_the_others(landing):
    put(landing / "requests" / "gateway" / "a.jsonl", "<html>")
    put(landing / "requests" / "gateway" / "b.jsonl", log("r1"))
    bill(landing / "billing" / "aws" / "bad.csv", charge("#REF!"))
    code, out, err = pull()
    assert (code, out.count("rows loaded")) == (0, 1)
    assert "a.jsonl, line 1: this is an HTML or XML page" in err
    assert "is held: 1 of 1 rows cannot be used" in err or "no row can be used" in err
    assert pull() == (0, f"nothing new in {landing}\n", "")


def test_where_nothing_can_be_loaded_it_exits_1_and_a_repaired_file_is_taken(landing):
    put(landing / "requests" / "gateway" / "a.jsonl", "<html>")
    assert pull()[0] == 1
    put(landing / "requests" / "gateway" / "a.jsonl", log("r1"))
    assert pull()[0] == 0
    failed, loaded = Delivery.objects.order_by("pk")
    assert (failed.state, failed.replaced_by) == (Delivery.State.FAILED, loaded)


def test_what_is_still_being_written_is_left_alone(landing):
    for name in ("a.jsonl.part", ".b.jsonl", "c.tmp"):
        put(landing / "requests" / "gateway" / name, log("r1"))
    assert pull()[:2] == (0, f"nothing new in {landing}\n")


def test_a_file_without_a_source_is_pointed_out(landing):
    put(landing / "requests" / "a.jsonl", log("r1"))
    put(landing / "request" / "gateway" / "a.jsonl", log("r1"))
    code, _, err = pull()
    assert code == 1
    assert f"{landing}/requests/a.jsonl: expected a folder between, named after the source" in err
    assert f"{landing}/request: expected a folder named billing, gpu, requests" in err


def test_a_bill_whose_manifest_names_a_file_to_come_waits_for_it(landing, tmp_path):
    """Data files may be there before their manifest, and the manifest before all of them."""
    month = landing / "billing" / "aws" / "2026-09"
    bill(month / "x-1.csv", charge("1"))
    put(
        month / "x-Manifest.json",
        json.dumps({"dataFiles": ["s3://b/2026-09/x-1.csv", "s3://b/2026-09/x-2.csv"]}),
    )
    code, _, err = pull()
    assert (code, costs()) == (1, [])
    assert "names s3://b/2026-09/x-2.csv, which is not here" in err
    assert pull()[:2] == (0, f"nothing new in {landing}\n")
    bill(month / "x-2.csv", charge("2"))
    assert pull()[0] == 0
    assert costs() == [1, 2]
    assert not Delivery.objects.filter(state=Delivery.State.HELD).exists()


def test_tables_are_loaded_before_what_they_say_something_about(landing):
    put(landing / "requests" / "gateway" / "a.jsonl", log("r1"))
    put(landing / "owners" / "people" / "owners.csv", "kind,name,team\nmodel,m,search\n")
    pull()
    assert list(Delivery.objects.order_by("pk").values_list("kind", flat=True)) == ["owners", "requests"]


def test_a_folder_that_comes_later_again_with_one_file_more_adds_that_file(landing):
    folder = landing / "requests" / "gateway" / "2026-09-07"
    put(folder / "00.jsonl", log("r1"))
    pull()
    put(folder / "01.jsonl", log("r2"))
    pull()
    assert rows("requests", "request_id") == [("r1",), ("r2",)]
    shutil.rmtree(folder)
    assert pull()[0] == 0
