"""One process that writes to or reads from a warehouse: `python -m tests.warehouse_process ROLE …`.

The settings come from the environment, as they do for the product's own processes.
"""

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
django.setup()

from finops.core import warehouse  # noqa: E402


def write(token: str, rounds: int) -> None:
    """Put one token into two datasets at once, `rounds` times, starting over where another was faster."""
    con = warehouse.connect(threads=1)
    for number in range(rounds):
        while True:
            seen = warehouse.latest()
            hosts = warehouse.write(
                con,
                "hosts",
                "all",
                "select $token || '-' || $number || '-' || range as host, $number::varchar as resource_id, "
                "null as valid_from, null as valid_to from range(1000)",
                {"token": token, "number": number},
            )
            rates = warehouse.write(
                con,
                "rates",
                "all",
                f"select date '2026-01-01' as date, '{token}-{number}' as currency, 1 as rate",
            )
            try:
                warehouse.commit([hosts, rates], computed_from=seen)
            except warehouse.Overtaken:
                continue
            break


def read(seconds: float, held: int | None = None) -> int:
    """Read both datasets at one snapshot until the time is up; the number of reads. Fails where one is torn.

    `held`: always this snapshot, else the newest.
    """
    con = warehouse.connect(threads=1)
    until, reads = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        snapshot = held or warehouse.latest()
        if not snapshot:
            continue
        warehouse.open_view(con, "hosts", snapshot)
        warehouse.open_view(con, "rates", snapshot)
        count, first, last = con.execute(
            "select count(*), min(regexp_replace(host, '-[0-9]+$', '')), max(regexp_replace(host, '-[0-9]+$', '')) "
            "from hosts"
        ).fetchall()[0]
        token = con.execute("select currency from rates").fetchall()
        assert (count, first, [(last,)]) == (1000, last, token), (
            f"torn at {snapshot}: {count} {first} {last} {token}"
        )
        reads += 1
    return reads


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "write":
        write(arguments[0], int(arguments[1]))
    else:
        print(read(*map(int, arguments)))  # noqa: T201
