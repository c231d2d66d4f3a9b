"""The reads of attribution that other apps may use."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from django.db.models import Exists, OuterRef

from attribution.models import Run
from attribution.world import policies_in_force
from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import KEYS, MEASURES
from finops.core.errors import UsageError
from finops.core.periods import parse_month

_OTHER_KEYS = ", ".join(key for key in KEYS if key != "team")
# Columns that follow from the keys of an allocation.
DERIVED = {
    # Who bears it: `team/NAME`; what has another key but no team, and what has no key at all.
    "statement": f"case when team <> '' then 'team/' || team when concat({_OTHER_KEYS}) <> '' then 'no-owner' "
    "else 'platform' end",
    # Whether it came to a model or a team.
    "reached": "case when model <> '' or team <> '' then 'yes' else 'no' end",
}
FILTERS = (
    *KEYS,
    "cost_type",
    "reason",
    "pool",
    "measure",
    "source",
    "billing_account",
    "billing_period",
    "service_category",
    *DERIVED,
    "resource_id",
)


COST_TYPES = ("usage", "idle", "shared", "unallocated")
# Filters that have only these values, beside none.
VALUES = {
    "cost_type": COST_TYPES,
    "reached": ("yes", "no"),
    "reason": ("", "no_requests", "no_driver"),
    "measure": ("", *MEASURES),
}


Values = str | tuple[str, ...]  # of a filter: one, or any of several


@dataclass(frozen=True)
class Cells:
    """Some allocations of a day: those with these values, as far as the reader sees them.

    `resource_id` stands alone: published allocations do not say it, the units of the resource do. Of one unit
    `in_window` a cost type may stand beside it.
    Raises UsageError where a filter is not one of FILTERS, or can never have that value.
    """

    where: Mapping[str, Values]
    scope: Scope = EVERYTHING
    in_window: bool = False

    def __post_init__(self) -> None:
        for name in self.where:
            if name not in FILTERS:
                raise UsageError(f"unknown filter {name!r}; expected one of {', '.join(FILTERS)}")
        beside = self.where.keys() - ({"resource_id", "cost_type"} if self.in_window else {"resource_id"})
        if "resource_id" in self.where and (beside or self.scope.teams is not None):
            raise UsageError("resource_id goes with no other filter, and is for readers of all teams")
        for name, words in VALUES.items():
            for value in self.wanted(name):
                require_word(name, value, words)
        for period in self.wanted("billing_period"):
            parse_month(period)

    def wanted(self, name: str) -> tuple[str, ...]:
        """The values of a filter, any of which will do; none: all."""
        found = self.where.get(name, ())
        return (found,) if isinstance(found, str) else found

    @cached_property
    def sql(self) -> str:
        """A condition on the columns of an allocation, with `values`."""
        return self._condition(tuple(self.where))

    @property
    def values(self) -> dict[str, object]:
        return self._values(tuple(self.where))

    @property
    def of_keys(self) -> str:
        """A condition on key columns alone that all of them meet, with `values_of_keys`."""
        return self._condition(self._key_names)

    @property
    def values_of_keys(self) -> dict[str, object]:
        return self._values(self._key_names)

    @property
    def _key_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.where if name in KEYS or name in DERIVED)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `sql` reads."""
        named = [name for name in self.where if name not in DERIVED]
        keys = KEYS if set(self.where) & DERIVED.keys() else ("team",) if self.scope.teams is not None else ()
        return tuple(dict.fromkeys([*named, *keys]))

    def _condition(self, names: Sequence[str]) -> str:
        tests = [
            f"list_contains($only_{name}::varchar[], {DERIVED.get(name, name)})"
            for name in names
            if name != "resource_id"
        ]
        if self.scope.teams is not None:
            tests.append("list_contains($visible::varchar[], team)")
        return " and ".join(tests) or "true"

    def _values(self, names: Sequence[str]) -> dict[str, object]:
        found: dict[str, object] = {
            f"only_{name}": list(self.wanted(name)) for name in names if name != "resource_id"
        }
        if self.scope.teams is not None:
            found["visible"] = sorted(self.scope.teams)
        return found


def require_word(name: str, value: str, words: Sequence[str]) -> None:
    """Raises UsageError where the value is none of those that it can be."""
    if value not in words:
        raise UsageError(f"{name}={value}: expected {', '.join(filter(None, words))}")


def runs(first: date | None = None, end: date | None = None, snapshot: int | None = None) -> dict[date, Run]:
    """The run in force of each attributed day in [first, end), in order of days; `snapshot`: that was in force then."""
    found = Run.objects.order_by("day", "id")
    if snapshot is not None:
        found = found.filter(snapshot__lte=snapshot)
    if first:
        found = found.filter(day__gte=first)
    if end:
        found = found.filter(day__lt=end)
    return {run.day: run for run in found}


def under_an_older_policy(first: date, end: date) -> list[date]:
    """The days in [first, end) for which a policy was put in force that their run has not seen."""
    since = max((file.since_snapshot for file in warehouse.files("policy")), default=0)
    timetable = policies_in_force()
    return [
        day
        for day, run in runs(first, end).items()
        if run.computed_from < since
        and [one.version for one in timetable if one.holds_on(day)][-1] != run.policy_version
    ]


def published(snapshot: int) -> int:
    """The snapshot itself, where there is one. Raises UsageError."""
    if not 1 <= snapshot <= warehouse.latest():
        raise UsageError(f"there is no snapshot {snapshot}{' yet' if snapshot > 0 else ''}")
    return snapshot


def incomplete(first: date, end: date) -> dict[date, str]:
    """The days in [first, end) attributed before their bill or logs were all there, with what is missing."""
    newer = Run.objects.filter(day=OuterRef("day"), pk__gt=OuterRef("pk"))
    found = Run.objects.filter(day__gte=first, day__lt=end, complete=False).exclude(Exists(newer))
    return dict(found.order_by("day").values_list("day", "incomplete_reason"))


def complete_days(first: date | None = None, end: date | None = None) -> list[date]:
    """Attributed days whose bill and logs are all there: the base of trends and detection."""
    return [day for day, run in runs(first, end).items() if run.complete]


def reconciliation(first: date, end: date) -> dict[str, Decimal]:
    """The charges of the days in [first, end) by what became of them, beside the allocations, from what is stored.

    In the reporting currency; unconverted charges are not in it, and are reported in their own.
    """
    with closing(warehouse.connect()) as con:
        snapshot = warehouse.latest()
        for dataset in ("charge_days", "allocation_days"):
            warehouse.open_view(con, dataset, snapshot, touching=(first, end))
        params = {"first": first, "end": end}
        by_disposition = dict(
            con.execute(
                "select case disposition when 'exclude' then 'excluded' else 'in scope' end, sum(cost) "
                "from charge_days where day >= $first and day < $end and disposition <> 'unconverted' group by 1",
                params,
            ).fetchall()
        )
        by_type = dict(
            con.execute(
                "select cost_type, sum(cost) from allocation_days where day >= $first and day < $end group by 1",
                params,
            ).fetchall()
        )
    zero = Decimal(0).quantize(Decimal("1e-12"))
    charged = by_disposition.get("in scope", zero)
    return {
        "charges in scope": charged,
        **{f"  {cost_type}": by_type.get(cost_type, zero) for cost_type in COST_TYPES},
        "difference": charged - sum(by_type.values(), zero),
        "excluded charges": by_disposition.get("excluded", zero) or zero,
    }
