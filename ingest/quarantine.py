"""Deliveries that wait for a person, and their files, kept as they came."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from finops.core.errors import FinopsError, UsageError
from ingest.models import Delivery
from ingest.sources.files import InputFile


class Held(FinopsError):
    """The delivery waits for a person; what was in force before still is."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        super().__init__(
            f"delivery {delivery.pk} is held: {delivery.message}. What was there before stays in force; "
            f"see `deliveries show {delivery.pk}`, then `deliveries accept {delivery.pk}` or `reject`"
        )


def keep(delivery: Delivery, files: Sequence[InputFile]) -> None:
    """Copy the delivery's files, given in the order in which it names them."""
    kept = folder(delivery)
    kept.mkdir(parents=True, exist_ok=True)
    for file, row in zip(files, delivery.files.all(), strict=True):
        shutil.copyfile(file.path, kept / str(row.pk))


def files(delivery: Delivery) -> list[InputFile]:
    """What was kept, under the names that it came with."""
    return [
        InputFile(row.name, folder(delivery) / str(row.pk), row.sha256, row.size, row.modified_ns)
        for row in delivery.files.all()
    ]


def sweep() -> None:
    """Delete the files of deliveries that are decided, also of one whose process was killed before it could."""
    folders = {folder.name: folder for folder in _folders().glob("*") if folder.name.isdecimal()}
    waiting = Delivery.objects.filter(pk__in=folders, state__in=[Delivery.State.STARTED, Delivery.State.HELD])
    for name in folders.keys() - {str(pk) for pk in waiting.values_list("pk", flat=True)}:
        shutil.rmtree(folders[name], ignore_errors=True)


def undecided(delivery_id: int) -> Delivery:
    """The delivery, which nobody has decided on; that stays so only where the commit lock is held."""
    delivery = Delivery.objects.filter(pk=delivery_id).first()
    if delivery is None:
        raise UsageError(f"there is no delivery {delivery_id}; see `deliveries list`")
    if delivery.state != Delivery.State.HELD:
        raise FinopsError(f"delivery {delivery_id} is {delivery.state}, not held: there is nothing to decide")
    return delivery


def folder(delivery: Delivery) -> Path:
    """Where the files of a held delivery wait."""
    return _folders() / str(delivery.pk)


def _folders() -> Path:
    return Path(settings.FINOPS_DATA_DIR) / "quarantine"
