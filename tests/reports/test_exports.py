"""`export allocations` and `export charges`, against contracts.md."""

import csv
import gzip
import io
import json
from datetime import date
from decimal import Decimal

import duckdb
import pytest
from django.core.management import CommandError, call_command

from finops.core.access import Scope
from finops.core.errors import UsageError
from reports import exports
from reports.selection import Selection
from tests.tables import fill

pytestmark = pytest.mark.django_db
FIRST, END = date(2026, 9, 1), date(2026, 10, 1)


@pytest.fixture
def day(db):
    fill(
        "allocation_days",
        """
        day        | model | team   | cost_type   | reason      | source | billing_period | cost
        2026-09-07 | chat  | search | usage       |             | aws    | 2026-09        | 3.00
        2026-09-07 | chat  | nlp    | usage       |             | aws    | 2026-09        | 1.000000000001
        2026-09-07 | chat  | search | idle        |             | aws    | 2026-09        | 1.00
        2026-09-07 | chat  | search | usage       |             | gcp    | 2026-10        | 0.50
        2026-09-07 |       |        | unallocated | no_requests | aws    | 2026-09        | -0.25
    """,
    )
    fill(
        "request_days",
        """
        day        | model | team   | tenant | requests | failed_requests | cached_requests | predictions | input_tokens | cached_input_tokens | output_tokens | gpu_micro_ms
        2026-09-07 | chat  | search | a      | 10       | 1               | 2               | 9           | 100          | 10                  | 50            | 1500000000
        2026-09-07 | chat  | nlp    | b      | 5        | 0               | 0               | 5           | 50           | 0                   | 25            |
        2026-09-07 | embed | nlp    | b      | 7        | 0               | 7               | 7           | 70           | 0                   | 0             |
    """,
    )


def exported(tmp_path, kind="csv", name="out", **asked):
    target = tmp_path / name
    exports.write_allocations(Selection(FIRST, END, **asked), target, kind)
    return target


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_columns_are_those_of_the_contract_in_order(day, tmp_path):
    header = exported(tmp_path, by=("model", "team")).read_text().splitlines()[0]
    assert header == (
        "period,model,team,cost_type,reason,cost,currency,requests,failed_requests,cached_requests,"
        "input_tokens,cached_input_tokens,output_tokens,gpu_seconds"
    )


def test_counts_stand_on_usage_rows_alone_and_once(day, tmp_path):
    rows = table(exported(tmp_path, by=("model", "team")))
    assert sum(int(row["requests"] or 0) for row in rows) == 22
    assert {row["cost_type"] for row in rows if row["requests"]} == {"usage"}


def test_a_key_with_requests_and_no_cost_is_a_usage_row_of_zero(day, tmp_path):
    (row,) = [row for row in table(exported(tmp_path, by=("model",))) if row["model"] == "embed"]
    assert (row["cost_type"], row["cost"], row["requests"]) == ("usage", "0.000000000000", "7")


def test_money_has_twelve_places_and_the_sum_is_exact(day, tmp_path):
    rows = table(exported(tmp_path, by=("tenant",)))
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal("5.250000000001")
    assert all(len(row["cost"].split(".")[1]) == 12 and row["currency"] == "USD" for row in rows)


def test_gpu_seconds_are_exact_and_empty_where_no_log_gives_them(day, tmp_path):
    usage = {
        row["team"]: row for row in table(exported(tmp_path, by=("team",))) if row["cost_type"] == "usage"
    }
    assert usage["search"]["gpu_seconds"] == "1.500000000"
    assert usage["nlp"]["gpu_seconds"] == ""


def test_only_unallocated_rows_have_a_reason(day, tmp_path):
    rows = table(exported(tmp_path, by=("model",)))
    assert {(row["cost_type"], row["reason"]) for row in rows if row["reason"]} == {
        ("unallocated", "no_requests")
    }


def test_a_billing_period_keeps_the_costs_of_one_bill(day, tmp_path):
    rows = table(exported(tmp_path, by=(), billing_period="2026-10"))
    assert [(row["cost_type"], row["cost"]) for row in rows] == [("usage", "0.500000000000")]


def test_requests_are_counted_in_the_billing_period_of_their_month_and_in_no_other(day, tmp_path):
    of = {period: table(exported(tmp_path, billing_period=period)) for period in ("2026-09", "2026-10")}
    assert [sum(int(row["requests"] or 0) for row in rows) for rows in of.values()] == [22, 0]


@pytest.mark.parametrize(("grain", "period"), [("month", "2026-09"), ("day", "2026-09-07")])
def test_a_period_is_written_as_its_grain_asks(day, tmp_path, grain, period):
    assert {row["period"] for row in table(exported(tmp_path, grain=grain))} == {period}


def test_hours_come_from_the_hourly_tables(tmp_path):
    fill(
        "allocations",
        """
        hour                 | model | cost_type | billing_period | cost
        2026-09-07 13:00 UTC | chat  | usage     | 2026-09        | 3.00
        2026-09-07 13:00 UTC | chat  | idle      | 2026-09        | 1.00
    """,
    )
    fill(
        "request_hours",
        """
        hour                 | model | requests | predictions
        2026-09-07 13:00 UTC | chat  | 4        | 4
        2026-09-07 14:00 UTC | chat  | 2        | 2
    """,
    )
    rows = table(exported(tmp_path, grain="hour", by=("model",)))
    assert [(row["period"], row["cost_type"], row["requests"]) for row in rows] == [
        ("2026-09-07T13:00:00Z", "idle", ""),
        ("2026-09-07T13:00:00Z", "usage", "4"),
        ("2026-09-07T14:00:00Z", "usage", "2"),
    ]


def test_the_end_day_is_not_included(day, tmp_path):
    target = tmp_path / "out"
    assert exports.write_allocations(Selection(date(2026, 9, 1), date(2026, 9, 7)), target) == 0
    assert target.read_text().startswith("period,cost_type")


def test_every_format_holds_the_same_rows(day, tmp_path):
    asked = {"by": ("model", "team")}
    rows = table(exported(tmp_path, **asked))
    as_json = json.loads(exported(tmp_path, "json", "out.json", **asked).read_text())
    parquet = duckdb.sql(f"select * from '{exported(tmp_path, 'parquet', 'out.parquet', **asked)}'")
    focus = table(exported(tmp_path, "focus", "focus.csv", **asked))
    packed = gzip.decompress(exported(tmp_path, "csv", "out.csv.gz", **asked).read_bytes()).decode()
    assert [row["cost"] for row in rows] == [row["cost"] for row in as_json]
    assert [Decimal(row["cost"]) for row in rows] == [row[5] for row in parquet.fetchall()]
    assert [(row["cost"], row["cached_input_tokens"]) for row in rows] == [
        (row["EffectiveCost"], row["x_CachedInputTokens"]) for row in focus
    ]
    assert list(csv.DictReader(io.StringIO(packed))) == rows


def test_an_owner_s_export_holds_the_own_teams_alone(day, tmp_path):
    rows = table(exported(tmp_path, by=("team",), scope=Scope(frozenset({"nlp"}))))
    assert {row["team"] for row in rows} == {"nlp"}
    assert table(exported(tmp_path, by=("team",), scope=Scope(frozenset()))) == []


def test_an_unknown_key_is_an_error_that_lists_the_keys():
    with pytest.raises(UsageError, match="'colour' is not a key: expected model, model_version"):
        Selection(FIRST, END, by=("colour",))


def test_excluded_charges_are_listed_with_their_rule(tmp_path):
    fill(
        "charge_days",
        """
        day        | source | billing_account | billing_period | file   | line | rule            | disposition | cost
        2026-09-07 | aws    | 1001            | 2026-09        | a.csv  | 7    | default:exclude | exclude     | 12.50
        2026-09-07 | aws    | 1001            | 2026-09        | a.csv  | 8    | default:direct  | direct      | 3.00
    """,
    )
    exports.write_excluded(Selection(FIRST, END), tmp_path / "out")
    (row,) = table(tmp_path / "out")
    assert (row["line"], row["rule"], row["cost"]) == ("7", "default:exclude", "12.500000000000")
    with pytest.raises(UsageError, match="csv, parquet or json"):
        exports.write_excluded(Selection(FIRST, END), tmp_path / "out", "focus")


def test_the_bill_is_exported_in_focus_columns_with_what_became_of_it(tmp_path):
    fill(
        "charges",
        """
        source | billing_account | billing_account_id | billing_period | file  | line | charge_period_start  | effective_cost | billed_cost
        aws    | 1001            | 1001               | 2026-09        | a.csv | 2    | 2026-09-07 10:00 UTC | 4.00           | 4.5
        gcp    | 77              | 77                 | 2026-09        | b.csv | 2    | 2026-09-08 10:00 UTC | 1.00           | 1
    """,
    )
    fill(
        "charge_days",
        """
        day        | source | billing_account | billing_period | file  | line | rule    | disposition
        2026-09-07 | aws    | 1001            | 2026-09        | a.csv | 2    | support | pool
    """,
    )
    target = tmp_path / "out"
    assert exports.write_charges(FIRST, END, "", target) == 2
    aws, gcp = table(target)
    assert (aws["BillingAccountId"], aws["EffectiveCost"], aws["x_Source"]) == (
        "1001",
        "4.000000000000",
        "aws",
    )
    assert (aws["x_Rule"], aws["x_Disposition"]) == ("support", "pool")
    assert (gcp["x_Rule"], gcp["ChargePeriodStart"]) == ("", "2026-09-08T10:00:00Z")
    assert exports.write_charges(FIRST, END, "gcp", target) == 1


@pytest.mark.parametrize("what", [["charges"], ["allocations", "--grain", "day"]])
def test_a_file_that_cannot_be_written_is_said_in_one_line(tmp_path, what):
    for target in (tmp_path, tmp_path / "missing" / "x.csv"):
        with pytest.raises(CommandError, match="cannot be written: no such folder"):
            call_command("export", *what, "--start", "2026-09-07", "--end", "2026-09-09", "-o", str(target))


@pytest.mark.parametrize("period", ["2026-9", " 2026-09", "9999-12"])
def test_a_billing_period_that_no_bill_can_have_is_refused(day, tmp_path, period):
    days = ("--start", "2026-09-07", "--end", "2026-09-09", "-o", str(tmp_path / "x.csv"))
    with pytest.raises(CommandError, match=r"expected YYYY-MM|expected a year"):
        call_command("export", "allocations", "--grain", "day", "--billing-period", period, *days)
