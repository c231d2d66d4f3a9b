"""What a span of days is computed from: the files of one snapshot and the policy in force."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from django.conf import settings
from duckdb import DuckDBPyConnection
from pyarrow import parquet

from attribution import owners
from attribution.policy import Policy, parse
from finops.core import warehouse
from finops.core.models import ManifestFile
from finops.core.periods import midnight
from finops.core.warehouse import NewFile

_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class PolicyInForce:
    """A version of the policy, in force from a UTC day until a later one is."""

    version: int  # 0: none was applied, the defaults hold
    text: str
    holds_from: date | None = None  # None: since ever

    def holds_on(self, day: date) -> bool:
        return self.holds_from is None or self.holds_from <= day

    def holds_before(self, day: date | None) -> bool:
        return day is not None and (self.holds_from is None or self.holds_from < day)


@dataclass(frozen=True)
class World:
    """The files of one snapshot that a span of days is computed from, and the policy in force.

    `policy` is the newest of the timetable `policies`; a day is computed in the world `on` it.
    """

    snapshot: int
    policy: Policy
    policy_version: int
    currency: str
    files: Mapping[str, list[ManifestFile | NewFile]]
    policies: tuple["PolicyInForce", ...] = ()
    _named: dict[str, pa.Table] = field(default_factory=dict, repr=False)
    _spans: dict[str, list[tuple[list[str], datetime, datetime]]] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, snapshot: int) -> "World":
        """Raises OwnersOverlap where two owners of one name hold at once."""
        policies = policies_in_force(snapshot)
        version, text = policies[-1].version, policies[-1].text
        found: dict[str, list[ManifestFile | NewFile]] = {}
        for file in warehouse.in_force(snapshot):
            found.setdefault(file.dataset, []).append(file)
        owners.require_no_overlap(found.get("owners", []))
        return cls(snapshot, parse(text), version, settings.FINOPS_CURRENCY, found, policies)

    def on(self, day: date) -> "World":
        """The same world under the policy that holds on this day."""
        held = [one for one in self.policies if one.holds_on(day)][-1]
        if held == self.policies[-1]:
            return self
        return replace(self, policy=parse(held.text), policy_version=held.version)

    def under(self, policy: Policy, holds_from: date | None = None) -> "World":
        """The same world as it would be with another policy from that day on; None: on all days."""
        kept = tuple(one for one in self.policies if one.holds_before(holds_from))
        return replace(self, policy=policy, policies=(*kept, PolicyInForce(0, "", holds_from)))

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

    def is_there(self, datasets: Iterable[str], day: date) -> bool:
        """Whether no file is missing of what the datasets have of the day."""
        return all(warehouse.is_there(self.of(name, day, day + timedelta(days=1))) for name in datasets)

    def view(
        self, con: DuckDBPyConnection, dataset: str, first: date | None = None, end: date | None = None
    ) -> None:
        warehouse.view(con, dataset, self.of(dataset, first, end))

    def named_by_requests(self, first: date, end: date) -> list[str]:
        """The resources that requests of [first, end) name."""
        found: set[str] = set()
        for file in self.of("named_resources", first, end):
            table = self._names_in(file)
            names = table["names"].filter(pc.equal(table["kind"], "request"))
            found.update(pc.unique(pc.list_element(names, 0)).to_pylist())
        return sorted(found)

    def name_resources(self, con: DuckDBPyConnection, first: date, end: date) -> None:
        """The table named_resources of [first, end). Days look far back: each small file is read once for all."""
        read = [self._names_in(file) for file in self.of("named_resources", first, end)]
        if not read:
            con.execute(
                "create table named_resources (day date, kind varchar, uuid varchar, names varchar[])"
            )
            return
        con.register("named_arrow", pa.concat_tables(read, promote_options="default"))
        con.execute("create table named_resources as select distinct day, kind, uuid, names from named_arrow")
        con.unregister("named_arrow")

    def _names_in(self, file: ManifestFile | NewFile) -> pa.Table:
        if file.path not in self._named:
            self._named[file.path] = _rows(file, ["day", "kind", "uuid", "names"])
        return self._named[file.path]

    def with_files(self, datasets: Iterable[str], files: Iterable[ManifestFile | NewFile]) -> "World":
        """The same world with these files, in force or not, as all that the datasets hold."""
        found = {**self.files, **{dataset: [] for dataset in datasets}}
        for file in files:
            found[file.dataset].append(file)
        return replace(self, files=found)

    def held(self, dataset: str, columns: Sequence[str], first: date, end: date) -> list[str]:
        """What a table with valid_from and valid_to says by these columns of [first, end), each span as far as it is in."""
        if dataset not in self._spans:
            self._spans[dataset] = [
                (
                    [row[name] for name in columns],
                    _utc(row["valid_from"], _EVER),
                    _utc(row["valid_to"], _NEVER),
                )
                for file in self.of(dataset)
                for row in _rows(file, [*columns, "valid_from", "valid_to"]).to_pylist()
            ]
        start, stop = midnight(first), midnight(end)
        return sorted(
            repr((names, max(since, start), min(until, stop)))
            for names, since, until in self._spans[dataset]
            if since < stop and until > start
        )

    def hashes(self, dataset: str, first: date | None = None, end: date | None = None) -> list[str]:
        return sorted(file.sha256 for file in self.of(dataset, first, end))


def _rows(file: ManifestFile | NewFile, columns: list[str] | None = None) -> pa.Table:
    """A small file. `read_table` would import all of pandas first, a second for every command."""
    with parquet.ParquetFile(warehouse.folder() / file.path) as opened:
        return opened.read(columns)


def _utc(moment: datetime | None, otherwise: datetime) -> datetime:
    """Written in one way: a file's UTC is another object than ours, of the same time."""
    return otherwise if moment is None else moment.astimezone(UTC)


def policies_in_force(snapshot: int | None = None) -> tuple[PolicyInForce, ...]:
    """The timetable of the policy, the newest version last; the defaults as version 0 of days before the first."""
    found = [
        PolicyInForce(row["version"], row["text"], row.get("holds_from"))
        for file in warehouse.files("policy", snapshot)
        for row in _rows(file).to_pylist()
    ]
    found.sort(key=lambda one: one.holds_from or date.min)
    return tuple(found) if found and found[0].holds_from is None else (PolicyInForce(0, ""), *found)


def policy_text(snapshot: int | None = None) -> tuple[int, str]:
    """The version and text of the newest policy; version 0 and an empty text where none was applied."""
    newest = policies_in_force(snapshot)[-1]
    return newest.version, newest.text
