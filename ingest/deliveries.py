"""One delivery from first byte to manifest: known already? readable? in doubt? then committed.

Every way in (commands, the landing folder, a release of what was held) goes through `deliver`.
A crash at any point leaves what was in force before; the same call again completes it.
"""

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from django.db import transaction

from finops.core import warehouse
from finops.core.errors import FinopsError, in_words
from finops.core.warehouse import NewFile
from ingest import quarantine, spool, totals
from ingest.bills import Bill
from ingest.catalogue import Catalogue
from ingest.formats import values
from ingest.loading import Change, Context, Loader, Report, Staged
from ingest.logs import RequestLog
from ingest.metrics import GpuMetrics
from ingest.models import Delivery, DeliveryFile, Problem
from ingest.quarantine import Held
from ingest.sources import files as sources
from ingest.sources import manifests
from ingest.sources.files import InputFile, Unreadable
from ingest.sources.manifests import Manifest

LOADERS: dict[str, type[Loader]] = {
    Delivery.Kind.BILLING: Bill,
    Delivery.Kind.GPU: GpuMetrics,
    Delivery.Kind.REQUESTS: RequestLog,
    Delivery.Kind.HOSTS: Catalogue,
    Delivery.Kind.OWNERS: Catalogue,
    Delivery.Kind.RATES: Catalogue,
}
CANNOT_READ = (
    duckdb.DataError,
    duckdb.OperationalError,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
)
DEFAULT_SOURCE = "default"
# For DuckDB, so that a process stays below 1 GiB. Beside logs and metrics stand the texts they are read from.
MEMORY = {Delivery.Kind.GPU: "450MB", Delivery.Kind.REQUESTS: "450MB"}
MEMORY_ELSE = "650MB"
ATTEMPTS = 200  # commits that may come in between, each of which is somebody else's success
KEPT_PROBLEMS = 10_000


@dataclass
class Outcome:
    """What became of a delivery."""

    delivery: Delivery
    already_there: bool = False
    notes: list[str] = field(default_factory=list)


def silent(
    what: str, done: int, total: int | None = None, unit: str = "rows", share: float | None = None
) -> None:
    """Progress that nobody watches."""


def deliver(
    kind: str,
    paths: Sequence[str | Path],
    *,
    source: str = "",
    format: str = "auto",
    expected_total: str = "",
    report: Report = silent,
) -> Outcome:
    """Load files, a folder or a manifest as one delivery.

    Raises Held where a person must look first, Unreadable where a file is not what it says and
    FinopsError where nothing in it could be used; what was in force before then still is.
    """
    totals.require_amount(expected_total)
    with spool.folder() as own:
        found = sources.listed(paths, own)
        bill_manifests: list[Manifest] = []
        if kind == Delivery.Kind.BILLING:
            bill_manifests, found = manifests.read(found)
        return _deliver(
            kind, sources.identified(found), bill_manifests, source, format, expected_total, own, report
        )


def _deliver(
    kind: str,
    files: list[InputFile],
    bill_manifests: Sequence[Manifest],
    source: str,
    format: str,
    expected_total: str,
    own: Path,
    report: Report,
) -> Outcome:
    if kind != Delivery.Kind.BILLING:
        source = source or DEFAULT_SOURCE
    fingerprint = fingerprint_of(kind, source, files)
    known = loaded_already(fingerprint)
    if known:
        totals.require_expected(known, expected_total)
        return Outcome(known, already_there=True)
    delivery = _begin(kind, files, source, format, expected_total, fingerprint)
    context = Context(delivery, files, _connect(delivery), own, report, source, bill_manifests)
    try:
        return _load(context)
    except Held:
        raise
    except FinopsError as error:
        _finish(delivery, Delivery.State.FAILED, str(error))
        raise
    except Exception as error:
        _finish(
            delivery, Delivery.State.FAILED, f"a defect of the program: {type(error).__name__}: {error}"[:400]
        )
        raise
    finally:
        context.con.close()


def _load(context: Context, released: bool = False) -> Outcome:
    """Read, check and commit; a released delivery has been checked by a person."""
    delivery = context.delivery
    values.define(context.con)
    for file in context.files:
        sources.require_data(file)
    loader = LOADERS[delivery.kind]()
    kept: list[NewFile] = []
    try:
        staged = _staged(context, loader, released)
        outcome, kept = _committed(context, loader, staged, released)
        return outcome
    finally:
        loader.discard(kept)


def _staged(context: Context, loader: Loader, released: bool) -> Staged:
    delivery = context.delivery
    try:
        staged = loader.stage(context)
    except duckdb.OutOfMemoryException as error:
        raise FinopsError(f"{_names(context.files)}: there is not enough memory: {error}") from error
    except CANNOT_READ as error:
        if said := in_words(error):
            raise FinopsError(said) from error
        reason = " ".join(str(error).split())[:400]
        raise Unreadable(f"{_names(context.files)}: cannot be read: {reason}") from error
    delivery.bad_rows = staged.bad_rows
    delivery.newest_day = staged.newest_day
    delivery.total = "; ".join(
        f"{effective} {currency}" for currency, (effective, _) in staged.totals.items()
    )
    _keep_problems(context, staged)
    if staged.bad_rows and not staged.rows and not released:
        raise FinopsError(
            f"no row can be used; the first problem: {delivery.problems.first()}; "
            f"all of them: deliveries show {delivery.pk}"
        )
    return staged


def _committed(
    context: Context, loader: Loader, staged: Staged, released: bool
) -> tuple[Outcome, list[NewFile]]:
    """Commit, again after each commit that comes in between; with the files now in force."""
    delivery = context.delivery
    holds = [*staged.holds, *totals.unexpected(staged, delivery.expected_total)]
    for manifest in context.manifests:
        holds += manifest.disagreements(context.files, staged.file_rows)
    for attempt in range(ATTEMPTS):
        basis = warehouse.latest()
        known = loaded_already(delivery.fingerprint)
        if known and known != delivery:
            _finish(delivery, Delivery.State.SUPERSEDED, "the same was loaded meanwhile", by=known)
            return Outcome(known, already_there=True), []
        change = loader.change(context, basis)
        if (holds or change.holds) and not released:
            _hold(context, [*holds, *change.holds])
        try:
            _commit(delivery, change, basis, released)
        except warehouse.Overtaken:
            time.sleep(random.uniform(0, min(0.02 * (attempt + 1), 0.5)))  # let the other writer finish
            continue
        return Outcome(delivery, notes=[*change.notes, *staged.notes]), [*change.replaces, *change.adds]
    raise FinopsError(f"delivery {delivery.pk}: other deliveries kept changing the same data; try again")


def _commit(delivery: Delivery, change: Change, basis: int, released: bool) -> None:
    """Put the files in force and the delivery with them, in one transaction."""
    delivery.rows, delivery.duplicate_rows = change.rows, change.duplicate_rows

    def beside(snapshot: int | None) -> None:
        if released:
            quarantine.undecided(delivery.pk)  # still: somebody else may have decided meanwhile
        if snapshot is not None:
            change.beside(snapshot)
        delivery.snapshot = snapshot
        _finish(delivery, Delivery.State.LOADED, "")
        _supersede_unfinished(delivery)
        Delivery.objects.filter(
            state=Delivery.State.FAILED,
            kind=delivery.kind,
            source=delivery.source,
            files__path__in=delivery.files.values("path"),
        ).update(replaced_by=delivery)

    if change.is_empty:
        with warehouse.the_commit_lock():
            beside(None)
        return
    warehouse.commit(
        change.replaces,
        change.adds,
        change.ends,
        computed_from=basis,
        note=f"{delivery.kind} delivery {delivery.pk}",
        beside=beside,
        unchanged=change.unchanged,
    )


def _connect(delivery: Delivery) -> duckdb.DuckDBPyConnection:
    return warehouse.connect(MEMORY.get(Delivery.Kind(delivery.kind), MEMORY_ELSE))


def fingerprint_of(kind: str, source: str, files: Sequence[InputFile]) -> str:
    """What makes two deliveries the same: kind, source and the files' bytes, in whatever order."""
    parts = [kind, source, *sorted(file.sha256 for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def loaded_already(fingerprint: str) -> Delivery | None:
    """The delivery of the same bytes that is in force as a whole."""
    for delivery in Delivery.objects.filter(fingerprint=fingerprint, state=Delivery.State.LOADED):
        if not delivery.periods.exclude(until_snapshot=None).exists():
            return delivery
    return None


def _supersede_unfinished(delivery: Delivery) -> None:
    """End earlier deliveries that were killed or wait for a person, and have no file that this one has not."""
    brought = set(delivery.files.values_list("sha256", flat=True))
    earlier = Delivery.objects.filter(
        kind=delivery.kind,
        source=delivery.source,
        state__in=[Delivery.State.STARTED, Delivery.State.HELD],
        pk__lt=delivery.pk,
    )
    for one in earlier:
        if set(one.files.values_list("sha256", flat=True)) <= brought:
            _finish(one, Delivery.State.SUPERSEDED, f"delivery {delivery.pk} brought the same", by=delivery)


@transaction.atomic
def _begin(
    kind: str, files: Sequence[InputFile], source: str, format: str, expected_total: str, fingerprint: str
) -> Delivery:
    delivery = Delivery.objects.create(
        kind=kind, source=source, format=format, expected_total=expected_total, fingerprint=fingerprint
    )
    DeliveryFile.objects.bulk_create(
        DeliveryFile(
            delivery=delivery,
            name=file.name,
            path=str(file.path),
            sha256=file.sha256,
            size=file.size,
            modified_ns=file.modified_ns,
        )
        for file in files
    )
    return delivery


def _finish(delivery: Delivery, state: str, message: str, by: Delivery | None = None) -> None:
    delivery.state = state
    delivery.message = message
    delivery.finished = datetime.now(UTC)
    if by:
        delivery.replaced_by = by
    delivery.save()
    if state != Delivery.State.HELD:
        transaction.on_commit(quarantine.sweep)


def _keep_problems(context: Context, staged: Staged) -> None:
    """The first rows that could not be used, by file and line; all are counted."""
    found = context.con.execute(
        f"select file, line, reason, loaded from ({staged.problems}) order by file, line limit {KEPT_PROBLEMS}"
    ).fetchall()
    with transaction.atomic():
        context.delivery.problems.all().delete()
        Problem.objects.bulk_create(
            (
                Problem(delivery=context.delivery, file=file, line=line, reason=reason[:500], loaded=loaded)
                for file, line, reason, loaded in found
            ),
            batch_size=1000,
        )


def _hold(context: Context, reasons: Sequence[str]) -> None:
    """Keep the files and wait for a person. The same bytes held before are superseded by this."""
    delivery = context.delivery
    quarantine.keep(delivery, context.files)
    with warehouse.the_commit_lock():  # nobody accepts those before at the same time
        _finish(delivery, Delivery.State.HELD, "; ".join(reasons))
        _supersede_unfinished(delivery)
    raise Held(delivery)


def accept(delivery_id: int, report: Report = silent) -> Outcome:
    """Load a held delivery as it is, from the files kept when it came."""
    delivery = quarantine.undecided(delivery_id)
    with spool.folder() as own:
        files = quarantine.files(delivery)
        context = Context(delivery, files, _connect(delivery), own, report, delivery.source)
        try:
            return _load(context, released=True)
        except (FinopsError, OSError):
            # Says so where the files went because somebody else has decided.
            quarantine.undecided(delivery_id)
            raise
        finally:
            context.con.close()


def reject(delivery_id: int, reason: str = "") -> Delivery:
    """Refuse a held delivery; its files are deleted, its problems stay."""
    with warehouse.the_commit_lock():
        delivery = quarantine.undecided(delivery_id)
        _finish(delivery, Delivery.State.REJECTED, f"rejected: {reason or delivery.message}")
    return delivery


def _names(files: Sequence[InputFile]) -> str:
    shown = ", ".join(file.name for file in files[:3])
    return shown if len(files) <= 3 else f"{shown} and {len(files) - 3} more"
