"""What of a policy the steps read, as SQL and as tables."""

from duckdb import DuckDBPyConnection

from attribution import steps
from attribution.policy import Policy, Pool, matcher, matches
from finops.core.datasets import KEYS
from finops.core.money import to_pico


def rule_case(policy: Policy) -> str:
    """SQL over a charge: the number of the first rule that matches it, or NULL."""
    cases = [
        f"when {' and '.join(matcher(column, patterns) for column, patterns in rule.when.items()) or 'true'} "
        f"then {number}"
        for number, rule in enumerate(policy.rules)
    ]
    return f"case {' '.join(cases)} end" if cases else "null::integer"


def rules_table(con: DuckDBPyConnection, policy: Policy) -> None:
    con.execute(
        "create table policy_rule (rule_number integer, name varchar, disposition varchar, target varchar)"
    )
    for number, rule in enumerate(policy.rules):
        con.execute(
            "insert into policy_rule values (?, ?, ?, ?)", [number, rule.name, rule.disposition, rule.target]
        )


def name_alone(con: DuckDBPyConnection, pool: Pool, params: steps.Parameters) -> None:
    """The values of the one column that an `even` or `fixed` pool sets, with their weights."""
    only = ", ".join(f"value as {column}" if column == pool.over else f"'' as {column}" for column in KEYS)
    if pool.driver == "fixed":
        for value, share in sorted(pool.shares.items()):
            con.execute(
                f"insert into pool_alone select $pool, {only}, cast($share as hugeint) "
                "from (select $value as value)",
                {"pool": pool.name, "share": str(to_pico(share)), "value": value},
            )
    elif pool.driver == "even":
        scope = " and ".join(matches(column, values) for column, values in pool.scope.items()) or "true"
        con.execute(
            f"insert into pool_alone select $pool, {only}, 1 from ("
            f"select distinct {pool.over} as value from request_keys where day = $day and {scope} "
            f"and {pool.over} <> '')",
            {"pool": pool.name, "day": params["day"]},
        )
