"""Real processes at the same warehouse, on SQLite and on PostgreSQL."""

from tests.processes import finish, manage, python

ROUNDS = 8


def test_two_writers_and_three_readers_lose_nothing_and_see_nothing_torn(elsewhere):
    role = ("-m", "tests.warehouse_process")
    readers = [python(elsewhere, *role, "read", "3") for _ in range(3)]
    writers = [python(elsewhere, *role, "write", token, str(ROUNDS)) for token in ("a", "b")]
    for writer in writers:
        finish(writer)
    reads = [int(finish(reader)) for reader in readers]
    assert all(reads)
    history = finish(
        manage(
            elsewhere,
            "shell",
            "-v0",
            "-c",
            "from finops.core.models import *; "
            "print(list(Snapshot.objects.order_by('id').values_list('id', flat=True))); "
            "print(ManifestFile.objects.filter(until_snapshot=None).count(), ManifestFile.objects.count())",
        )
    )
    numbers, files = history.strip().splitlines()
    assert numbers == str(
        list(range(1, 2 * ROUNDS + 1))
    )  # every commit has its number, in order and without a gap
    assert files == f"2 {4 * ROUNDS}"
