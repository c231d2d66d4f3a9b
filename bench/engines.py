"""What rolling up a day costs on DuckDB, on Daft with two Ray nodes and on Spark with two workers, all on this machine.

`make engines`, then `.venv-engines/bin/python -m bench.engines`. CPU is that of the cluster and of this program
together. The first day, on which engines start, is shown beside the others; all engines must give the same files.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bench import clusters, sample
from bench.measure import ROOT, python

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Day:
    digest: str  # of the files that were written
    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--requests", type=int, default=9_900_000, help="in all (default 9,900,000)")
    parser.add_argument("--days", type=int, default=3, help="over how many days, 2 to 30 (default 3)")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-engines", help="emptied before")
    asked = parser.parse_args()
    shutil.rmtree(asked.folder, ignore_errors=True)
    a_day = asked.requests / asked.days
    for measured in (["gpu_ms"], []):
        name = measured[0] if measured else "batch-aware"
        files = asked.folder / name
        python("-m", "bench.sample", files, asked.requests, asked.days, *measured)
        ingest(sample.find(files), files / "data")
        digests = set()
        for engine in ("duckdb", "daft", "spark"):
            with cluster_of(engine) as cluster:
                first, *others = rolled_up(files / "data", engine, cluster)
            wall, cpu = (
                sum(found) / len(others) / a_day * 1e9
                for found in ([day.wall for day in others], [day.cpu for day in others])
            )
            print(
                f"{name:<12} {engine:<7} first day {first.wall:6.1f} s of wall, {first.cpu:6.1f} of CPU; "
                f"a billion requests {wall:7,.0f} s of wall, {cpu:7,.0f} of CPU",
                flush=True,
            )
            digests.add(tuple(day.digest for day in (first, *others)))
        if len(digests) != 1:
            sys.exit(f"{name}: the engines do not agree")
        shutil.rmtree(files)


def cluster_of(engine: str) -> AbstractContextManager[clusters.Cluster]:
    if engine == "daft":
        return clusters.ray_nodes(memory=2_000_000_000)
    if engine == "spark":
        return clusters.spark_workers(java="-XX:+UseG1GC")
    return nullcontext(clusters.Cluster("", {}, set, []))


def ingest(files: sample.Files, data: Path) -> None:
    own = {"FINOPS_DATA_DIR": str(data), "DATABASE_URL": ""}
    for kind, paths in (
        ("hosts", [files.hosts]),
        ("owners", [files.owners]),
        ("gpu", files.samples),
        ("requests", files.requests),
    ):
        python("manage.py", "ingest", kind, *paths, environment=own)


def rolled_up(data: Path, engine: str, cluster: clusters.Cluster) -> Iterator[Day]:
    """Each day of the folder in turn, in one process."""
    own = {
        "FINOPS_DATA_DIR": str(data),
        "DATABASE_URL": "",
        "FINOPS_ENGINE": engine,
        "FINOPS_ENGINE_ADDRESS": cluster.address,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "bench.engines", "days"],
        cwd=ROOT,
        env={**clusters.inherited(), **cluster.environment, **own},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        sessions = [process.pid, *cluster.leaders]
        assert process.stdout is not None
        process.stdout.readline()
        wall, cpu = time.monotonic(), cpu_of(sessions)
        for line in process.stdout:
            now, spent = time.monotonic(), cpu_of(sessions)
            yield Day(line.strip(), now - wall, spent - cpu)
            wall, cpu = now, spent
    if process.returncode:
        sys.exit(f"{engine} failed")


def cpu_of(sessions: Sequence[int]) -> float:
    """User and system seconds of all that began with these processes, those included that have ended."""
    ticks = 0
    for leader in sessions:
        for process in clusters.of_session(leader):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def roll_up_days() -> None:
    """Says so when it begins, and a line for each day that it has rolled up; puts nothing in force."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
    django.setup()
    from attribution import day
    from attribution.world import World
    from finops.core import warehouse

    world = World.at(warehouse.latest())
    days: Mapping[date | None, object] = {file.first_day: file for file in world.files["requests"]}
    print("ready", flush=True)
    for one in sorted(found for found in days if found):
        computed = day.compute_rollup(world.on(one), one, {})
        print(day.digest([file.sha256 for file in computed.files]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["days"]:
        roll_up_days()
    else:
        main()
