"""The same days on DuckDB, on a Ray cluster of two nodes and on a Spark cluster of two workers: the same bytes."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import boto3
import duckdb
import pytest

from bench import clusters
from finops.core.datasets import KEYS
from tests.engines import mixed_day
from tests.processes import ROOT

needs_engines = pytest.mark.skipif(
    not clusters.PYTHON.exists(),
    reason="`make engines` installs requirements-daft.txt and requirements-spark.txt",
)
needs_java = pytest.mark.skipif(not shutil.which("java"), reason="Spark needs a Java on the PATH")


def manage(
    python: Path | str, data: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "manage.py", *words],
        cwd=ROOT,
        env={**clusters.inherited(), "FINOPS_DATA_DIR": str(data), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@dataclass(frozen=True)
class Attributed:
    files: dict[tuple[str, str], str]  # the SHA-256 of what every dataset and partition holds
    exports: dict[str, bytes]
    measures: set[str]  # by which usage was shared
    said: str


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> Path:
    """A data folder into which the days are ingested, not attributed."""
    folder = tmp_path_factory.mktemp("days")
    files, data = folder / "files", folder / "data"
    mixed_day.write(files)
    for words in (
        ["ingest", "hosts", "hosts.csv"],
        ["ingest", "owners", "owners.csv"],
        ["policy", "apply", "policy.toml"],
        ["ingest", "billing", "billing.csv"],
        ["ingest", "gpu", "gpu.json"],
        ["ingest", "requests", "requests-1.jsonl"],
        ["ingest", "requests", "requests-2.jsonl"],
    ):
        done = manage(sys.executable, data, *words[:-1], str(files / words[-1]))
        assert done.returncode == 0, done.stderr
    return data


@pytest.fixture(scope="module")
def attributed(loaded, tmp_path_factory) -> Callable[..., Attributed]:
    """Attribute the days in a copy of the folder."""

    def attribute(python: Path | str, **environment: str) -> Attributed:
        data = tmp_path_factory.mktemp("engine") / "data"
        shutil.copytree(loaded, data)
        span = ["--start", mixed_day.START, "--end", mixed_day.END]
        done = manage(python, data, "attribute", *span, "--workers", "2", **environment)
        assert done.returncode == 0, done.stderr
        exports = {}
        for name, by in (("allocations", ["--grain", "hour", "--by", ",".join(KEYS)]), ("charges", [])):
            exported = manage(sys.executable, data, "export", name, *span, *by, "-o", str(data / name))
            assert exported.returncode == 0, exported.stderr
            exports[name] = (data / name).read_bytes()
        with sqlite3.connect(data / "finops.sqlite3") as database:
            rows = database.execute("select dataset, partition, sha256 from core_manifestfile").fetchall()
        held = {(dataset, part): digest for dataset, part, digest in rows}
        found = duckdb.sql(
            f"select distinct measure from '{data}/warehouse/allocations/*.parquet'"
        ).fetchall()
        return Attributed(held, exports, {measure for (measure,) in found}, done.stderr)

    return attribute


@pytest.fixture(scope="module")
def on_duckdb(attributed) -> Attributed:
    return attributed(sys.executable)


@pytest.mark.parametrize(
    ("engine", "cluster", "machines"),
    [
        pytest.param("daft", clusters.ray_nodes, {"127.0.0.2", "127.0.0.3"}, marks=needs_engines),
        pytest.param("spark", clusters.spark_workers, {"1", "2"}, marks=[needs_engines, needs_java]),
    ],
)
def test_a_cluster_gives_the_same_bytes_and_each_of_its_machines_has_worked(
    on_duckdb: Attributed,
    attributed: Callable[..., Attributed],
    engine: str,
    cluster: Callable[[], AbstractContextManager[clusters.Cluster]],
    machines: set[str],
) -> None:
    with cluster() as running:
        there = attributed(
            clusters.PYTHON,
            FINOPS_ENGINE=engine,
            FINOPS_ENGINE_ADDRESS=running.address,
            **running.environment,
        )
        assert running.at_work() == machines
    assert there.files == on_duckdb.files
    assert there.exports == on_duckdb.exports
    assert f"2026-09-02 is rolled up by DuckDB, not by {engine}: " in there.said
    assert "2026-09-01 is rolled up by DuckDB" not in there.said


@needs_engines
def test_without_an_address_daft_runs_in_the_process(on_duckdb, attributed):
    here = attributed(clusters.PYTHON, FINOPS_ENGINE="daft")
    assert (here.files, here.exports) == (on_duckdb.files, on_duckdb.exports)


def test_the_days_are_weighed_by_everything_that_requests_can_be(on_duckdb):
    assert on_duckdb.measures >= {"gpu_ms", "batch_tokens", "list_price"}


@needs_engines
@pytest.mark.parametrize(
    ("engine", "address"),
    [("daft", "127.0.0.1:1"), ("daft", "ray://127.0.0.1:1"), ("spark", "spark://127.0.0.1:1")],
)
def test_an_address_where_nobody_listens_is_said_in_one_line(loaded, engine, address):
    span = ["--start", mixed_day.START, "--end", mixed_day.END, "--workers", "1"]
    done = manage(
        clusters.PYTHON, loaded, "attribute", *span, FINOPS_ENGINE=engine, FINOPS_ENGINE_ADDRESS=address
    )
    assert done.returncode == 1
    assert f"FINOPS_ENGINE_ADDRESS={address} cannot be used: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("engine", ["daft", "spark"])
def test_an_engine_that_is_not_installed_stops_the_start_and_names_what_to_install(tmp_path, engine):
    bare = subprocess.run(
        [sys.executable, "-c", f"import {engine if engine == 'daft' else 'pyspark'}"],
        capture_output=True,
        check=False,
    )
    if bare.returncode == 0:
        pytest.skip(f"{engine} is installed")
    done = manage(sys.executable, tmp_path, "attribute", FINOPS_ENGINE=engine)
    assert done.returncode != 0
    assert done.stderr.startswith(f"FINOPS_ENGINE={engine}: ")
    assert done.stderr.endswith("run `make engines`, and from .venv-engines\n")


@needs_engines
def test_the_files_may_be_read_out_of_a_bucket(on_duckdb, attributed, loaded):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        store = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **_KEYS_OF_THE_STORE)
        store.create_bucket(Bucket="finops")
        for path in (loaded / "warehouse" / "requests").glob("*.parquet"):
            store.upload_file(str(path), "finops", f"shared/requests/{path.name}")
        here = attributed(
            clusters.PYTHON,
            FINOPS_ENGINE="daft",
            FINOPS_ENGINE_FILES="s3://finops/shared",
            AWS_ENDPOINT_URL=endpoint,
            AWS_REGION="us-east-1",
            **{name.upper(): value for name, value in _KEYS_OF_THE_STORE.items()},
        )
    finally:
        server.stop()
    assert (here.files, here.exports) == (on_duckdb.files, on_duckdb.exports)


_KEYS_OF_THE_STORE = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
