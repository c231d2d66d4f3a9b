"""One process that ingests: `python -m tests.ingest.process ROLE …`. The settings come from the environment.

It says `ready` once everything is imported, so that whoever kills it hits its work and not its start.
"""

import json
import os
import sys
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from finops.core import warehouse  # noqa: E402
from ingest import deliveries  # noqa: E402


def add(name: str, rounds: int, folder: Path) -> None:
    """Deliver small logs of one day: each with a request of its own, one of both processes', one of every round's."""
    for number in range(rounds):
        ids = [f"{name}-{number}", f"both-{number}", "every"]
        lines = [json.dumps({"request_id": one, "timestamp": 1788775200, "model": "m"}) for one in ids]
        path = folder / f"{name}-{number}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        deliveries.deliver("requests", [path], source="gateway")


def dump() -> None:
    """The requests in force and what they name, a row a line, in order, whoever delivered them."""
    con = warehouse.connect()
    for dataset in ("requests", "named_resources", "key_names", "place_names"):
        warehouse.open_view(con, dataset)
        columns = "* exclude (delivery)" if dataset == "requests" else "*"
        texts = f"columns({columns})::varchar"
        for row in con.execute(f"select {texts} from {dataset} order by all").fetchall():
            print(dataset, row)  # noqa: T201


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    print("ready", flush=True)  # noqa: T201
    if role == "add":
        add(arguments[0], int(arguments[1]), Path(arguments[2]))
    elif role == "ingest":
        call_command("ingest", *arguments)
    else:
        dump()
