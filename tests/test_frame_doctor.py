"""`doctor`: silent about nothing, and its exit code is its answer."""

from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from attribution.run import attribute
from finops import pipeline
from finops.core import warehouse
from tests.test_celery import BILL, DAY, REQUEST, land

pytestmark = pytest.mark.django_db
NEXT = date.fromisoformat(DAY) + timedelta(days=1)


def doctor(*flags: str, today: date = NEXT) -> tuple[int, list[str]]:
    """Its exit code, and the answers that are bad."""
    out = StringIO()
    try:
        call_command("doctor", *flags, "--today", str(today), stdout=out)
        code = 0
    except CommandError as error:
        code = error.returncode
    return code, [
        line.removeprefix("BAD  ") for line in out.getvalue().splitlines() if line.startswith("BAD")
    ]


def test_an_empty_installation_lacks_a_bill():
    assert doctor() == (1, ["no bill yet: ingest billing FILE"])


def test_fresh_complete_and_reconciled_is_0(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    assert doctor() == (0, [])


def test_what_is_not_attributed_yet_is_named(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    code, bad = doctor()
    assert code == 1
    assert f"1 day to attribute, from {DAY}: attribute" in bad


def test_a_silent_source_is_named(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    code, bad = doctor(today=NEXT + timedelta(days=10))
    assert code == 1
    assert f"bill of aws until {DAY}: nothing since" in bad
    assert f"requests of gateway until {DAY}: nothing since" in bad


def test_a_held_delivery_is_named(settings, tmp_path):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    broken = tmp_path / "bill.csv"
    broken.write_text(BILL + BILL.splitlines(keepends=True)[1].replace("4.50,4.50,4.50", "4.50,four,4.50"))
    with pytest.raises(CommandError, match="is held"):
        call_command("ingest", "billing", str(broken), "--source", "aws", stdout=StringIO())
    code, bad = doctor()
    assert code == 1
    assert [line for line in bad if "waits for a person" in line]


def test_days_whose_inputs_changed_are_outdated_until_a_run_has_read_them(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    assert pipeline.outdated_days(NEXT) == [date.fromisoformat(DAY)]
    pipeline.attribute_outdated()
    assert pipeline.outdated_days(NEXT) == []


def test_a_run_that_found_nothing_changed_is_not_asked_again(settings, tmp_path):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    longer = tmp_path / "bill.csv"
    longer.write_text(BILL + BILL.splitlines(keepends=True)[1].replace("2026-03-02", "2026-03-05"))
    call_command("ingest", "billing", str(longer), "--source", "aws", stdout=StringIO())
    assert pipeline.outdated_days(NEXT + timedelta(days=9))[0] == date.fromisoformat(DAY)
    report = pipeline.attribute_outdated()
    assert [str(day) for day in report.unchanged] == [DAY]
    assert "2026-03-05" in [str(day) for day in report.attributed]
    assert pipeline.outdated_days(NEXT + timedelta(days=9)) == []


def test_all_days_of_a_charge_are_outdated_once_its_resource_is_named_on_one_of_them(tmp_path):
    bill, log = tmp_path / "bill.csv", tmp_path / "requests.jsonl"
    bill.write_text(BILL.replace(f"{DAY}T10", "2026-03-01T00").replace(f"{DAY}T11", "2026-03-11T00"))
    call_command("ingest", "billing", str(bill), "--source", "aws", stdout=StringIO())
    pipeline.attribute_outdated()
    log.write_text(REQUEST.replace(DAY, "2026-03-10"))
    call_command("ingest", "requests", str(log), "--source", "gateway", stdout=StringIO())
    report = pipeline.attribute_outdated()
    assert [day.isoformat() for day in report.attributed] == [f"2026-03-{day:02d}" for day in range(1, 11)]
    assert pipeline.outdated_days(date(2026, 4, 1)) == []


def test_a_file_of_the_warehouse_that_is_missing_is_named(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    (requests,) = warehouse.files("requests")
    (warehouse.folder() / requests.path).unlink()
    code, bad = doctor()
    assert (code, bad[0]) == (
        1,
        f"requests gateway/{DAY}: {warehouse.folder() / requests.path} is missing: restore it from a backup",
    )
    with pytest.raises(warehouse.Damaged, match="is missing: restore it from a backup"):
        attribute([date.fromisoformat(DAY)], force=True)


def test_a_file_of_the_warehouse_with_other_bytes_is_found_where_files_are_read(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    assert doctor("--files") == (0, [])
    (allocations,) = warehouse.files("allocations")
    path = warehouse.folder() / allocations.path
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert doctor()[0] == 0
    code, bad = doctor("--files")
    assert (code, bad[0]) == (
        1,
        f"allocations {DAY}: {path} is not what was written: `attribute --force` of its day writes it again",
    )
    path.write_bytes(whole[:-100])
    assert doctor()[1][0] == bad[0]
    attribute([date.fromisoformat(DAY)], force=True)
    assert doctor("--files") == (0, [])


def test_files_of_a_day_that_are_gone_are_written_again(settings):
    land(settings.FINOPS_DATA_DIR)
    pipeline.pull()
    pipeline.attribute_outdated()
    days = [date.fromisoformat(DAY)]
    before = {file.dataset: file.sha256 for file in warehouse.in_force()}
    for dataset in ("allocations", "request_weights"):
        (file,) = warehouse.files(dataset)
        (warehouse.folder() / file.path).unlink()
        report = attribute(days)
        gone = {"allocations": report.attributed, "request_weights": report.rolled_up}
        assert gone == {"allocations": [], "request_weights": [], dataset: days}
        assert {file.dataset: file.sha256 for file in warehouse.in_force()} == before
    assert attribute(days).unchanged == days


def test_a_request_of_a_day_to_come_does_not_make_old_logs_fresh(tmp_path):
    log = tmp_path / "requests.jsonl"
    log.write_text(REQUEST + REQUEST.replace(DAY, "2199-01-01").replace("r-1", "r-2"))
    call_command("ingest", "requests", str(log), "--source", "gateway", stdout=StringIO())
    _, bad = doctor()
    assert [line for line in bad if "until 2199-01-01, which is to come" in line]
