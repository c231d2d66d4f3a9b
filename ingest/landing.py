"""The landing zone: what lies in `landing/<kind>/<source>/` is loaded once, and never deleted.

A file is one delivery; so is a folder, for bills that come in several files or with a manifest.
What is still being written has a name that starts with a dot or ends in `.part` or `.tmp`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from finops.core.errors import FinopsError
from ingest.deliveries import DEFAULT_SOURCE, Outcome, deliver, silent
from ingest.loading import Report
from ingest.models import Delivery, DeliveryFile
from ingest.sources import manifests
from ingest.sources.files import identified, listed, unfinished


@dataclass(frozen=True)
class Pulled:
    """What became of one file or folder of the landing zone."""

    path: Path
    outcome: Outcome | None
    error: str = ""


def folder() -> Path:
    return Path(settings.FINOPS_DATA_DIR) / "landing"


def pull(report: Report = silent) -> list[Pulled]:
    """Load what is new, each on its own: one that fails or is held does not stop the others."""
    pulled = [Pulled(path, None, f"{path}: {reason}") for path, reason in _strays()]
    for kind, source, path in _arrivals():
        if _is_known(kind, source, path):
            continue
        try:
            outcome = deliver(kind, [path], source=source, report=report)
        except FinopsError as error:
            pulled.append(Pulled(path, None, str(error)))
        else:
            pulled.append(Pulled(path, outcome))
    return pulled


def _arrivals() -> Iterator[tuple[str, str, Path]]:
    """Kind, source and path of everything there: tables first, so that what follows finds its owners."""
    for kind in (*_tables(), Delivery.Kind.BILLING, Delivery.Kind.GPU, Delivery.Kind.REQUESTS):
        base = folder() / kind
        for source in sorted(base.iterdir()) if base.is_dir() else []:
            if not source.is_dir() or unfinished(source):
                continue
            for path in sorted(source.iterdir(), key=lambda path: (path.stat().st_mtime_ns, path.name)):
                if not unfinished(path) and (path.is_file() or _has_files(path)):
                    yield kind, source.name, path


def _strays() -> Iterator[tuple[Path, str]]:
    """What lies where nothing is looked for."""
    base = folder()
    for kind in sorted(base.iterdir()) if base.is_dir() else []:
        if unfinished(kind):
            continue
        if kind.name not in Delivery.Kind.values or not kind.is_dir():
            yield kind, f"expected a folder named {', '.join(Delivery.Kind.values)}"
            continue
        for path in sorted(kind.iterdir()):
            if path.is_file() and not unfinished(path):
                yield path, "expected a folder between, named after the source"


def _tables() -> tuple[str, ...]:
    return Delivery.Kind.HOSTS, Delivery.Kind.OWNERS, Delivery.Kind.RATES


def _has_files(path: Path) -> bool:
    return any(file.is_file() and not unfinished(file) for file in path.rglob("*"))


def _is_known(kind: str, source: str, path: Path) -> bool:
    """Whether all of it was delivered before, whatever became of it. Unchanged files are not read again."""
    known = DeliveryFile.objects.filter(
        delivery__kind=kind, delivery__source=source or DEFAULT_SOURCE
    ).exclude(delivery__state=Delivery.State.STARTED)
    try:
        _, files = manifests.read(listed([path], folder()))
    except FinopsError:
        return False
    for file in files:
        status = file.stat()
        if known.filter(path=str(file), size=status.st_size, modified_ns=status.st_mtime_ns).exists():
            continue
        if not known.filter(sha256=identified([file])[0].sha256).exists():
            return False
    return True
