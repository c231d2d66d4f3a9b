"""What each kind of delivery does on the way to the warehouse, and what they all share.

A loader stages a delivery's files once (`stage`), and then says as often as it takes which files
of the warehouse that changes (`change`): again after every commit that came in between. In the end
it deletes what it wrote and nobody needs (`discard`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb

from finops.core import warehouse
from finops.core.warehouse import NewFile, Partition
from ingest.models import Delivery
from ingest.sources.files import InputFile
from ingest.sources.manifests import Manifest

SQL = Path(__file__).parent / "sql"


def sql(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()


class Report(Protocol):
    """Where progress is shown: so much is done, of a total, or a share of the whole where no total is known."""

    def __call__(
        self, what: str, done: int, total: int | None = None, unit: str = "rows", share: float | None = None
    ) -> None: ...


@dataclass
class Context:
    """One delivery on its way: its files, a DuckDB, a folder for what is between."""

    delivery: Delivery
    files: Sequence[InputFile]
    con: duckdb.DuckDBPyConnection
    spool: Path
    report: Report
    source: str
    manifests: Sequence[Manifest] = ()


@dataclass
class Staged:
    """What staging found. `problems` is SQL of (file, line, reason, loaded)."""

    rows: int
    bad_rows: int
    problems: str
    holds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    newest_day: date | None = None
    file_rows: dict[str, int] = field(default_factory=dict)  # of bills, unusable ones included
    totals: dict[str, tuple[str, str]] = field(default_factory=dict)  # currency: effective, billed


@dataclass
class Change:
    """What a commit is to do, and what it would mean."""

    replaces: list[NewFile] = field(default_factory=list)
    adds: list[NewFile] = field(default_factory=list)
    ends: list[Partition] = field(default_factory=list)
    unchanged: list[Partition] = field(default_factory=list)
    rows: int = 0
    duplicate_rows: int = 0
    holds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    beside: Callable[[int], None] = lambda snapshot: None

    @property
    def is_empty(self) -> bool:
        return not (self.replaces or self.adds or self.ends)


class Loader(Protocol):
    def stage(self, context: Context) -> Staged: ...

    def change(self, context: Context, basis: int) -> Change: ...

    def discard(self, kept: Sequence[NewFile]) -> None: ...


def remove(files: Sequence[NewFile]) -> None:
    for file in files:
        (warehouse.folder() / file.path).unlink(missing_ok=True)
