"""Layers: each month of a dataset of days once more, in one file and with fewer columns, for pages that read long spans.

The days stay what is true. A layer is made from them (`finops.core.spans`), says the same, and may be missing, older
than some of its days, or thrown away at any time.
"""

from dataclasses import dataclass

from finops.core.datasets import COUNTS, DATASETS, KEYS, Dataset


@dataclass(frozen=True)
class Layer:
    """Months of a dataset, one file each. A layer whose columns change needs another name."""

    name: str
    of: str  # the dataset of days
    without: tuple[str, ...] = ()  # columns summed away
    sums: tuple[str, ...] = ()  # the columns summed; none: the rows themselves
    by_month: bool = False  # `day` is the first one that the month has
    order: tuple[str, ...] = ()
    row_group: int | None = None  # rows; a small one lets a reader of few values skip the others

    @property
    def columns(self) -> dict[str, str]:
        return {name: kind for name, kind in DATASETS[self.of].columns.items() if name not in self.without}

    @property
    def shape(self) -> Dataset:
        return Dataset(self.name, self.columns, ("month",), self.order or ("day", *DATASETS[self.of].order))

    @property
    def query(self) -> str:
        """Its rows of a month, from the dataset's days."""
        if not self.sums:
            return f"select {', '.join(self.columns)} from {self.of}"
        day = f"(select min(day) from {self.of})" if self.by_month else "day"
        kept = ", ".join(name for name in self.columns if name not in ("day", *self.sums))
        summed = ", ".join(f"sum({name})::{self.columns[name]} as {name}" for name in self.sums)
        return f"select {day} as day, {kept}, {summed} from {self.of} group by all"


def _without(*keys: str) -> tuple[str, ...]:
    return tuple(key for key in KEYS if key not in keys)


# Tenants are many: most views do not name them, and read a tenth of the rows. Most of those name no other
# keys than these three, or no other than these four, and read a tenth again. Who names tenants mostly names nothing
# else and reads a third, or one team and skips the others.
_FIRST_KEYS = ("model", "feature", "team")
_PLACES = ("team", "environment", "region", "endpoint")
_OTHER_KEYS = _without("tenant")
_BY_TENANT = ("tenant", "day", *_OTHER_KEYS)
_OF_NO_VIEW = ("measure", "pool", "source", "billing_account", "service_category")
_FEW = 8192

# Of each dataset the smallest first: the first that has the columns asked for is read.
LAYERS = (
    Layer(
        "allocation_months_without_tenant",
        "allocation_days",
        (*_OF_NO_VIEW, "tenant"),
        ("cost",),
        by_month=True,
        order=("day", *_OTHER_KEYS, "cost_type", "reason", "billing_period"),
    ),
    Layer(
        "allocation_months",
        "allocation_days",
        _OF_NO_VIEW,
        ("cost",),
        by_month=True,
        order=(*_BY_TENANT, "cost_type", "reason", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_of_first_keys",
        "allocation_days",
        (*_OF_NO_VIEW, *_without(*_FIRST_KEYS)),
        ("cost",),
        order=("day", *_FIRST_KEYS, "cost_type", "reason", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_of_places",
        "allocation_days",
        (*_OF_NO_VIEW, "reason", *_without(*_PLACES)),
        ("cost",),
        order=("day", *_PLACES, "cost_type", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_without_tenant",
        "allocation_days",
        (*_OF_NO_VIEW, "tenant"),
        ("cost",),
        order=("day", *_OTHER_KEYS, "cost_type", "reason", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_of_tenants",
        "allocation_days",
        (*_OF_NO_VIEW, "reason", *_without("tenant")),
        ("cost",),
        order=("tenant", "day", "cost_type", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_of_teams_tenants",
        "allocation_days",
        (*_OF_NO_VIEW, "reason", *_without("team", "tenant")),
        ("cost",),
        order=("team", "tenant", "day", "cost_type", "billing_period"),
        row_group=_FEW,
    ),
    Layer(
        "allocation_days_by_tenant",
        "allocation_days",
        _OF_NO_VIEW,
        ("cost",),
        order=(*_BY_TENANT, "cost_type", "reason", "billing_period"),
        row_group=_FEW,
    ),
    Layer("allocation_days_of_month", "allocation_days"),
    Layer(
        "request_months_without_tenant",
        "request_days",
        ("tenant",),
        tuple(COUNTS),
        by_month=True,
        order=("day", *_OTHER_KEYS),
    ),
    Layer(
        "request_months",
        "request_days",
        (),
        tuple(COUNTS),
        by_month=True,
        order=_BY_TENANT,
        row_group=_FEW,
    ),
    Layer(
        "request_days_of_first_keys",
        "request_days",
        _without(*_FIRST_KEYS),
        tuple(COUNTS),
        order=("day", *_FIRST_KEYS),
        row_group=_FEW,
    ),
    Layer(
        "request_days_of_places",
        "request_days",
        _without(*_PLACES),
        tuple(COUNTS),
        order=("day", *_PLACES),
        row_group=_FEW,
    ),
    Layer(
        "request_days_without_tenant",
        "request_days",
        ("tenant",),
        tuple(COUNTS),
        order=("day", *_OTHER_KEYS),
        row_group=_FEW,
    ),
    Layer(
        "request_days_of_tenants",
        "request_days",
        _without("tenant"),
        tuple(COUNTS),
        order=("tenant", "day"),
        row_group=_FEW,
    ),
    Layer(
        "request_days_of_teams_tenants",
        "request_days",
        _without("team", "tenant"),
        tuple(COUNTS),
        order=("team", "tenant", "day"),
        row_group=_FEW,
    ),
    Layer("request_days_of_month", "request_days", order=_BY_TENANT, row_group=_FEW),
    Layer("charge_days_of_month", "charge_days"),
    Layer("unit_windows_of_month", "unit_windows"),
    Layer("unmatched_of_month", "unmatched"),
)
LAYERED = tuple(dict.fromkeys(layer.of for layer in LAYERS))


def layers_of(dataset: str) -> tuple[Layer, ...]:
    return tuple(layer for layer in LAYERS if layer.of == dataset)
