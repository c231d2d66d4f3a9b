"""What a day, and its roll-up, are computed from: a digest of each input, by which unchanged days are known.

Digests are of what files say of the day, not of the files, where most of a file is of other days.
"""

import hashlib
import json
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from attribution import prices, rollup
from attribution.policy import Policy
from attribution.world import World

RULES_VERSION = 1  # of attribution.md as the steps carry it out; a change of either runs every day again
EARLIER = "requests of the 7 days before"
LOOKED_BACK_AT = ("request_keys", "unit_sets", "request_weights")
_DAY = timedelta(days=1)
_OWNER = ("kind", "name", "team")  # what of an owner decides where cost goes
_HOST = ("host", "resource_id")


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def inputs_of_rollup(world: World, day: date) -> dict[str, str]:
    return {
        name: digest(value)
        for name, value in {
            "rules of attribution": RULES_VERSION,
            "price list": prices.list_version(),
            "policy": roll_up_policy(world.policy),
            "requests": world.hashes("requests", day, day + _DAY),
            "GPU metrics": world.hashes("gpu_samples", day, day + _DAY),
            "known resources": world.named_by_requests(day - rollup.LOOK_BACK, day + _DAY),
            "hosts": world.held("hosts", _HOST, day, day + _DAY),
            "owners": world.held("owners", _OWNER, day, day + _DAY),
        }.items()
    }


def roll_up_policy(policy: Policy) -> str:
    """What of a policy decides the roll-up."""
    return repr((policy.tokens, policy.model_tokens, policy.prices))


def inputs_of_day(
    con: DuckDBPyConnection, world: World, day: date, looked_at: tuple[date, date]
) -> dict[str, str]:
    """A digest of each of the things that the day's allocations are computed from: same inputs, same digits."""
    columns = [
        row[0] for row in con.execute("describe part").fetchall() if row[0] not in ("charge", "rule_number")
    ]
    row_text = ", ".join(f"cast({column} as varchar)" for column in columns)
    parts = con.execute(
        f"select coalesce(sha256(string_agg(row, chr(10) order by row)), '') "
        f"from (select cast([{row_text}] as varchar) as row from part)"
    ).fetchone()
    known = con.execute(
        "select count(*), sha256(string_agg(resource_id, chr(10) order by resource_id)) from known_resource"
    ).fetchall()
    requests = [world.hashes(name, day, day + _DAY) for name in rollup.TABLES]
    graded = con.execute("select unit, measure from graded_before order by unit").fetchall()
    earlier = [world.hashes(name, day - rollup.LOOK_BACK, day) for name in LOOKED_BACK_AT]
    return {
        name: digest(value)
        for name, value in {
            "rules of attribution": RULES_VERSION,
            "charges": parts,
            "policy": (repr(world.policy), world.currency),
            "price list": prices.list_version(),
            "GPU metrics": world.hashes("gpu_samples", day, day + _DAY),
            "hosts": world.held("hosts", _HOST, looked_at[0], looked_at[1] + _DAY),
            "owners": world.held("owners", _OWNER, day, day + _DAY),
            "known resources": known,
            "requests": requests,
            "measures of the day before": graded,
            EARLIER: earlier,
        }.items()
    }
