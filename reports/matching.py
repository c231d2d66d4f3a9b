"""What did not meet: costs, metrics and requests that found no partner, and the line that would join them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from finops.core import spans, warehouse
from finops.core.access import Scope
from finops.core.results import cached
from reports.queries import sql

# What each kind of the dataset `unmatched` means, in words.
KINDS = {
    "excluded_charge": "Charges excluded because no rule, resource or model matched",
    "unconverted_charge": "Charges in a currency without a rate",
    "unknown_host": "Hosts that belong to no resource",
    "resource_without_charge": "Resources in use that no bill names",
    "unknown_gpu": "GPUs that no metric knows",
    "unknown_pod": "Pods that no metric knows",
    "request_without_unit": "Requests that do not say where they ran",
    "model_without_owner": "Models without owner",
    "model_without_price": "Models without price",
    "worse_measure": "Units shared by a worse measure than the day before",
}


@dataclass(frozen=True)
class Unmatched:
    """One thing that did not meet in a span of days, with what hangs on it and what to add."""

    kind: str
    name: str
    remedy: str  # the line to add, and to which file
    cost: Decimal  # reporting currency; 0 where no money hangs on it
    rows: int
    days: int
    first_day: date
    last_day: date

    @property
    def what(self) -> str:
        return KINDS.get(self.kind, self.kind.replace("_", " ").capitalize())


@dataclass(frozen=True)
class ShareAttributed:
    """How much of the cost reached a model or a team.

    Charges that were excluded because nothing matched are in the base, so that excluding makes the
    share worse; those that a rule of the policy excludes are not. Amounts without a currency rate
    can be in neither and are named by themselves.
    """

    reached: Decimal
    adrift: Decimal  # allocated to neither a model nor a team
    excluded_by_default: Decimal
    excluded_by_rule: Decimal
    unconverted: Mapping[str, Decimal]  # by currency, in that currency

    @property
    def base(self) -> Decimal:
        return self.reached + self.adrift + self.excluded_by_default

    @property
    def share(self) -> Decimal | None:
        """A ratio of four places; none where there is nothing to share."""
        if self.base <= 0:
            return None
        return (self.reached / self.base).quantize(Decimal("0.0001"))


def match_report(start: date, end: date, scope: Scope, snapshot: int | None = None) -> list[Unmatched]:
    """What did not meet on the UTC days [start, end), most cost first; only for who sees everything."""
    if scope.teams is not None:
        return []
    read = spans.rows("unmatched", ["kind", "name", "cost", "rows", "remedy"], start, end, snapshot)
    with warehouse.reading() as con:
        query = sql("match_report").format(unmatched=read.text)
        rows = con.execute(query, {"start": start, "end": end}).fetchall()
    return [
        Unmatched(kind, name, remedy, cost, count, days, first_day, last_day)
        for kind, name, remedy, cost, count, days, first_day, last_day in rows
    ]


def share_attributed(start: date, end: date, snapshot: int | None = None) -> ShareAttributed:
    """The share attributed of the charges of the UTC days [start, end)."""
    snapshot = warehouse.latest() if snapshot is None else snapshot
    allocations = spans.rows("allocation_days", ["model", "team", "cost"], start, end, snapshot)
    charges = spans.rows(
        "charge_days",
        ["disposition", "rule", "cost", "original_currency", "original_cost"],
        start,
        end,
        snapshot,
    )
    days = {"start": start, "end": end}

    def compute() -> ShareAttributed:
        with warehouse.reading() as con:
            query = sql("share_attributed").format(allocation_days=allocations.text, charge_days=charges.text)
            row = con.execute(query, days).fetchone()
            assert row is not None  # an aggregate has one row
            unconverted = con.execute(sql("unconverted").format(charge_days=charges.text), days).fetchall()
        reached, adrift, by_default, by_rule = row
        return ShareAttributed(reached, adrift, by_default, by_rule, dict(unconverted))

    now = spans.content(["allocation_days", "charge_days"], start, end, snapshot)
    return cached("share attributed", now, (start, end), compute)


# By what the charges of a span may be chosen; `name` as the match report names what was excluded.
TAKEN_BY = {
    "disposition": "disposition",
    "rule": "rule",
    "target": "target",
    "source": "source",
    "billing_account": "billing_account",
    "billing_period": "billing_period",
    "service_category": "service_category",
    "service_name": "service_name",
    "resource_id": "resource_id",
    "currency": "original_currency",
    "name": "coalesce(nullif(service_name, ''), nullif(resource_id, ''), 'charges without service')",
    "attributed": "case when disposition in ('exclude', 'unconverted') then 'no' else 'yes' end",
    "by": "case when rule = 'default:exclude' then 'default' else 'rule' end",
}


@dataclass(frozen=True)
class TakenCharge:
    """A charge's part of one day, and the rule that took it."""

    day: date
    source: str
    billing_account: str
    file: str
    line: int
    service_name: str
    resource_id: str
    rule: str
    disposition: str
    target: str
    original_cost: Decimal
    original_currency: str
    cost: Decimal | None  # reporting currency; None: no rate


@dataclass(frozen=True)
class TakenCharges:
    """A page of them, the largest first; the sums are of all."""

    count: int
    cost: Decimal  # reporting currency
    original: Mapping[str, Decimal]  # of those without a rate, by currency
    charges: tuple[TakenCharge, ...]


def charges_taken(
    start: date,
    end: date,
    where: Mapping[str, str],
    *,
    limit: int,
    offset: int = 0,
    snapshot: int | None = None,
) -> TakenCharges:
    """The parts of charges on the UTC days [start, end) with these values, each with its rule."""
    tests = "".join(f" and {TAKEN_BY[name]} = $only_{name}" for name in where)
    values: dict[str, object] = {
        "start": start,
        "end": end,
        **{f"only_{name}": one for name, one in where.items()},
    }
    with warehouse.reading() as con:
        warehouse.open_view(con, "charge_days", snapshot, touching=(start, end), temp=True)
        chosen = f"charge_days where day >= $start and day < $end{tests}"
        count, cost = con.execute(
            f"select count(*), coalesce(sum(cost), 0)::decimal(38, 12) from {chosen}", values
        ).fetchall()[0]
        original = dict(
            con.execute(
                "select original_currency, sum(original_cost)::decimal(38, 12) "
                f"from {chosen} and disposition = 'unconverted' group by all order by all",
                values,
            ).fetchall()
        )
        rows = con.execute(
            sql("charges_taken").format(chosen=chosen), {**values, "limit": limit, "offset": offset}
        ).fetchall()
    return TakenCharges(count, cost, original, tuple(TakenCharge(*row) for row in rows))
