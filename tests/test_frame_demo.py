"""The demo's folder and process. That the whole of it runs is what .ci/run sees."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from finops.management.commands import demo
from tests.test_frame_settings import variables_that_settings_reads

ROOT = Path(__file__).parent.parent


def test_a_folder_that_the_demo_did_not_make_is_refused_and_left_alone(tmp_path):
    kept = tmp_path / "mine" / "ledger.csv"
    kept.parent.mkdir()
    kept.write_text("all I have\n")
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--folder", str(kept.parent)],
        cwd=ROOT,
        env={**os.environ, "FINOPS_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"{kept.parent} holds files that the demo did not make; choose another with --folder"
    )
    assert [path.name for path in kept.parent.iterdir()] == ["ledger.csv"]


def test_its_own_folder_is_emptied_and_used_again(tmp_path):
    folder = tmp_path / "demo"
    demo.claim(folder)
    (folder / "warehouse").mkdir()
    (folder / "finops.sqlite3").write_text("old")
    demo.claim(folder)
    demo.empty(folder)
    assert [path.name for path in folder.iterdir()] == [demo.MARKER]


def test_what_the_settings_put_into_a_new_data_folder_is_no_reason_to_refuse_it(tmp_path):
    folder = tmp_path / "demo"
    (folder / "static").mkdir(parents=True)
    (folder / "secret_key").write_text("k")
    demo.claim(folder)
    assert (folder / demo.MARKER).exists()


def test_in_a_demo_s_data_folder_another_is_built_in_its_place(tmp_path, settings):
    settings.FINOPS_DATA_DIR = tmp_path
    assert demo.default_folder() == tmp_path / "demo"
    demo.claim(tmp_path)
    assert demo.default_folder() == tmp_path


def test_a_link_in_its_folder_is_removed_and_what_it_points_to_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("kept")
    folder = tmp_path / "demo"
    demo.claim(folder)
    (folder / "link").symlink_to(elsewhere)
    demo.empty(folder)
    assert (elsewhere / "file").read_text() == "kept"


def test_no_setting_of_the_real_installation_reaches_it():
    """But for how many cores there are."""
    given = {"FINOPS_DATA_DIR", "FINOPS_SITE_URL", "FINOPS_CORES"}
    assert set(demo.ITS_OWN) == variables_that_settings_reads() - given


def test_it_serves_on_the_next_free_port():
    first = demo.free_port(18000)
    with socket.socket() as taken:
        taken.bind((demo.HOST, first))
        taken.listen()
        assert demo.free_port(first) > first


@pytest.mark.parametrize(
    ("given", "named"), [("tomorrow", "'tomorrow' is not a date"), ("2026-13-01", "YYYY-MM-DD")]
)
def test_a_wrong_end_is_wrong_usage(tmp_path, given, named):
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--end", given],
        cwd=ROOT,
        env={**os.environ, "FINOPS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert named in done.stderr
