"""A held delivery is decided on once, and what was kept of it goes once that is certain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from finops.core.models import Snapshot
from ingest.deliveries import Held, accept, deliver, quarantine, reject
from ingest.models import Delivery
from tests.ingest.arrivals import bill, charge, costs

pytestmark = pytest.mark.django_db(transaction=True)


def held(path: Path, *lines: str) -> Delivery:
    """A bill that waits for a person, and is gone from where it was found."""
    with pytest.raises(Held) as raised:
        deliver("billing", [bill(path, *lines)], expected_total="999")
    path.unlink()
    return raised.value.delivery


def state(delivery: Delivery) -> str:
    return Delivery.objects.get(pk=delivery.pk).state


@contextmanager
def full_disk() -> Iterator[None]:
    """The database cannot commit what puts files in force."""
    commit = BaseDatabaseWrapper.commit

    def fail(connection: BaseDatabaseWrapper) -> None:
        if Snapshot.objects.exists():
            raise OperationalError("database or disk is full")
        commit(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", fail)
        yield


def test_an_accepted_delivery_whose_commit_fails_is_accepted_by_the_same_command(tmp_path):
    waiting = held(tmp_path / "bill.csv", charge("1"), charge("2"))
    with full_disk(), pytest.raises(OperationalError):
        accept(waiting.pk)
    assert (state(waiting), costs()) == ("held", [])
    accept(waiting.pk)
    assert (state(waiting), costs()) == ("loaded", [1, 2])
    assert not quarantine(waiting).exists()


def test_a_held_delivery_can_be_accepted_where_the_commit_of_one_that_brings_the_same_fails(tmp_path):
    waiting = held(tmp_path / "bill.csv", charge("1"))
    with full_disk(), pytest.raises(OperationalError):
        deliver("billing", [bill(tmp_path / "again.csv", charge("1"))])
    accept(waiting.pk)
    assert (state(waiting), costs()) == ("loaded", [1])


def test_what_a_killed_process_kept_of_a_decided_delivery_goes_with_the_next_one(tmp_path):
    waiting, decided = (held(tmp_path / "bill.csv", charge(cost)) for cost in ("1", "2"))
    reject(decided.pk)
    quarantine(decided).mkdir()
    deliver("billing", [bill(tmp_path / "other.csv", charge("3"))])
    assert (quarantine(waiting).exists(), quarantine(decided).exists()) == (True, False)
