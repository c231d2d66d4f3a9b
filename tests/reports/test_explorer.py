"""The explorer, and its rows as CSV and from the API."""

import csv
from datetime import date
from decimal import Decimal

import pytest

from reports import exports
from reports.selection import Selection
from reports.templatetags.figures import money, unit_cost
from tests.reports.reading import rows_of, shown
from tests.tables import fill

pytestmark = pytest.mark.django_db


def test_the_csv_of_the_explorer_holds_what_the_page_shows(client, finance, september):
    client.force_login(finance)
    rows = rows_of(client.get("/explorer/table.csv?by=team"))
    assert [(row["team"], row["cost"]) for row in rows] == [
        ("nlp", "10.000000000000"),
        ("search", "6.000000000000"),
        ("", "1.000000000000"),
    ]
    assert rows[0]["cpp_usage"] == f"{Decimal(8) / 18:.12f}"
    assert rows[2]["cpp_usage"] == ""


def test_the_row_of_all_others_of_the_explorer_opens_the_days_that_it_is_the_sum_of(client, finance):
    of_tenants = [f"2026-09-{day} | t{n:03} | usage | {n}" for n in range(205) for day in ("07", "08")]
    fill("allocation_days", "day | tenant | cost_type | cost\n" + "\n".join(of_tenants))
    client.force_login(finance)
    page = client.get("/explorer/?by=tenant").content.decode()
    assert "5 others, show all" in page
    to, text = next(one for one in shown(page) if "others=tenant" in one[0])
    found = client.get(to)
    assert (found.context["total"], text) == (2 * (0 + 1 + 2 + 3 + 4), "20.00")
    assert "tenant <strong>5 others</strong>" in found.content.decode()
    opened = client.get(f"{to}&day=2026-09-07")
    assert opened.context["day_cost"] == 0 + 1 + 2 + 3 + 4

    chosen = "&".join(f"tenant=t{n:03}" for n in range(2, 205))
    to, text = next(
        one
        for one in shown(client.get(f"/explorer/?by=tenant&{chosen}").content.decode())
        if "others=" in one[0]
    )
    found = client.get(to)
    assert (found.context["total"], text) == (2 * (2 + 3 + 4), "18.00")
    assert client.get(f"/explain/?{found.context['asked'].query}").context["total"] == 18


def test_an_amount_of_the_explorer_opens_the_days_that_it_is_the_sum_of(client, finance, september):
    client.force_login(finance)
    several = "/explorer/?by=team&model=nlp-model-0&model=search-model-0"
    for address in ("/explorer/?by=team", "/explorer/?by=&grain=month&model=nlp-model-0", several):
        found = client.get(address)
        assert shown(found.content.decode())
        for to, text in shown(found.content.decode()):
            context = client.get(to).context
            unit = context["unit_cost"]
            assert text == (unit_cost(unit["result"]) if unit else money(context["total"])), to


def test_filters_stand_in_the_address(client, finance, september):
    client.force_login(finance)
    rows = rows_of(client.get("/explorer/table.csv?by=model&team=search&team=nlp&feature=home"))
    assert {row["model"] for row in rows} == {"search-model-0", "nlp-model-0"}
    rows = rows_of(client.get("/explorer/table.csv?by=model&add_key=team&add_value=search"))
    assert {row["model"] for row in rows} == {"search-model-0"}
    assert rows_of(client.get("/explorer/table.csv?by=model&team=")) == [
        row for row in rows_of(client.get("/explorer/table.csv?by=model")) if row["model"] == ""
    ]


@pytest.mark.parametrize(
    "query",
    [
        "by=colour",
        "grain=week",
        "measure=beauty",
        "start=yesterday",
        "start=2026-09-08&end=2026-09-08",
        "billing_period=9",
    ],
)
def test_a_wrong_address_is_answered_in_words(client, finance, september, query):
    client.force_login(finance)
    response = client.get(f"/explorer/?{query}")
    assert response.status_code == 400
    assert "expected" in response.content.decode() or "no day" in response.content.decode()


def test_a_month_in_which_nothing_was_billed_is_empty(client, finance, september):
    client.force_login(finance)
    for period in ("2026-01", "2999-12", "1970-01"):
        response = client.get(f"/explorer/?billing_period={period}")
        assert response.status_code == 200
        assert 'class="empty"' in response.content.decode()


def test_views_by_calendar_say_so_and_those_of_a_bill_too(client, finance, september):
    client.force_login(finance)
    assert "by calendar day; statements are by billing period" in client.get("/explorer/").content.decode()
    assert "as its statements" in client.get("/explorer/?billing_period=2026-09").content.decode()


def test_the_api_gives_the_rows_of_the_export_in_the_reader_s_scope(client, owner, september):
    client.force_login(owner)
    answer = client.get("/api/allocations?start=2026-09-01&end=2026-10-01&grain=month&by=team").json()
    assert [(row["team"], row["cost_type"], row["cost"], row["requests"]) for row in answer["rows"]] == [
        ("search", "idle", "2.000000000000", None),
        ("search", "usage", "4.000000000000", 20),
    ]
    assert client.get("/api/allocations?start=2026-09-01").status_code == 400


def test_the_api_needs_login(client, september):
    assert client.get("/api/allocations?start=2026-09-01&end=2026-10-01").status_code in (401, 403)


def test_one_billing_period_is_equal_in_export_page_statement_and_csv(client, finance, september, tmp_path):
    client.force_login(finance)
    selection = Selection(date(2026, 1, 1), date(2027, 1, 1), "month", ("team",), billing_period="2026-09")
    exports.write_allocations(selection, tmp_path / "out.csv")
    exported = sum(Decimal(row["cost"]) for row in csv.DictReader((tmp_path / "out.csv").open()))
    table = rows_of(client.get("/explorer/table.csv?billing_period=2026-09&by=team"))
    shown = client.get("/explorer/?billing_period=2026-09&by=team").context["found"].total.cost
    month = client.get("/statements/2026-09/").context["found"]
    ledger = rows_of(client.get("/statements/2026-09/ledger.csv"))
    assert exported == shown == month.bill == Decimal("17")
    assert sum(Decimal(row["cost"]) for row in table) == exported
    assert month.charged == sum(Decimal(row["amount"]) for row in ledger) == round(exported, 2)
