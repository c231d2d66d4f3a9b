"""The warehouse's datasets: columns, types and partitions. Where the apps meet.

Every time is TIMESTAMPTZ in UTC, every amount of money DECIMAL(38,12), every number that
decides a share an integer. Key columns are never NULL: an unknown value is an empty string.
"""

from dataclasses import dataclass

from finops.core import focus

KEYS = (
    "model",
    "model_version",
    "feature",
    "tenant",
    "team",
    "environment",
    "region",
    "endpoint",
    "provider",
    "project",
)
COUNTS = {
    "requests": "BIGINT",  # all, cached and failed included
    "failed_requests": "BIGINT",  # status neither ok nor 2xx
    "cached_requests": "BIGINT",  # answered from a cache of ours
    "predictions": "BIGINT",  # of succeeded requests, cached ones included
    "input_tokens": "BIGINT",
    "cached_input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "gpu_micro_ms": "HUGEINT",  # sum of gpu_ms in 10^-6 ms; NULL where no log gives it
    "value": "DECIMAL(38,12)",  # business units earned; NULL where no log gives it
}


# The names under which a request says where it ran.
PLACES = {
    "gpu_uuids": "VARCHAR[]",
    "namespace": "VARCHAR",
    "pod": "VARCHAR",
    "host": "VARCHAR",
    "resource_id": "VARCHAR",
}
# SQL that makes one number of a request's key, and of its place: billions of rows have these alone.
# Two names of a day that had the same number, by one chance in 10^9, would stop the ingest, or the day's roll-up.
HASHES = {
    "key_hash": f"(hash({', '.join(KEYS)}) >> 1)::bigint",
    "place_hash": f"(hash({', '.join(PLACES)}) >> 1)::bigint",
}
# Requests with the names that their numbers stand for, of views of the three datasets.
NAMED_REQUESTS = (
    "requests join key_names using (source, day, key_hash) join place_names using (source, day, place_hash)"
)

# What a request may be weighed by (attribution.md, step 7), best first; list_price is for metered APIs alone.
MEASURES = ("gpu_ms", "batch_tokens", "list_price", "tokens", "latency_ms", "requests")


@dataclass(frozen=True)
class Dataset:
    """One kind of table: its columns in order, and what one partition holds."""

    name: str
    columns: dict[str, str]
    partition: tuple[str, ...]
    order: tuple[str, ...] = ()


_KEYS = dict.fromkeys(KEYS, "VARCHAR")
_BILL = ("source", "billing_account", "billing_period", "service_category")

_ALL = (
    Dataset(
        "charges",
        {
            "source": "VARCHAR",
            "billing_account": "VARCHAR",
            "billing_period": "VARCHAR",  # YYYY-MM
            "delivery": "BIGINT",
            "file": "VARCHAR",
            "line": "BIGINT",
            **{
                name: focus.sql_type(column) for column, name in focus.SNAKE.items()
            },  # tags: JSON object as text
            "extra": "VARCHAR",  # JSON object of the columns FOCUS does not know
        },
        ("source", "billing_account", "billing_period"),
        ("charge_period_start", "resource_id", "file", "line"),
    ),
    Dataset(
        "gpu_samples",
        {
            "source": "VARCHAR",
            "day": "DATE",
            "uuid": "VARCHAR",
            "instance": "VARCHAR",  # GPU_I_ID; empty: the whole GPU
            "profile": "VARCHAR",  # GPU_I_PROFILE, such as 1g.10gb
            "gpu_model": "VARCHAR",
            "metric": "VARCHAR",  # DCGM_FI_PROF_GR_ENGINE_ACTIVE or DCGM_FI_DEV_GPU_UTIL
            "time": "TIMESTAMPTZ",
            "busy": "BIGINT",  # millionths, 0..10^6
            "hosts": "VARCHAR[]",  # the values of the host labels, in the order of the setting
            "namespace": "VARCHAR",  # exported_namespace before namespace
            "pod": "VARCHAR",
            "delivery": "BIGINT",
        },
        ("source", "day"),
        ("uuid", "instance", "metric", "time", "namespace", "pod"),
    ),
    Dataset(
        "requests",
        {
            "source": "VARCHAR",
            "day": "DATE",
            "request_id": "VARCHAR",
            "time": "TIMESTAMPTZ",
            "hour": "INTEGER",  # of the UTC day
            **dict.fromkeys(HASHES, "BIGINT"),  # what they stand for: key_names, place_names
            "input_tokens": "BIGINT",  # NULL where the log has none; so are all below
            "cached_input_tokens": "BIGINT",
            "output_tokens": "BIGINT",
            "gpu_micro_ms": "BIGINT",  # gpu_ms * 10^6, half up
            "latency_micro_ms": "BIGINT",
            "ttft_micro_ms": "BIGINT",
            "queue_micro_ms": "BIGINT",
            "batch_size": "BIGINT",
            "status": "VARCHAR",
            "succeeded": "BOOLEAN",
            "cached": "BOOLEAN",
            "predictions": "BIGINT",
            "value": "DECIMAL(38,12)",
            "delivery": "BIGINT",
            "file": "VARCHAR",
            "line": "BIGINT",
        },
        ("source", "day"),
        ("time", "request_id"),  # as they come, and as an hour of them is read
    ),
    # The keys and the places that a day's requests name, beside the numbers that stand for them.
    Dataset(
        "key_names",
        {"source": "VARCHAR", "day": "DATE", "key_hash": "BIGINT", **_KEYS},
        ("source", "day"),
        KEYS,
    ),
    Dataset(
        "place_names",
        {"source": "VARCHAR", "day": "DATE", "place_hash": "BIGINT", **PLACES},
        ("source", "day"),
        tuple(PLACES),
    ),
    # Which resources a day's requests and metrics name: decides whether a charge's resource is known.
    Dataset(
        "named_resources",
        {
            "source": "VARCHAR",
            "day": "DATE",
            "kind": "VARCHAR",  # request (a resource_id), gpu or mig (host labels of a GPU's, an instance's metrics)
            "uuid": "VARCHAR",  # the GPU; '' of a request
            "names": "VARCHAR[]",  # one resource_id, or the host labels in order
        },
        ("source", "day"),
        ("kind", "uuid", "names"),
    ),
    Dataset(
        "hosts",
        {"host": "VARCHAR", "resource_id": "VARCHAR", "valid_from": "TIMESTAMPTZ", "valid_to": "TIMESTAMPTZ"},
        (),
        ("host", "valid_from"),
    ),
    Dataset(
        "owners",
        {
            "kind": "VARCHAR",  # model, feature, tenant, team
            "name": "VARCHAR",
            "team": "VARCHAR",
            "cost_center": "VARCHAR",
            "owner_email": "VARCHAR",
            "valid_from": "TIMESTAMPTZ",  # NULL: open; from included, to excluded
            "valid_to": "TIMESTAMPTZ",
        },
        (),
        ("kind", "name", "valid_from"),
    ),
    Dataset(
        "rates",
        {"date": "DATE", "currency": "VARCHAR", "rate": "DECIMAL(38,12)"},  # reporting currency per unit
        (),
        ("currency", "date"),
    ),
    # The timetable of the policy: a version holds from its day until the next one does; NULL: since ever.
    Dataset("policy", {"version": "BIGINT", "text": "VARCHAR", "holds_from": "DATE"}, (), ("holds_from",)),
    Dataset(
        "allocations",
        {
            "day": "DATE",
            "hour": "TIMESTAMPTZ",
            **_KEYS,
            "cost_type": "VARCHAR",  # usage, idle, shared, unallocated
            "reason": "VARCHAR",  # of unallocated: no_requests, no_driver; else ''
            "measure": "VARCHAR",  # one of MEASURES; '' where no weight decided
            "pool": "VARCHAR",  # of shared, and of unallocated out of a pool; else ''
            "source": "VARCHAR",
            "billing_account": "VARCHAR",
            "billing_period": "VARCHAR",
            "service_category": "VARCHAR",
            "cost": "DECIMAL(38,12)",  # reporting currency
        },
        ("day",),
        ("hour", *KEYS, "cost_type", "reason", "measure", "pool", *_BILL),
    ),
    # The same by day; measure and reason kept, hour gone.
    Dataset(
        "allocation_days",
        {
            "day": "DATE",
            **_KEYS,
            "cost_type": "VARCHAR",
            "reason": "VARCHAR",
            "measure": "VARCHAR",
            "pool": "VARCHAR",
            "source": "VARCHAR",
            "billing_account": "VARCHAR",
            "billing_period": "VARCHAR",
            "service_category": "VARCHAR",
            "cost": "DECIMAL(38,12)",
        },
        ("day",),
        (*KEYS, "cost_type", "reason", "measure", "pool", *_BILL),
    ),
    # The keys of a day's requests; key_id ranks the key columns, empty first.
    Dataset("request_keys", {"day": "DATE", "key_id": "BIGINT", **_KEYS}, ("day",), ("key_id",)),
    # The units on which a day's requests ran together: a set has a number of that day, from 1.
    Dataset(
        "unit_sets",
        {"day": "DATE", "unit_set": "INTEGER", "unit": "VARCHAR"},
        ("day",),
        ("unit_set", "unit"),
    ),
    # The roll-up of a day's uncached requests: what those of a set of units (0: of none) and key can be weighed by.
    Dataset(
        "request_weights",
        {
            "day": "DATE",
            "hour": "TIMESTAMPTZ",
            "unit_set": "INTEGER",
            "key_id": "BIGINT",
            "succeeded": "BOOLEAN",
            **{f"with_{measure}": "BOOLEAN" for measure in MEASURES if measure != "requests"},
            "requests": "BIGINT",
            # Sums of weights; NULL where the requests lack the measure, or no unit can need their batch's.
            **{measure: "HUGEINT" for measure in MEASURES if measure != "requests"},
            # The same of weights divided (div) over the units of the set; NULL where that changes nothing.
            **{
                f"part_{measure}": "HUGEINT"
                for measure in MEASURES
                if measure not in ("list_price", "requests")
            },
        },
        ("day",),
        ("hour", "unit_set", "key_id", "succeeded", *(f"with_{m}" for m in MEASURES if m != "requests")),
    ),
    # Names under which requests say where they ran, and which no metric, host or resource of the day has.
    Dataset(
        "unplaced",
        {
            "day": "DATE",
            "kind": "VARCHAR",
            "name": "VARCHAR",
            "model": "VARCHAR",
            "provider": "VARCHAR",
            "project": "VARCHAR",
            "rows": "BIGINT",
        },
        ("day",),
        ("kind", "name", "model", "provider", "project"),
    ),
    # What was served, by hour and key: the counts beside the costs.
    Dataset(
        "request_hours",
        {"day": "DATE", "hour": "TIMESTAMPTZ", "key_id": "BIGINT", **_KEYS, **COUNTS},
        ("day",),
        ("hour", *KEYS),
    ),
    Dataset("request_days", {"day": "DATE", **_KEYS, **COUNTS}, ("day",), KEYS),
    # What each unit cost in each window, how busy it was and by what it was shared.
    Dataset(
        "unit_windows",
        {
            "day": "DATE",
            "window_start": "TIMESTAMPTZ",
            "window_end": "TIMESTAMPTZ",
            "unit_kind": "VARCHAR",  # gpu, mig, remainder, resource, model, api
            "resource_id": "VARCHAR",
            "uuid": "VARCHAR",
            "instance": "VARCHAR",
            "gpu_model": "VARCHAR",
            "model": "VARCHAR",  # model and api units: what they are of
            "provider": "VARCHAR",
            "project": "VARCHAR",
            "busy": "BIGINT",  # millionths
            "assumed": "BOOLEAN",  # busy without a sample
            "measure": "VARCHAR",
            "weight": "HUGEINT",
            "usage_cost": "DECIMAL(38,12)",
            "idle_cost": "DECIMAL(38,12)",
        },
        ("day",),
        (
            *("window_start", "window_end", "unit_kind", "resource_id", "uuid", "instance", "model"),
            *("provider", "project", "measure", "busy", "usage_cost", "idle_cost"),
        ),
    ),
    # What became of every charge's part of a day: the bridge from the bill to the allocations.
    Dataset(
        "charge_days",
        {
            "day": "DATE",
            "source": "VARCHAR",
            "billing_account": "VARCHAR",
            "billing_period": "VARCHAR",
            "file": "VARCHAR",  # file and line name the charge within its partition
            "line": "BIGINT",
            "rule": "VARCHAR",  # name of the policy's rule, or default:direct, default:model, default:exclude
            "disposition": "VARCHAR",  # direct, model, api, pool, exclude, unconverted
            "target": "VARCHAR",  # model, provider or pool the rule names; else ''
            "resource_id": "VARCHAR",
            "service_category": "VARCHAR",
            "service_name": "VARCHAR",
            "original_currency": "VARCHAR",
            "original_cost": "DECIMAL(38,12)",  # this day's part of the effective cost
            "cost": "DECIMAL(38,12)",  # converted; NULL where unconverted
        },
        ("day",),
        ("source", "billing_account", "billing_period", "file", "line"),
    ),
    # What did not meet, by cost, each with the line to add.
    Dataset(
        "unmatched",
        {
            "day": "DATE",
            "kind": "VARCHAR",  # excluded_charge, unknown_host, request_without_unit, model_without_owner, …
            "name": "VARCHAR",
            "cost": "DECIMAL(38,12)",  # what hangs on it; 0 where no money does
            "rows": "BIGINT",
            "remedy": "VARCHAR",  # the line to add, and to which file
        },
        ("day",),
        ("kind", "name"),
    ),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}
# What came from outside; all other files are computed, and can be again.
DELIVERED = frozenset(
    "charges gpu_samples requests key_names place_names named_resources hosts owners rates policy".split()
)
