"""Garbage: what nobody can ask for goes, and nothing else."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from attribution import explain
from finops import garbage
from finops.core import spans, warehouse
from finops.core.access import EVERYTHING
from finops.core.models import ManifestFile, Snapshot
from reports import bridge, closing, statements
from reports.ledger import ledger_csv
from reports.line_detail import line_detail
from tests.processes import finish, manage, python
from tests.tables import fill
from tests.test_month_is_closed import SEPTEMBER, attribute, load_all, restate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]


def owners(team: str) -> int:
    return fill("owners", f"kind | name | team\nmodel | chat | {team}")


def long_ago() -> None:
    """As if everything so far had been committed two months ago."""
    Snapshot.objects.update(created=datetime.now(UTC) - timedelta(days=60))


def on_disk() -> set[str]:
    root = warehouse.folder()
    return {str(path.relative_to(root)) for path in root.glob("*/*") if path.is_file()}


def test_what_was_replaced_long_ago_goes_and_what_is_in_force_stays():
    owners("search")
    owners("nlp")
    owners("ads")
    long_ago()
    (in_force,) = warehouse.files("owners")
    assert len(garbage.collect()) == 2
    assert on_disk() == {in_force.path}
    assert garbage.collect().paths == []


def test_what_was_replaced_within_the_days_of_grace_can_still_be_read():
    first = owners("search")
    long_ago()
    owners("nlp")  # until now the first was in force
    assert len(garbage.collect()) == 0
    with warehouse.reading() as con:
        warehouse.open_view(con, "owners", first, temp=True)
        assert con.execute("select team from owners").fetchall() == [("search",)]


def test_who_asks_for_a_state_that_is_gone_is_told():
    first = owners("search")
    owners("nlp")
    long_ago()
    garbage.collect()
    with warehouse.reading() as con, pytest.raises(warehouse.Collected, match="no longer kept"):
        warehouse.open_view(con, "owners", first, temp=True)


def test_a_dry_run_lists_and_deletes_nothing(capsys):
    owners("search")
    owners("nlp")
    long_ago()
    before = on_disk()
    call_command("collect_garbage", "--dry-run")
    told = capsys.readouterr().out
    assert on_disk() == before
    assert "in force until snapshot 2" in told
    assert "1 files" in told
    call_command("collect_garbage")
    assert len(on_disk()) == 1


def test_what_killed_processes_left_goes_by_age_and_what_a_writer_is_about_to_commit_stays(settings):
    owners("search")
    root = warehouse.folder()
    left = ["owners/a.parquet.part", "owners/b.parquet", "spill/duckdb_temp_storage-0.tmp"]
    (root / "spill").mkdir(exist_ok=True)
    old = time.time() - 3 * 86400
    for name in [*left, "owners/c.parquet", "owners/d.parquet.part", "owners/notes.txt"]:
        (root / name).write_bytes(b"x")
        if name in left or name.endswith(".txt"):
            os.utime(root / name, (old, old))
    spools = [settings.FINOPS_DATA_DIR / "spool" / name for name in ("old", "new")]
    for folder in spools:
        folder.mkdir(parents=True)
        (folder / "log.jsonl").write_text("{}")
    os.utime(spools[0], (old, old))
    assert {str(path.relative_to(root)) for path in garbage.collect().paths} == set(left)
    assert [folder.exists() for folder in spools] == [False, True]
    assert {"owners/c.parquet", "owners/d.parquet.part", "owners/notes.txt"} <= on_disk()


def test_files_that_were_marked_and_not_deleted_go_the_next_time():
    """The process was killed between the commit and the deletion."""
    owners("search")
    owners("nlp")
    ManifestFile.objects.exclude(until_snapshot=None).update(collected=True)
    later = datetime.now(UTC) + timedelta(days=3)
    assert len(garbage.collect(later).strays) == 1
    assert len(on_disk()) == 1


def everything_that_finance_may_ask() -> list[object]:
    """The closed month whole: statements, the ledger's bytes, bridge, lines opened, explanations, corrections."""
    closed = statements.month("2026-09", EVERYTHING)
    october = statements.month("2026-10", EVERYTHING)
    return [
        ledger_csv(closed),
        bridge.bridges("2026-09", EVERYTHING, closed.snapshot),
        [line_detail("2026-09", line.key, EVERYTHING) for line in closed.lines if not line.is_correction],
        october.lines,
        [
            line_detail("2026-10", line.key, EVERYTHING, corrects="2026-09")
            for line in october.lines
            if line.is_correction
        ],
        *(
            [(day.day, day.total, day.shares) for day in explain.explain(*days(), snapshot=snapshot)]
            for snapshot in (closed.snapshot, None)
        ),
    ]


def days() -> tuple[object, object]:
    return datetime(2026, 9, 1).date(), datetime(2026, 9, 3).date()  # noqa: DTZ001


def test_a_closed_month_and_its_explanations_stay_whole():
    load_all()
    attribute(*SEPTEMBER, "--force")
    closing.close("2026-09", "fiona")
    restate()
    attribute(*SEPTEMBER, "--force")
    spans.compact()
    before = everything_that_finance_may_ask()
    long_ago()
    gone = garbage.collect()
    assert {file.dataset for file in gone.ended} >= {"allocations", "allocation_days"}
    assert not any(Path(path).exists() for path in gone.paths)
    assert everything_that_finance_may_ask() == before


def test_months_compacted_before_go_without_a_trace():
    load_all()
    spans.compact()
    layers = {file.path for file in ManifestFile.objects.filter(dataset="allocation_months")}
    attribute(*SEPTEMBER, "--force")
    spans.compact()
    long_ago()
    garbage.collect()
    assert layers
    assert not ManifestFile.objects.filter(path__in=layers).exists()
    assert not layers & on_disk()


def test_a_reader_of_an_older_snapshot_is_not_disturbed(elsewhere):
    role = ("-m", "tests.warehouse_process")
    finish(python(elsewhere, *role, "write", "a", "4"))
    aged = (
        "from finops.core.models import *; from datetime import *; "
        "Snapshot.objects.update(created=datetime.now(UTC) - timedelta(days=60))"
    )
    finish(manage(elsewhere, "shell", "-v0", "-c", aged))
    holder = python(elsewhere, *role, "read", "4", "4")  # the state that the next commit ends
    finish(python(elsewhere, *role, "write", "b", "4"))
    told = finish(manage(elsewhere, "collect_garbage"))
    assert told.startswith("6 files")  # of the first three states; what was in force today stays
    assert int(finish(holder)) > 10
