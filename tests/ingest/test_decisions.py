"""A held delivery is decided on once, and what was kept of it goes once that is certain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from finops.core.errors import FinopsError
from finops.core.models import Snapshot
from ingest import quarantine
from ingest.deliveries import accept, deliver, reject
from ingest.models import Delivery
from ingest.quarantine import Held
from tests.ingest.arrivals import bill, charge, costs, log, request

pytestmark = pytest.mark.django_db(transaction=True)


def held(*paths: Path, kind: str = "billing") -> Delivery:
    """A delivery that waits for a person, and is gone from where it was found."""
    with pytest.raises(Held) as raised:
        deliver(kind, paths, expected_total="999")
    for path in paths:
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
    waiting = held(bill(tmp_path / "bill.csv", charge("1"), charge("2")))
    with full_disk(), pytest.raises(OperationalError):
        accept(waiting.pk)
    assert (state(waiting), costs()) == ("held", [])
    accept(waiting.pk)
    assert (state(waiting), costs()) == ("loaded", [1, 2])
    assert not quarantine.folder(waiting).exists()


def test_a_held_delivery_can_be_accepted_where_the_commit_of_one_that_brings_the_same_fails(tmp_path):
    waiting = held(bill(tmp_path / "bill.csv", charge("1")))
    with full_disk(), pytest.raises(OperationalError):
        deliver("billing", [bill(tmp_path / "again.csv", charge("1"))])
    accept(waiting.pk)
    assert (state(waiting), costs()) == ("loaded", [1])


def test_what_a_killed_process_kept_of_a_decided_delivery_goes_with_the_next_one(tmp_path):
    waiting, decided = (held(bill(tmp_path / "bill.csv", charge(cost))) for cost in ("1", "2"))
    reject(decided.pk)
    quarantine.folder(decided).mkdir()
    deliver("billing", [bill(tmp_path / "other.csv", charge("3"))])
    assert (quarantine.folder(waiting).exists(), quarantine.folder(decided).exists()) == (True, False)


def accept_while(delivery: Delivery, decide: Callable[[int], object]) -> None:
    """Accept a delivery on which somebody else decides while its first file is read."""

    def meanwhile(*_: object, **__: object) -> None:
        if state(delivery) == "held":
            decide(delivery.pk)

    accept(delivery.pk, meanwhile)


def test_a_delivery_accepted_by_two_at_once_is_loaded_and_the_second_is_told(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1"))
    text = path.read_text()
    waiting = held(path)
    with pytest.raises(FinopsError, match=f"delivery {waiting.pk} is loaded, not held"):
        accept_while(waiting, accept)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.replaced_by, costs()) == ("loaded", None, [1])
    path.write_text(text)
    assert deliver("billing", [path]).already_there


def test_who_still_reads_what_another_has_accepted_is_told_so(tmp_path):
    """Its second file is gone before it is read."""
    waiting = held(*(bill(tmp_path / f"{cost}.csv", charge(cost)) for cost in ("1", "2")))
    with pytest.raises(FinopsError, match="is loaded, not held"):
        accept_while(waiting, accept)
    assert (state(waiting), costs()) == ("loaded", [1, 2])


def test_what_is_rejected_while_another_accepts_it_is_not_loaded(tmp_path):
    waiting = held(bill(tmp_path / "bill.csv", charge("1")))
    with pytest.raises(FinopsError, match="is rejected, not held"):
        accept_while(waiting, reject)
    assert (state(waiting), costs()) == ("rejected", [])


def test_logs_accepted_by_two_at_once_are_loaded_and_the_second_is_told(tmp_path):
    """The second finds all its rows there already, and has nothing to put in force."""
    waiting = held(log(tmp_path / "log.jsonl", request(1), request(2)), kind="requests")
    with pytest.raises(FinopsError, match="is loaded, not held"):
        accept_while(waiting, accept)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.rows, waiting.replaced_by) == ("loaded", 2, None)
