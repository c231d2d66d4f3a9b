"""The benchmark, small: it runs, and what is written by hand gives the product's figures."""

import os

from tests.processes import finish, python


def test_a_small_benchmark_measures_everything_and_all_answers_are_the_same(tmp_path):
    folder = tmp_path / "bench"
    said = finish(
        python({**os.environ}, "-m", "bench", "--requests", "150000", "--days", "1", "--folder", str(folder))
    )
    assert said.count("cells, none differs by more than") == 3
    report = (folder / "report.md").read_text()
    for job in (
        "ingest requests, Parquet",
        "attribute, gpu_ms",
        "attribute, batch-aware",
        "the same by hand, pandas",
    ):
        assert f"| {job} |" in report
    assert (folder / "report.png").stat().st_size > 1000
