"""`make bench`: what ingest, attribution and explanation cost, beside the least and beside versions written by hand.

Makes the data, measures everything in one run, checks that all give the same answer, and writes a table and a
plot. `make bench REQUESTS=100000000 DAYS=30` takes an hour or two on two cores. What is written by hand leaves out
that a machine may stand idle for an hour: with fewer than some 100,000 requests a day it gives another answer.
"""

import argparse
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bench import sample
from bench.measure import ROOT, Cost, python
from bench.report import Row, write

DAY_OF_LINES = 1_000_000  # requests at most of the log that is measured as JSON lines
GOALS_ARE_FOR = 10_000_000


@dataclass
class Bench:
    """One run: its folder, its size, and what it measured."""

    folder: Path
    requests: int
    days: int
    rows: list[Row] = field(default_factory=list)

    def manage(self, data: str, *arguments: object) -> Cost:
        own = {"FINOPS_DATA_DIR": str(self.folder / data), "DATABASE_URL": "", "FINOPS_ENGINE": "duckdb"}
        return python("manage.py", *arguments, environment=own)

    def note(self, name: str, cost: Cost, floor: float | None = None, goal: float | None = None) -> Cost:
        row = Row(name, cost, floor, goal)
        self.rows.append(row)
        print(row.line(), flush=True)
        return cost


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000_000, help="in all (default 10,000,000)")
    parser.add_argument("--days", type=int, default=3, help="over how many days, 30 at most (default 3)")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench", help="emptied before")
    parser.add_argument("--keep", action="store_true", help="keep the data when done")
    asked = parser.parse_args()
    if not 1 <= asked.days <= 30:
        parser.error("--days: expected 1 to 30")
    shutil.rmtree(asked.folder, ignore_errors=True)
    asked.folder.mkdir(parents=True)
    bench = Bench(asked.folder, asked.requests, asked.days)
    print(f"{asked.requests:,} requests over {asked.days} days, {os.cpu_count()} cores\n")
    for gpu_ms in (True, False):
        measured(bench, gpu_ms)
    lines(bench)
    if asked.requests < GOALS_ARE_FOR:
        print(
            f"\nThe goals are for {GOALS_ARE_FOR:,} requests and more: of fewer, the start of a command is most."
        )
    write(asked.folder, bench.rows, f"{asked.requests:,} requests, {asked.days} days, {os.cpu_count()} cores")
    if not asked.keep:
        for path in asked.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)


def made(folder: Path, requests: int, days: int, *flags: str) -> sample.Files:
    """In a process of its own, as all else: what this one holds in memory would be counted in its children."""
    python("-m", "bench.sample", folder, requests, days, *flags)
    return sample.find(folder)


def floor(name: str, folder: Path) -> float:
    return float(python("-m", "bench.floors", name, folder).said)


def measured(bench: Bench, gpu_ms: bool) -> None:
    """Ingest and attribute one log, beside the least and, where `gpu_ms` decides, beside what is written by hand."""
    name = "gpu_ms" if gpu_ms else "batch-aware"
    files = made(bench.folder / name, bench.requests, bench.days, *(["gpu_ms"] if gpu_ms else []))
    for kind, path in (("hosts", files.hosts), ("owners", files.owners), ("billing", files.bill)):
        bench.manage(f"data-{name}", "ingest", kind, path)
    bench.manage(f"data-{name}", "policy", "apply", files.policy)
    bench.manage(f"data-{name}", "ingest", "gpu", *files.samples)
    if gpu_ms:
        least = floor("copy", bench.folder / name)
        cost = bench.manage(f"data-{name}", "ingest", "requests", *files.requests)
        bench.note("ingest requests, Parquet", cost, least, 3)
    else:
        bench.manage(f"data-{name}", "ingest", "requests", *files.requests)
    least = floor("read with gpu_ms" if gpu_ms else "read", bench.folder / name)
    start, end = files.days[0], files.days[-1].toordinal() + 1
    span = ("--start", start, "--end", start.fromordinal(end))
    cost = bench.manage(f"data-{name}", "attribute", *span)
    bench.note(f"attribute, {name}", cost, least, 4 if gpu_ms else 12)
    if gpu_ms:
        by_hand(bench, files, least, span)
        one_day = ("--start", start, "--end", start.fromordinal(start.toordinal() + 1))
        cell = ("--where", "model=model-05", "--where", "tenant=tenant-031")
        bench.note("explain a tenant's day", bench.manage(f"data-{name}", "explain", *one_day, *cell))


def by_hand(bench: Bench, files: sample.Files, least: float, span: tuple[object, ...]) -> None:
    ours = bench.folder / "ours.parquet"
    by = ("--by", "model,feature,tenant,team", "--grain", "hour", "--format", "parquet", "-o", ours)
    bench.note(
        "export allocations by the hour", bench.manage("data-gpu_ms", "export", "allocations", *span, *by)
    )
    for tool in ("duckdb", "polars", "pandas"):
        out = bench.folder / f"by-hand-{tool}"
        out.mkdir()
        cost = python("-m", f"bench.handwritten.with_{tool}", files.requests[0].parent, out)
        bench.note(f"the same by hand, {tool}", cost, least)
        print(f"    {python('-m', 'bench.comparison', ours, out).said.strip()}")


def lines(bench: Bench) -> None:
    """JSON lines, of one day."""
    requests = min(bench.requests, DAY_OF_LINES)
    files = made(bench.folder / "lines", requests, 1, "gpu_ms", "lines")
    least = floor("lines", bench.folder / "lines")
    cost = bench.manage("data-lines", "ingest", "requests", *files.requests)
    bench.note(f"ingest requests, JSONL.gz, {requests:,} of one day", cost, least, 1.5)


if __name__ == "__main__":
    main()
