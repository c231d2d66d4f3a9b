"""What a span of days is computed from: the files of one snapshot and the policy in force."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa
from django.conf import settings
from duckdb import DuckDBPyConnection
from pyarrow import parquet

from attribution import owners
from attribution.policy import Policy, parse
from finops.core import warehouse
from finops.core.models import ManifestFile
from finops.core.warehouse import NewFile


@dataclass(frozen=True)
class World:
    """The files of one snapshot that a span of days is computed from, and the policy in force."""

    snapshot: int
    policy: Policy
    policy_version: int
    currency: str
    files: Mapping[str, list[ManifestFile | NewFile]]
    _named: dict[str, pa.Table] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, snapshot: int) -> "World":
        """Raises OwnersOverlap where two owners of one name hold at once."""
        version, text = policy_text(snapshot)
        found: dict[str, list[ManifestFile | NewFile]] = {}
        for file in warehouse.in_force(snapshot):
            found.setdefault(file.dataset, []).append(file)
        owners.require_no_overlap(found.get("owners", []))
        return cls(snapshot, parse(text), version, settings.FINOPS_CURRENCY, found)

    def of(
        self, dataset: str, first: date | None = None, end: date | None = None
    ) -> list[ManifestFile | NewFile]:
        """A dataset's files, of those that name days the ones with rows in [first, end)."""
        return [
            file
            for file in self.files.get(dataset, [])
            if first is None
            or end is None
            or file.first_day is None
            or file.last_day is None
            or (file.first_day < end and file.last_day >= first)
        ]

    def view(
        self, con: DuckDBPyConnection, dataset: str, first: date | None = None, end: date | None = None
    ) -> None:
        warehouse.view(con, dataset, self.of(dataset, first, end))

    def name_resources(self, con: DuckDBPyConnection, first: date, end: date) -> None:
        """The table named_resources of [first, end). Days look far back: each small file is read once for all."""
        read = []
        for file in self.of("named_resources", first, end):
            if file.path not in self._named:
                self._named[file.path] = parquet.read_table(
                    warehouse.folder() / file.path, columns=["day", "kind", "uuid", "names"]
                )
            read.append(self._named[file.path])
        if not read:
            con.execute(
                "create table named_resources (day date, kind varchar, uuid varchar, names varchar[])"
            )
            return
        con.register("named_arrow", pa.concat_tables(read, promote_options="default"))
        con.execute("create table named_resources as select distinct day, kind, uuid, names from named_arrow")
        con.unregister("named_arrow")

    def with_files(self, datasets: Iterable[str], files: Iterable[NewFile]) -> "World":
        """The same world with these files, not in force, as all that the datasets hold."""
        found = {**self.files, **{dataset: [] for dataset in datasets}}
        for file in files:
            found[file.dataset].append(file)
        return replace(self, files=found)

    def hashes(self, dataset: str, first: date | None = None, end: date | None = None) -> list[str]:
        return sorted(file.sha256 for file in self.of(dataset, first, end))


def policy_text(snapshot: int | None = None) -> tuple[int, str]:
    """The version and text of the policy in force; version 0 and an empty text where none was applied."""
    with closing(warehouse.connect(threads=1)) as con:
        warehouse.open_view(con, "policy", snapshot)
        row = con.execute("select version, text from policy").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")
