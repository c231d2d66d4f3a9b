import csv
import io
import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.errors import FinopsError, UsageError
from reports import billing_periods, closing, statements
from reports.cost_centers import CostCenters
from reports.figures import COST_TYPES
from reports.ledger import ledger_csv
from reports.line_detail import line_detail
from reports.lines import LineKey, rounded
from reports.models import ClosedMonth, StatementLine
from reports.statements import NoSuchStatement
from tests.tables import fill, rows

pytestmark = pytest.mark.django_db


def bill(table: str) -> None:
    """A bill that is attributed at once: charges of an hour that name their model, and one allocation of each.

    `on` is the hour, `cost` the charge; keys and cost type are those of its allocation.
    """
    found = rows(table)
    for row in found:
        row.setdefault("period", row["on"][:7])
        row.setdefault("source", "aws")
    charges = [
        "source | billing_account | billing_period | file | line | billing_currency | "
        "charge_period_start | billed_cost | effective_cost"
    ]
    taken = [
        "day | source | billing_account | billing_period | file | line | rule | disposition | target | "
        "original_currency | original_cost | cost"
    ]
    for number, row in enumerate(found, 1):
        one = f"{row['source']} | 1 | {row['period']}"
        charges.append(f"{one} | bill | {number} | USD | {row['on']}:00 UTC | {row['cost']} | {row['cost']}")
        taken.append(
            f"{row['on'][:10]} | {one} | bill | {number} | default:model | model | {row.get('model', '')} | USD "
            f"| {row['cost']} | {row['cost']}"
        )
    keys = [name for name in found[0] if name not in {"on", "cost", "source", "period", "cost_type"}]
    allocated = [f"day | source | billing_account | billing_period | cost_type | cost | {' | '.join(keys)}"]
    allocated += [
        f"{row['on'][:10]} | {row['source']} | 1 | {row['period']} | {row.get('cost_type', 'usage')} | "
        + " | ".join(row[name] for name in ("cost", *keys))
        for row in found
    ]
    fill("charges", "\n".join(charges))
    fill("charge_days", "\n".join(taken))
    fill("allocation_days", "\n".join(allocated))


SEPTEMBER = """
    on               | team   | model | feature | cost
    2026-09-01 10:00 | search | rank  | home    | 10.004
    2026-09-02 10:00 | search | chat  | help    |  0.333333333333
    2026-09-02 11:00 | nlp    | chat  |         |  5.554
    2026-09-03 10:00 |        | chat  |         |  1.111
    2026-09-03 11:00 |        |       |         |  2.222
"""


def amounts(period: str, scope: Scope = EVERYTHING) -> dict[str, Decimal]:
    return {one.name: one.amount for one in statements.month(period, scope).statements}


def test_every_allocation_is_on_one_statement_and_all_add_up_to_the_bill():
    bill(SEPTEMBER)
    month = statements.month("2026-09", EVERYTHING)
    assert amounts("2026-09") == {
        "nlp": Decimal("5.55"),
        "search": Decimal("10.34"),
        "No owner": Decimal("1.11"),
        "Platform": Decimal("2.22"),
    }
    assert month.bill == Decimal("19.224333333333")
    assert month.charged == Decimal("19.22")
    for one in month.statements:
        assert sum(line.amount for line in one.lines) == one.amount


def test_a_cost_with_any_key_but_no_team_has_no_owner_and_one_without_key_is_the_platforms():
    bill("""
        on               | region | environment | cost_type   | cost
        2026-09-01 10:00 | eu     |             | shared      | 1
        2026-09-01 11:00 |        | prod        | usage       | 2
        2026-09-01 12:00 |        |             | idle        | 4
        2026-09-01 13:00 |        |             | unallocated | 8
    """)
    assert amounts("2026-09") == {"No owner": Decimal("3.00"), "Platform": Decimal("12.00")}


def test_a_statements_month_is_the_billing_period_and_not_the_calendars():
    bill("""
        on               | period  | team | cost
        2026-09-30 23:00 | 2026-10 | nlp  | 1
        2026-10-01 00:00 | 2026-09 | nlp  | 2
    """)
    assert amounts("2026-09")["nlp"] == Decimal("2.00")
    (line,) = statements.statement("2026-09", "team/nlp", EVERYTHING).lines
    assert (line.charge_period_start, line.charge_period_end) == (date(2026, 10, 1), date(2026, 10, 2))


def test_an_owner_sees_the_own_teams_alone():
    bill(SEPTEMBER)
    mine = Scope(frozenset({"nlp"}))
    assert amounts("2026-09", mine) == {"nlp": Decimal("5.55")}
    assert statements.month("2026-09", mine).bill is None
    for slug in ("team/search", "no-owner", "platform", "team/none"):
        with pytest.raises(NoSuchStatement):
            statements.statement("2026-09", slug, mine)
    assert "search" not in ledger_csv(statements.month("2026-09", mine))
    closing.close("2026-09", "fin")
    assert "search" not in ledger_csv(statements.month("2026-09", mine))


cents = st.decimals(min_value=-(10**9), max_value=10**9, places=12)
keys = st.builds(
    LineKey,
    st.sampled_from(["team/a", "team/b", "team/c", "no-owner", "platform"]),
    st.sampled_from(COST_TYPES),
    st.sampled_from(["", "m1", "m2"]),
    st.sampled_from(["", "f1"]),
)


@given(st.dictionaries(keys, cents, max_size=30), st.sampled_from(["0.01", "1", "0.001"]))
def test_lines_add_up_to_statements_and_statements_to_the_bill(exact, unit):
    unit = Decimal(unit)
    amounts = rounded(exact, unit)
    bill = sum(exact.values(), Decimal(0))
    assert amounts.keys() == exact.keys()
    assert abs(sum(amounts.values()) - bill) <= unit / 2
    for slug in {key.statement for key in exact}:
        of_statement = [key for key in exact if key.statement == slug]
        difference = sum(amounts[key] for key in of_statement) - sum(exact[key] for key in of_statement)
        assert abs(difference) < unit
    for key, amount in amounts.items():
        assert amount % unit == 0
        assert abs(amount - exact[key]) < unit


def test_the_ledger_has_a_row_a_line_with_its_cost_centre():
    bill(SEPTEMBER)
    fill(
        "owners",
        """
        kind    | name   | team   | cost_center | valid_from | valid_to
        team    | search | search | CC-1        |            | 2026-09-30 00:00 UTC
        team    | search | search | CC-2        | 2026-09-30 00:00 UTC |
        model   | chat   | nlp    | CC-3        |            |
    """,
    )
    table = list(csv.DictReader(io.StringIO(ledger_csv(statements.month("2026-09", EVERYTHING)))))
    assert [
        (row["statement"], row["cost_center"], row["model"], row["feature"], row["amount"]) for row in table
    ] == [
        ("team/nlp", "CC-3", "chat", "", "5.55"),
        ("team/search", "CC-2", "chat", "help", "0.33"),
        ("team/search", "CC-2", "rank", "home", "10.01"),
        ("no-owner", "", "chat", "", "1.11"),
        ("platform", "", "", "", "2.22"),
    ]
    assert {row["currency"] for row in table} == {"USD"}


def test_a_cost_centre_is_the_features_then_the_models_then_what_all_agree_on():
    centers = CostCenters(
        of_feature={("nlp", "help"): "F"},
        of_model={("nlp", "chat"): "M", ("one", "x"): "O", ("nlp", "y"): "Y"},
    )
    assert centers.of(LineKey("team/nlp", "usage", "chat", "help")) == "F"
    assert centers.of(LineKey("team/nlp", "idle", "chat")) == "M"
    assert centers.of(LineKey("team/nlp", "shared", "z")) == ""
    assert centers.of(LineKey("team/one", "shared", "z")) == "O"
    assert centers.of(LineKey("no-owner", "usage", "chat", "help")) == ""


def test_a_line_opens_into_its_days_tenants_and_charges():
    bill("""
        on               | team | model | tenant | cost
        2026-09-01 10:00 | nlp  | chat  | acme   | 1
        2026-09-02 10:00 | nlp  | chat  | acme   | 2
        2026-09-02 11:00 | nlp  | chat  | bolt   | 4
        2026-09-02 12:00 | nlp  | rank  | bolt   | 8
    """)
    detail = line_detail("2026-09", LineKey("team/nlp", "usage", "chat"), EVERYTHING)
    assert detail.line.amount == Decimal("7.00")
    assert [(part.value, part.cost) for part in detail.parts["day"]] == [("2026-09-01", 1), ("2026-09-02", 6)]
    assert [(part.value, part.cost) for part in detail.parts["tenant"]] == [("bolt", 4), ("acme", 3)]
    for parts in detail.parts.values():
        assert sum(part.cost for part in parts) == detail.line.exact
    (behind,) = detail.charges
    assert (behind.rule, behind.charges, behind.cost) == ("default:model", 3, 7)
    with pytest.raises(NoSuchStatement):
        line_detail("2026-09", LineKey("team/nlp", "usage", "chat"), Scope(frozenset({"search"})))


def test_a_month_that_still_runs_may_be_closed_and_says_what_that_means():
    bill(SEPTEMBER)
    assert "runs until 2026-09-30" in closing.cautions("2026-09", date(2026, 9, 30))[0]
    assert closing.cautions("2026-09", date(2026, 10, 1)) == []


def test_a_closed_month_says_the_same_for_ever_and_the_difference_goes_to_the_open_one():
    bill(SEPTEMBER)
    bill("""
        on               | team | model | cost
        2026-10-01 10:00 | nlp  | chat  | 3
    """)
    closed = closing.close("2026-09", "fin")
    before = ledger_csv(statements.month("2026-09", EVERYTHING))
    bill(SEPTEMBER.replace("5.554", "7.004"))
    assert ledger_csv(statements.month("2026-09", EVERYTHING)) == before
    assert statements.month("2026-09", EVERYTHING).snapshot == closed.snapshot

    october = statements.statement("2026-10", "team/nlp", EVERYTHING)
    (correction,) = october.corrections
    assert (october.charged, october.corrected, october.amount) == (
        Decimal(3),
        Decimal("1.45"),
        Decimal("4.45"),
    )
    assert (correction.charge_class, correction.period) == ("Correction", "2026-09")
    assert (correction.charge_period_start, correction.charge_period_end) == (
        date(2026, 9, 2),
        date(2026, 9, 3),
    )
    whole = [statements.month(period, EVERYTHING) for period in ("2026-09", "2026-10")]
    assert sum(month.amount for month in whole) == Decimal("20.67") + 3

    detail = line_detail("2026-10", correction.key, EVERYTHING, corrects="2026-09")
    assert [(change.was, change.now) for change in detail.changes] == [(Decimal("5.554"), Decimal("7.004"))]


def test_the_page_of_a_correction_shows_what_changed_and_adds_up_to_it(client, finance):
    days = "on | team | model | cost\n" + "\n".join(
        f"2026-09-{day:02} 10:00 | nlp | chat | {day}.00" for day in range(1, 11)
    )
    bill(days)
    bill("on | team | model | cost\n2026-10-01 10:00 | nlp | chat | 3")
    closing.close("2026-09", "fin")
    bill(days.replace("| 4.00", "| 6.50").replace("| 9.00", "| 8.25"))
    client.force_login(finance)
    address = "/statements/2026-10/lines/team/nlp/?cost_type=usage&model=chat&feature=&pool=&reason=&corrects=2026-09"
    page = client.get(address).content.decode()
    assert re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page)[:3] == [
        ("Booked", "1.75"),
        ("Exact cost behind it", "1.75"),
        ("Days that changed", "2"),
    ]
    tables = re.findall(
        r"<caption[^>]*>([^<]+)</caption>.*?<tbody>(.*?)</tbody>(?:.*?<tfoot>(.*?)</tfoot>)?", page, re.S
    )
    ((caption, body, foot),) = tables
    assert caption == "Changed days"
    assert re.findall(r"\d{4}-\d\d-\d\d</th>", body) == ["2026-09-04</th>", "2026-09-09</th>"]
    assert re.findall(r">([+−]?[\d.]+)</td>", body) == ["+2.50", "−0.75"]
    assert re.findall(r">([+−]?[\d.]+)</td>", foot) == ["13.00", "14.75", "+1.75"]


def test_corrections_are_frozen_with_the_open_month_and_not_made_twice():
    bill(SEPTEMBER)
    bill("on | team | model | cost\n2026-10-01 10:00 | nlp | chat | 3")
    closing.close("2026-09", "fin")
    bill(SEPTEMBER.replace("5.554", "7.004"))
    closing.close("2026-10", "fin")
    bill("on | team | model | cost\n2026-11-01 10:00 | nlp | chat | 1")
    assert statements.month("2026-11", EVERYTHING).corrected == 0
    bill(SEPTEMBER.replace("5.554", "6.004"))
    november = statements.month("2026-11", EVERYTHING)
    assert november.corrected == Decimal("-1.00")
    assert statements.month("2026-10", EVERYTHING).corrected == Decimal("1.45")


def test_a_correction_goes_to_the_first_open_month_after_it():
    bill(SEPTEMBER)
    bill("on | team | model | cost\n2026-10-01 10:00 | nlp | chat | 3")
    bill("on | team | model | cost\n2026-11-01 10:00 | nlp | chat | 1")
    closing.close("2026-09", "fin")
    bill(SEPTEMBER.replace("5.554", "7.004"))
    assert statements.month("2026-10", EVERYTHING).corrected == Decimal("1.45")
    assert statements.month("2026-11", EVERYTHING).corrected == 0


def test_a_reopened_month_becomes_version_2_and_version_1_stays_readable():
    bill(SEPTEMBER)
    closing.close("2026-09", "fin")
    first = ledger_csv(statements.month("2026-09", EVERYTHING))
    with pytest.raises(UsageError):
        closing.reopen("2026-09", "fin", " ")
    closing.reopen("2026-09", "fin", "the invoice was wrong")
    bill(SEPTEMBER.replace("5.554", "7.004"))
    assert statements.month("2026-09", EVERYTHING).state == "open"
    assert amounts("2026-09")["nlp"] == Decimal("7.00")
    closing.close("2026-09", "fin")
    assert statements.month("2026-09", EVERYTHING).version == 2
    assert ledger_csv(statements.month("2026-09", EVERYTHING, version=1)) == first
    assert statements.month("2026-09", EVERYTHING, version=1).state == "replaced"
    for version in (3, 7):
        with pytest.raises(FinopsError, match=f"no version {version}"):
            statements.month("2026-09", EVERYTHING, version=version)


def test_a_month_whose_corrections_are_closed_elsewhere_is_not_reopened_before_they_are():
    bill(SEPTEMBER)
    bill("on | team | model | cost\n2026-10-01 10:00 | nlp | chat | 3")
    closing.close("2026-09", "fin")
    bill(SEPTEMBER.replace("5.554", "7.004"))
    closing.close("2026-10", "fin")
    with pytest.raises(FinopsError, match="2026-10 is closed and holds corrections"):
        closing.reopen("2026-09", "fin", "why not")
    closing.reopen("2026-10", "fin", "first")
    closing.reopen("2026-09", "fin", "then")
    assert statements.month("2026-10", EVERYTHING).corrected == 0
    assert amounts("2026-09")["nlp"] == Decimal("7.00")


def test_once_every_month_is_closed_the_next_one_takes_the_corrections():
    bill(SEPTEMBER)
    closing.close("2026-09", "fin")
    bill(SEPTEMBER.replace("5.554", "7.004"))
    assert [(one.period, one.state) for one in billing_periods.months()] == [
        ("2026-10", "open"),
        ("2026-09", "closed"),
    ]
    assert statements.month("2026-10", EVERYTHING).corrected == Decimal("1.45")
    assert statements.month("2026-11", EVERYTHING).corrected == 0


def test_a_correction_of_less_than_a_cent_is_kept_and_not_shown():
    bill(SEPTEMBER)
    closing.close("2026-09", "fin")
    bill(SEPTEMBER.replace("5.554", "5.553"))
    october = statements.statement("2026-10", "team/nlp", EVERYTHING)
    assert october.corrections == ()
    assert [line.exact for line in october.booked] == [Decimal("-0.001")]
    bill("on | team | model | cost\n2026-10-01 10:00 | nlp | chat | 3")
    closing.close("2026-10", "fin")
    assert "Correction" not in ledger_csv(statements.month("2026-10", EVERYTHING))
    assert statements.month("2026-11", EVERYTHING).lines == []


def test_what_was_closed_cannot_be_changed_or_deleted():
    bill(SEPTEMBER)
    closed = closing.close("2026-09", "fin")
    line = closed.lines.first()
    for harm in (line.save, line.delete, closed.delete):
        with pytest.raises(FinopsError):
            harm()
    with pytest.raises(FinopsError, match="is closed: version 1"):
        closing.close("2026-09", "fin")
    assert ClosedMonth.objects.count() == 1
    assert StatementLine.objects.count() == 5


def test_a_month_without_a_bill_cannot_be_closed():
    with pytest.raises(closing.CannotClose, match="no bill"):
        closing.close("2026-09", "fin")


def test_days_not_attributed_yet_and_a_bridge_in_red_stand_in_the_way():
    bill(SEPTEMBER)
    fill(
        "charges",
        """
        source | billing_account | billing_period | line | charge_period_start | effective_cost | billed_cost
        aws    | 1               | 2026-09        | 9    | 2026-09-20 10:00 UTC | 4              | 4
        gcp    | 2               | 2026-09        | 9    | 2026-09-02 10:00 UTC | 1              | 1
    """,
    )
    fill(
        "allocation_days",
        """
        day        | source | billing_account | billing_period | cost_type | cost
        2026-09-03 | azure  | 3               | 2026-09        | idle      | 1
    """,
    )
    with pytest.raises(closing.CannotClose) as caught:
        closing.close("2026-09", "fin")
    assert any("aws 1: days not attributed yet" in reason for reason in caught.value.reasons)
    assert any(
        "azure 3: the bridge does not end in 0.00 but in -1" in reason for reason in caught.value.reasons
    )
    assert not ClosedMonth.objects.exists()


@given(st.lists(st.tuples(*[st.integers(-(10**15), 10**15)] * 4), min_size=2, max_size=5))
def test_restated_again_and_again_all_months_together_say_what_the_bill_says(said):
    """Booking the difference of exact costs in each open month never loses or invents a cent."""
    unit = Decimal("0.01")
    names = [LineKey(f"team/{team}", "usage", model) for team in "ab" for model in "xy"]
    booked_exact = dict.fromkeys(names, Decimal(0))
    booked = Decimal(0)
    for picos in said:
        now = {name: Decimal(pico).scaleb(-12) for name, pico in zip(names, picos, strict=True)}
        total = rounded({names[0]: sum(now.values())}, unit)[names[0]]
        differences = {
            name: now[name] - booked_exact[name] for name in names if now[name] != booked_exact[name]
        }
        amounts = rounded(differences, unit, total - booked)
        booked += sum(amounts.values())
        booked_exact = now
        assert booked == total or not differences


def test_the_newest_snapshot_is_pinned():
    bill(SEPTEMBER)
    assert closing.close("2026-09", "fin").snapshot == warehouse.latest()
