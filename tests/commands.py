"""The product through its commands, in the calling process: a folder of files in, its exports out."""

import csv
import io
import json
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from finops.core.datasets import KEYS

INPUTS = {
    "hosts": "hosts.csv",
    "owners": "owners.csv",
    "rates": "rates.csv",
    "billing": "billing.csv",
    "gpu": "gpu.json",
    "requests": "requests.jsonl",
}

Key = tuple[str, ...]


@dataclass(frozen=True)
class Exports:
    """The rows of `export allocations` at the hour and of `export charges`, as they are written."""

    allocations: list[dict[str, str]]
    charges: list[dict[str, str]]

    def costs(self) -> dict[tuple[str, Key, str, str], Decimal]:
        """By hour, key, cost type and reason."""
        sums: dict[tuple[str, Key, str, str], Decimal] = defaultdict(Decimal)
        for row in self.allocations:
            sums[row["period"], key_of(row), row["cost_type"], row["reason"]] += Decimal(row["cost"])
        return sums


def key_of(row: Mapping[str, str]) -> Key:
    return tuple(row[key] for key in KEYS if key in row)


def is_empty(path: Path) -> bool:
    """No file, or one that says there is nothing: the product puts no empty table in force."""
    if not path.exists():
        return True
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return not json.loads(text)["data"]["result"]
    return text.strip().count("\n") < (1 if path.suffix == ".csv" else 0) or not text.strip()


def run(*words: str, **options: Any) -> str:
    """A command's standard output; raises CommandError where it fails."""
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def load(folder: Path) -> None:
    """Put every file of a world in force, and its policy."""
    for kind, name in INPUTS.items():
        if not is_empty(folder / name):
            run("ingest", kind, str(folder / name))
    if (folder / "policy.toml").exists():
        run("policy", "apply", str(folder / "policy.toml"))


def attribute(start: date, end: date, *, workers: int = 1, force: bool = False) -> str:
    return run(
        "attribute", "--start", str(start), "--end", str(end), "--workers", str(workers), *["--force"] * force
    )


def export(start: date, end: date, by: tuple[str, ...] = KEYS) -> Exports:
    with tempfile.TemporaryDirectory() as folder:
        span = ["--start", str(start), "--end", str(end)]
        allocations, charges = Path(folder, "allocations.csv"), Path(folder, "charges.csv")
        run("export", "allocations", *span, "--grain", "hour", "--by", ",".join(by), "-o", str(allocations))
        always = ["--start", "2000-01-01", "--end", "2100-01-01"]
        run("export", "charges", *always, "-o", str(charges))
        return Exports(rows_of(allocations), rows_of(charges))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextmanager
def fresh_warehouse() -> Iterator[Path]:
    """A data folder of its own, and a database that forgets at the end what was written in it."""
    before = settings.FINOPS_DATA_DIR
    with tempfile.TemporaryDirectory() as folder, transaction.atomic():
        settings.FINOPS_DATA_DIR = Path(folder) / uuid.uuid4().hex
        try:
            yield settings.FINOPS_DATA_DIR
        finally:
            settings.FINOPS_DATA_DIR = before
            transaction.set_rollback(True)
