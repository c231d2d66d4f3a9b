import gzip
import json
from decimal import Decimal

import pytest
import zstandard

from finops.core import warehouse
from finops.core.access import EVERYTHING
from finops.core.errors import FinopsError, UsageError
from ingest.deliveries import accept, deliver, reject
from ingest.models import Delivery, Problem
from ingest.quarantine import Held
from ingest.sources.files import Unreadable
from reports.bridge import Bill, bridges
from tests.ingest.arrivals import FOCUS, bill, charge, costs, rows

pytestmark = pytest.mark.django_db


def bills(snapshot: int | None = None) -> list[Bill]:
    """What is in force of September's bills, by currency, as the bridge begins."""
    return [bill for bridge in bridges("2026-09", EVERYTHING, snapshot) for bill in bridge.bills]


def test_a_cost_keeps_its_digits_and_is_rounded_once_away_from_zero(tmp_path):
    texts = {
        "0.0000000000005": "0.000000000001",
        "-0.0000000000005": "-0.000000000001",
        "0.00000000000049999999999999": "0",
        "5.28E-4": "0.000528",
        "2.323760000E-9": "0.000000002324",
        "-0.00000000603": "-0.00000000603",
        "1E+3": "1000",
        "1.2345678901234567E3": "1234.567890123457",
        "123456789.123456789012": "123456789.123456789012",
        " 7.5 ": "7.5",
    }
    deliver("billing", [bill(tmp_path / "bill.csv", *(charge(text) for text in texts))])
    assert costs() == [Decimal(cost) for cost in texts.values()]


def test_the_delivery_keeps_the_sum_of_the_original_digits(tmp_path):
    deliver("billing", [bill(tmp_path / "bill.csv", *[charge("0.0000000000004")] * 10, charge("1.5"))])
    (total,) = bills()
    assert total.effective == Decimal("1.500000000004")
    assert total.rounding == Decimal("0.000000000004")


@pytest.mark.parametrize("null", ["NULL", "null", "None", "NaN", "", '""', "[]"])
def test_null_has_many_spellings(tmp_path, null):
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1", resource=null))])
    assert rows("charges", "resource_id") == [(None,)]


def test_tags_stay_json_also_where_azure_leaves_out_the_braces(tmp_path):
    lines = [
        charge("1", tags='"{""env"": ""prod""}"'),
        charge("2", tags='"""env"": ""dev"""'),
        charge("3", tags="{}"),
    ]
    deliver("billing", [bill(tmp_path / "bill.csv", *lines)])
    assert rows("charges", "tags", "line") == [('{"env": "prod"}',), ('{"env": "dev"}',), ("{}",)]


def test_columns_that_focus_does_not_know_are_kept(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1") + ",abc,", header=FOCUS + ",x_Operation,Id")
    deliver("billing", [path])
    ((extra,),) = rows("charges", "extra")
    assert json.loads(extra) == {"x_Operation": "abc"}


def test_columns_may_be_missing_reordered_or_in_another_case(tmp_path):
    header = "effectivecost,BilledCost,ChargePeriodStart,ChargePeriodEnd,Resourceid"
    deliver(
        "billing",
        [bill(tmp_path / "b.csv", "2.5,3,2026-09-07 00:00:00,2026-09-07 01:00:00,i-1", header=header)],
    )
    found = rows(
        "charges", "source, billing_account, billing_period, billing_currency, billed_cost, resource_id"
    )
    assert found == [("unknown/", "", "2026-09", "USD", Decimal(3), "i-1")]


def test_the_same_file_twice_changes_nothing(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1"), charge("2"))
    first = deliver("billing", [path])
    before = warehouse.latest()
    again = deliver("billing", [path])
    assert again.already_there
    assert again.delivery == first.delivery
    assert warehouse.latest() == before
    assert sorted(costs()) == [1, 2]


def test_new_content_replaces_the_period_and_the_old_version_stays_readable(tmp_path):
    first = deliver("billing", [bill(tmp_path / "bill.csv", charge("1"), charge("2"))])
    before = warehouse.latest()
    second = deliver("billing", [bill(tmp_path / "bill.csv", charge("1"), charge("2.5"))])
    assert costs() == [Decimal(1), Decimal("2.5")]
    assert costs(before) == [1, 2]
    first.delivery.refresh_from_db()
    assert first.delivery.state == Delivery.State.SUPERSEDED
    assert first.delivery.replaced_by == second.delivery
    assert [total.effective for total in bills()] == [Decimal("3.5")]
    assert [total.effective for total in bills(before)] == [Decimal(3)]


def test_an_earlier_version_delivered_again_is_put_back(tmp_path):
    old, new = bill(tmp_path / "old.csv", charge("3")), bill(tmp_path / "new.csv", charge("4"))
    for path in (old, new, old):
        deliver("billing", [path])
    assert costs() == [3]


def test_two_chunks_are_one_delivery(tmp_path):
    bill(tmp_path / "run" / "part-1.csv", charge("1"))
    bill(tmp_path / "run" / "part-2.csv", charge("2"))
    deliver("billing", [tmp_path / "run"])
    assert sorted(costs()) == [1, 2]


def test_two_providers_never_replace_each_other(tmp_path):
    deliver("billing", [bill(tmp_path / "aws.csv", charge("1"))])
    deliver("billing", [bill(tmp_path / "gcp.csv", charge("2").replace("AWS", "Google Cloud"))])
    assert rows("charges", "source, effective_cost") == [("AWS/1001", 1), ("Google Cloud/1001", 2)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz", "bill.csv.zst"])
def test_compression_is_told_by_the_bytes_not_by_the_name(tmp_path, pack, name):
    path = bill(tmp_path / name, charge("1"))
    path.write_bytes(pack(path.read_bytes()))
    deliver("billing", [path])
    assert costs() == [1]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_file_that_is_cut_short_loads_nothing(tmp_path, pack):
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1"))])
    path = bill(tmp_path / "cut", *[charge(str(n)) for n in range(2000)])
    path.write_bytes(pack(path.read_bytes())[:-12])
    with pytest.raises(Unreadable, match=r"cut: .*cut short"):
        deliver("billing", [path])
    assert costs() == [1]


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1"), charge("2", resource='"i\n1"'), charge("3"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    deliver("billing", [path])
    assert costs() == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        (b"id,name\n1,x\n", "EffectiveCost"),
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip"),
        (b"PAR1nonsense", "Parquet"),
    ],
)
def test_what_is_no_bill_says_so_and_loads_nothing(tmp_path, content, said):
    path = tmp_path / "bill.csv"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=said):
        deliver("billing", [path])
    assert warehouse.latest() == 0
    assert Delivery.objects.get().state == Delivery.State.FAILED


def test_a_bill_of_a_header_alone_leaves_the_earlier_one_in_force(tmp_path):
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1"))])
    with pytest.raises(Unreadable, match=r"empty\.csv: a header and no rows"):
        deliver("billing", [bill(tmp_path / "empty.csv")])
    assert costs() == [1]


def test_a_period_of_an_account_under_two_sources_is_said_to_count_twice(tmp_path):
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1"))], source="mine")
    outcome = deliver("billing", [bill(tmp_path / "again.csv", charge("2"))])
    (note,) = [note for note in outcome.notes if note.startswith("attention")]
    assert "is in force as source mine, too, and both count; to replace it give --source mine" in note
    assert sorted(costs()) == [1, 2]


def test_a_held_bill_says_where_its_first_unusable_row_is(tmp_path):
    path = bill(tmp_path / "bill.csv", *[charge("1")] * 30, charge("abc"))
    with pytest.raises(Held, match=r"1 of 31 rows cannot be used; the first: bill\.csv, line 32: .*abc"):
        deliver("billing", [path])


def test_rows_outside_the_period_stay_with_the_period_of_their_bill(tmp_path):
    late = charge("2").replace("2026-09-07T", "2026-10-03T")
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1"), late)])
    assert rows("charges", "billing_period, effective_cost") == [("2026-09", 1), ("2026-09", 2)]


def test_a_short_row_with_its_costs_is_loaded_and_one_with_too_much_is_not(tmp_path):
    many = [charge("1") for _ in range(60)]
    short = charge("2").rsplit(",", 2)[0]
    deliver("billing", [bill(tmp_path / "short.csv", *many, short)])
    assert sum(costs()) == 62
    with pytest.raises(Held):
        deliver("billing", [bill(tmp_path / "long.csv", *many, charge("2") + ",x,y")])
    assert sum(costs()) == 62


def test_a_cost_that_cannot_be_read_holds_the_delivery(tmp_path):
    good = bill(tmp_path / "bill.csv", *[charge("1")] * 50)
    deliver("billing", [good])
    with pytest.raises(Held) as held:
        deliver("billing", [bill(tmp_path / "bad.csv", *[charge("1")] * 50, charge("#REF!"))])
    assert len(costs()) == 50
    problem = Problem.objects.get()
    assert (problem.file, problem.line, problem.loaded) == ("bad.csv", 52, False)
    assert "#REF!" in problem.reason
    assert held.value.delivery.state == Delivery.State.HELD


def test_a_bad_row_whose_cost_can_be_read_is_loaded_and_shown(tmp_path):
    bad = charge("5").replace("2026-09-07T00:00:00Z", "yesterday")
    deliver("billing", [bill(tmp_path / "bill.csv", *[charge("1")] * 50, bad)])
    assert sum(costs()) == 55
    problem = Problem.objects.get()
    assert (problem.line, problem.loaded) == (52, True)
    assert "yesterday" in problem.reason


def test_more_than_five_percent_bad_rows_hold_the_delivery(tmp_path):
    bad = charge("5").replace("2026-09-07T00:00:00Z", "yesterday")
    with pytest.raises(Held, match="more than 5 %"):
        deliver("billing", [bill(tmp_path / "bill.csv", *[charge("1")] * 10, bad)])


@pytest.mark.parametrize("expected", ["6", "6.00", "9"])
def test_a_bill_is_loaded_where_its_total_is_the_expected_one(tmp_path, expected):
    lines = [charge("1", billed="2"), charge("2", billed="3"), charge("3", billed="4")]
    deliver("billing", [bill(tmp_path / "bill.csv", *lines)], expected_total=expected)
    assert len(costs()) == 3


def test_another_total_than_expected_holds_the_delivery_until_the_right_one_is_given(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1"), charge("2"))
    with pytest.raises(Held, match=r"not 3\.01 but 3"):
        deliver("billing", [path], expected_total="3.01")
    assert costs() == []
    deliver("billing", [path], expected_total="3.00")
    assert sorted(costs()) == [1, 2]
    assert not Delivery.objects.filter(state=Delivery.State.HELD).exists()
    with pytest.raises(FinopsError, match="already"):
        deliver("billing", [path], expected_total="4")


def test_an_expected_total_that_is_no_amount_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError):
        deliver("billing", [bill(tmp_path / "bill.csv", charge("1"))], expected_total="much")


def test_a_period_that_shrank_by_more_than_half_is_held(tmp_path):
    deliver("billing", [bill(tmp_path / "bill.csv", *[charge("1")] * 5)])
    with pytest.raises(Held, match="shrank from 5 rows to 2"):
        deliver("billing", [bill(tmp_path / "less.csv", *[charge("1")] * 2)])
    assert len(costs()) == 5
    deliver("billing", [bill(tmp_path / "some.csv", *[charge("1")] * 3)])
    assert len(costs()) == 3


def test_a_held_delivery_is_accepted_after_its_file_is_gone(tmp_path):
    path = bill(tmp_path / "bill.csv", charge("1"), charge("2"))
    with pytest.raises(Held) as held:
        deliver("billing", [path], expected_total="4")
    path.unlink()
    outcome = accept(held.value.delivery.pk)
    assert outcome.delivery.state == Delivery.State.LOADED
    assert sorted(costs()) == [1, 2]
    assert rows("charges", "file, line") == [("bill.csv", 2), ("bill.csv", 3)]
    with pytest.raises(FinopsError, match="not held"):
        accept(held.value.delivery.pk)


def test_a_rejected_delivery_changes_nothing(tmp_path):
    with pytest.raises(Held) as held:
        deliver("billing", [bill(tmp_path / "bill.csv", charge("1"))], expected_total="4")
    assert reject(held.value.delivery.pk, "wrong account").message == "rejected: wrong account"
    assert costs() == []
    with pytest.raises(FinopsError, match="not held"):
        reject(held.value.delivery.pk)


def test_an_azure_manifest_whose_counts_are_right_loads_and_the_same_manifest_with_others_is_held(tmp_path):
    folder = tmp_path / "export" / "20260901-20260930" / "run"
    part = bill(folder / "part_0_0001.csv", charge("1"), charge("2"))
    manifest = {
        "blobs": [{"blobName": f"cost/{part.name}", "byteCount": part.stat().st_size, "dataRowCount": 2}],
        "runInfo": {"startDate": "2026-09-01T00:00:00", "submittedTime": "2026-09-08T01:00:00.1032074Z"},
        "dataRowCount": 3,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Held, match="2 rows, not the 3"):
        deliver("billing", [folder / "manifest.json"])
    (folder / "manifest.json").write_text(json.dumps(manifest | {"dataRowCount": 2}))
    deliver("billing", [folder])
    assert sorted(costs()) == [1, 2]


def test_a_manifest_that_names_a_missing_file_loads_nothing_until_it_is_there(tmp_path):
    data = tmp_path / "data" / "BILLING_PERIOD=2026-09"
    bill(data / "x-00001.csv", charge("1"))
    names = [f"s3://bucket/prefix/x/data/BILLING_PERIOD=2026-09/x-0000{n}.csv" for n in (1, 2)]
    manifest = tmp_path / "metadata" / "BILLING_PERIOD=2026-09" / "x-Manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"dataFiles": names}))
    with pytest.raises(Held, match=r"x-00002\.csv, which is not here"):
        deliver("billing", [manifest])
    assert costs() == []
    bill(data / "x-00002.csv", charge("2"))
    deliver("billing", [tmp_path])
    assert sorted(costs()) == [1, 2]


def test_of_several_runs_of_an_export_only_the_newest_counts(tmp_path):
    for run, cost in (("2026-09-08T02:00:00.000Z-b", "7"), ("2026-09-07T02:00:00.000Z-a", "5")):
        base = tmp_path / "data" / "BILLING_PERIOD=2026-09" / run.replace(":", "_")
        bill(base / "x-00001.csv", charge(cost))
        manifest = tmp_path / "metadata" / "BILLING_PERIOD=2026-09" / run[:10] / "x-Manifest.json"
        manifest.parent.mkdir(parents=True)
        name = f"s3://bucket/data/BILLING_PERIOD=2026-09/{run}/x-00001.csv"
        manifest.write_text(json.dumps({"exportArn": "arn:x", "dataFiles": [name]}))
    deliver("billing", [tmp_path])
    assert costs() == [7]


def test_a_checksum_that_differs_from_the_manifest_holds_the_delivery(tmp_path):
    bill(tmp_path / "a.csv", charge("1"))
    (tmp_path / "manifest.json").write_text(json.dumps({"files": [{"name": "a.csv", "sha256": "0" * 64}]}))
    with pytest.raises(Held, match="another checksum"):
        deliver("billing", [tmp_path / "manifest.json"])


def test_parquet_doubles_are_read_by_their_shortest_digits_and_maps_as_tags(tmp_path):
    con = warehouse.connect()
    path = tmp_path / "BILLING_PERIOD=2026-09" / "bill.parquet"
    path.parent.mkdir()
    con.execute(
        "copy (select '1001' as BillingAccountId, 'USD' as BillingCurrency, timestamp '2026-09-01' as BillingPeriodStart, "
        "timestamp '2026-09-07' as ChargePeriodStart, timestamp '2026-09-07 01:00:00' as ChargePeriodEnd, "
        "0.1::double as BilledCost, 0.30000000000000004::double as EffectiveCost, 'AWS' as ProviderName, "
        f"map {{'env': 'prod'}} as Tags) to '{path}' (format parquet)"
    )
    deliver("billing", [path])
    found = rows(
        "charges", "billed_cost, effective_cost, tags, billing_period, charge_period_start::varchar, extra"
    )
    assert found == [
        (Decimal("0.1"), Decimal("0.3"), '{"env":"prod"}', "2026-09", "2026-09-07 00:00:00+00", None)
    ]
    assert bills()[0].effective == Decimal("0.30000000000000004")


def test_other_currencies_are_kept_apart(tmp_path):
    deliver("billing", [bill(tmp_path / "bill.csv", charge("1"), charge("2").replace("USD", "eur"))])
    assert [(total.currency, total.effective) for total in bills()] == [("EUR", 2), ("USD", 1)]


def test_a_closed_month_that_is_restated_stays_readable_as_it_was(tmp_path):
    """First without an invoice, then with one and a correction; then a credit. Each state can still be read."""
    header = FOCUS + ",InvoiceId,ChargeClass,ChargeCategory"
    states = [
        [charge("4") + ",,,Usage"],
        [charge("4") + ",INV-1,,Usage", charge("-0.5") + ",INV-1,Correction,Adjustment"],
        [
            charge("4") + ",INV-1,,Usage",
            charge("-0.5") + ",INV-1,Correction,Adjustment",
            charge("-1") + ",,,Credit",
        ],
    ]
    snapshots = []
    for number, lines in enumerate(states):
        outcome = deliver("billing", [bill(tmp_path / f"{number}.csv", *lines, header=header)])
        snapshots.append(warehouse.latest())
    assert outcome.notes == ["replaces 2026-09 of AWS/1001: 2 to 3 rows, effective cost 3.5 to 2.5 USD (-1)"]
    assert [sum(costs(snapshot)) for snapshot in snapshots] == [4, Decimal("3.5"), Decimal("2.5")]
    exact = [sum(total.effective for total in bills(snapshot)) for snapshot in snapshots]
    assert exact == [4, Decimal("3.5"), Decimal("2.5")]
    assert rows("charges", "invoice_id, charge_class, charge_category", "line") == [
        ("INV-1", None, "Usage"),
        ("INV-1", "Correction", "Adjustment"),
        (None, None, "Credit"),
    ]


def test_columns_may_come_and_go_between_two_deliveries(tmp_path):
    deliver("billing", [bill(tmp_path / "a.csv", charge("1") + ",abc", header=FOCUS + ",x_Old")])
    header = FOCUS.replace(",ResourceId", "") + ",x_New,ServiceSubcategory"
    line = charge("1").replace(",i-1,", ",") + ",def,Compute"
    deliver("billing", [bill(tmp_path / "b.csv", line, header=header)])
    assert rows("charges", "resource_id, service_subcategory, extra") == [
        (None, "Compute", '{"x_New":"def"}')
    ]


def test_chunks_of_one_run_may_have_other_columns_in_another_order(tmp_path):
    bill(tmp_path / "run" / "1.csv", charge("1"))
    columns, values = FOCUS.split(","), charge("2").split(",")
    backwards = ",".join(reversed(values))
    bill(tmp_path / "run" / "2.csv", backwards + ",x", header=",".join(reversed(columns)) + ",ServiceName")
    deliver("billing", [tmp_path / "run"])
    assert rows("charges", "effective_cost, resource_id, service_name", "line, file") == [
        (1, "i-1", None),
        (2, "i-1", "x"),
    ]


def test_what_nobody_can_be_charged_for_is_loaded_like_all_else(tmp_path):
    """Untagged, tax, support, credits and unused commitments: attribution shows them as what they are."""
    header = FOCUS + ",ChargeCategory,CommitmentDiscountStatus,ServiceName"
    lines = [
        charge("1", tags="{}") + ",Usage,,EC2",
        charge("2", tags="NULL") + ",Usage,,EC2",
        charge("0.19", resource="") + ",Tax,,",
        charge("5", resource="") + ",Usage,,AWS Support",
        charge("-0.0000000676", resource="") + ",Credit,,EC2",
        charge("3", billed="0", resource="ri-1") + ",Usage,Unused,EC2",
        charge("0", billed="9", resource="ri-1") + ",Purchase,,EC2",
    ]
    outcome = deliver("billing", [bill(tmp_path / "b.csv", *lines, header=header)])
    assert (outcome.delivery.rows, outcome.delivery.bad_rows) == (7, 0)
    assert outcome.delivery.total == "11.1899999324 USD"
    assert sum(costs()) == Decimal("11.1899999324")


def test_hours_from_24_on_are_of_the_next_day(tmp_path):
    """As the examples of the FOCUS specification write them."""
    line = charge("1").replace("2026-09-07T01:00:00Z", "2026-09-07T30:00:00Z")
    no_time = charge("2").replace("T01:00:00Z", "T99:00:00Z")
    outcome = deliver("billing", [bill(tmp_path / "b.csv", *[line] * 30, no_time)])
    assert rows("charges", "charge_period_end::varchar", "line")[0] == ("2026-09-08 06:00:00+00",)
    assert [p.reason for p in outcome.delivery.problems.all()] == [
        "ChargePeriodEnd is no time: 2026-09-07T99:00:00Z, taken as the start"
    ]


def test_text_that_is_not_utf_8_says_where(tmp_path):
    path = bill(tmp_path / "b.csv", charge("1"), charge("2", resource="Büro"))
    path.write_bytes(path.read_text().encode("latin-1"))
    with pytest.raises(Unreadable, match=r"b\.csv.*[Ll]ine: 3"):
        deliver("billing", [path])
