"""Every page: it works, needs login, another team's is 404, wrong method is 405, more rows no more queries."""

import csv
import io
import re
from datetime import date
from decimal import Decimal
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from anomalies import root_cause
from anomalies.models import Incident
from attribution.models import Run
from finops.core import warehouse
from ingest.models import Delivery, DeliveryFile, Problem
from reports import exports
from reports.selection import Selection
from reports.templatetags.figures import money, signed_money, unit_cost
from reports.views.anomalies import FACTORS
from tests.reports.conftest import costs
from tests.tables import fill

pytestmark = pytest.mark.django_db

# Pages that everybody may open, each in the own scope.
EVERYBODY = {
    "/": "September 2026",
    "/explorer/": "Explorer",
    "/explorer/?by=team": "search",
    "/explorer/?by=&grain=month": "2026-09",
    "/explorer/?billing_period=2026-09&by=model&measure=cpp_loaded": "billing period 2026-09",
    "/explain/": "not attributed",
    "/explain/?start=2026-09-01&end=2026-10-01&cost_type=usage": "By day",
    "/statements/": "2026-09",
    "/statements/2026-09/": "search",
    "/statements/2026-09/of/team/search/": "search-model-0",
    "/anomalies/": "search-model-0",
    "/anomalies/?state=open": "search-model-0",
    "/anomalies/1/": "what an hour of the machines cost",
    "/statements/2026-09/lines/team/search/?cost_type=usage&model=search-model-0&feature=home": "The same on all of it",
}
# Pages of the whole bill, or of somebody else's: owners get 404.
NOT_FOR_OWNERS = {
    "/statements/2026-09/of/team/nlp/": "nlp-model-0",
    "/statements/2026-09/lines/team/nlp/?cost_type=usage&model=nlp-model-0&feature=home": "The same on all of it",
    "/statements/2026-09/of/no-owner/": "No owner",
    "/statements/2026-09/of/platform/": "Platform",
    "/bridge/2026-09/?source=aws&account=1001&step=excluded_by_default&currency=USD": "bill.csv",
    "/anomalies/2/": "nlp-model-0",
    "/match/": "hosts.csv: HOST,i-9",
    "/explain/charges/?start=2026-09-01&end=2026-10-01&disposition=exclude": "bill.csv",
    "/deliveries/": "the total is 7",
    "/deliveries/1/": "cost is not a number",
}
PAGES = {**EVERYBODY, **NOT_FOR_OWNERS}
DAYS = "start=2026-09-01&end=2026-10-01"


@pytest.fixture
def held(db):
    """A bill that waits for a person, with one problem."""
    delivery = Delivery.objects.create(
        pk=1,
        kind="billing",
        source="aws",
        state="held",
        fingerprint="f",
        message="the total is 7",
        rows=0,
        bad_rows=1,
    )
    DeliveryFile.objects.create(
        delivery=delivery, name="bill.csv", path="bill.csv", sha256="ab" * 32, size=10
    )
    Problem.objects.create(delivery=delivery, file="bill.csv", line=7, reason="cost is not a number")
    return delivery


@pytest.mark.parametrize(("address", "text"), PAGES.items())
def test_a_page_works(client, finance, september, held, incidents, address, text):
    client.force_login(finance)
    response = client.get(address)
    assert response.status_code == 200
    assert text in response.content.decode()


@pytest.mark.parametrize("address", [*PAGES, "/explorer/table.csv", "/statements/2026-09/ledger.csv"])
def test_a_page_needs_login(client, september, held, incidents, address):
    response = client.get(address)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


@pytest.mark.parametrize("address", EVERYBODY)
def test_an_owner_sees_the_own_teams_alone(client, owner, september, held, incidents, address):
    client.force_login(owner)
    response = client.get(address)
    assert response.status_code == 200
    assert "nlp" not in response.content.decode()


@pytest.mark.parametrize("address", NOT_FOR_OWNERS)
def test_what_is_another_team_s_does_not_exist_for_an_owner(
    client, owner, september, held, incidents, address
):
    client.force_login(owner)
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("address", [*PAGES, "/explorer/table.csv", "/api/allocations", "/healthz"])
def test_the_wrong_method_is_refused(client, finance, september, held, incidents, address):
    client.force_login(finance)
    assert client.post(address).status_code == 405


@pytest.mark.parametrize(
    "address",
    [
        "/statements/2026-09/close",
        "/statements/2026-09/reopen",
        "/deliveries/1/accept",
        "/deliveries/1/reject",
    ],
)
def test_what_changes_something_is_posted_by_finance_alone(
    client, finance, engineer, owner, september, held, incidents, address
):
    assert client.post(address).status_code == 302
    for other in (engineer, owner):
        client.force_login(other)
        assert client.post(address).status_code == 404
    client.force_login(finance)
    assert client.get(address).status_code == 405


@pytest.mark.parametrize("address", PAGES)
def test_more_rows_cost_no_more_queries(client, finance, held, incidents, address):
    client.force_login(finance)
    costs(rows=1)
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    costs(rows=12)
    for number in range(2, 14):
        other = Delivery.objects.create(
            pk=number, kind="gpu", source=f"s{number}", state="loaded", fingerprint=number
        )
        Incident.objects.filter(pk=1).update(onset=date(2026, 9, number))
        copy = Incident.objects.get(pk=1)
        copy.pk = 10 + number
        copy.tenant = f"t{number}"
        copy.save()
        Problem.objects.create(delivery=other, file="a", line=1, reason="no")
        Problem.objects.create(delivery=held, file="b", line=number, reason="no")
    client.get(address)  # reads what the new snapshots changed, however many rows that is
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(many) <= len(few)


@pytest.mark.parametrize(
    "address", [one for one in PAGES if not any(part in one for part in ("2026-09", "/1/", "/2/"))]
)
def test_an_empty_warehouse_says_what_to_do(client, finance, address):
    client.force_login(finance)
    response = client.get(address)
    assert response.status_code == 200
    assert 'class="empty"' in response.content.decode()


def test_no_page_leaves_anything_to_the_others_in_the_duckdb_that_they_share(
    client, finance, september, held, incidents
):
    client.force_login(finance)
    for address in PAGES:
        client.get(address)
    with warehouse.reading() as con:
        assert con.execute("select view_name from duckdb_views() where not internal").fetchall() == []
        assert con.execute("select table_name from duckdb_tables() where not internal").fetchall() == []


def shown(html):
    """The figures of a page that open an explanation: its address, and the figure as it is written."""
    return [
        (unescape(to), text)
        for to, text in re.findall(r'<a href="(/explain/[^"]*)" data-over>([^<]+)</a>', html)
    ]


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.content.decode())))


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


@pytest.mark.parametrize(
    "address",
    [
        "/statements/2026-09/?version=7",
        "/statements/2026-09/ledger.csv?version=7",
        "/statements/2026-09/of/team/search/?version=7",
        "/statements/2026-09/lines/team/search/?cost_type=usage&version=7",
        "/bridge/2026-09/?version=7",
        f"/explain/?{DAYS}&billing_period=2026-09&version=7",
        "/explain/requests/?day=2026-09-07&unit=g:1&window=2026-09-07&cost_type=usage&billing_period=2026-09&version=7",
    ],
)
def test_a_version_that_a_month_does_not_have_is_not_there(client, finance, september, address):
    client.force_login(finance)
    response = client.get(address)
    assert response.status_code == 404
    assert "2026-09 has no version 7: it was never closed" in response.content.decode()
    client.post("/statements/2026-09/close", {"confirmed": "yes"})
    response = client.get(address)
    assert response.status_code == 404
    assert "2026-09 has no version 7: it was closed as version 1" in response.content.decode()


def test_a_version_without_a_month_is_asked_which(client, finance, september):
    client.force_login(finance)
    response = client.get(f"/explain/?{DAYS}&version=1")
    assert response.status_code == 400
    assert "of which month?" in response.content.decode()


def test_a_name_that_no_cost_has_is_said(client, finance, owner, september):
    client.force_login(finance)
    page = client.get(f"/explain/?{DAYS}&model=nope&team=search").content.decode()
    assert "No cost of these days has model <strong>nope</strong> and team <strong>search</strong>." in page
    page = client.get("/explain/?start=2026-08-01&end=2026-09-01").content.decode()
    assert "manage.py attribute --start 2026-08-01 --end 2026-09-01" in page


def test_nobody_is_told_to_attribute_days_where_that_cannot_help(client, finance, owner, september):
    client.force_login(owner)
    page = client.get(f"/explain/?{DAYS}&team=nlp").content.decode()
    assert "No cost of these days that you may see has team <strong>nlp</strong>." in page
    assert "manage.py" not in page
    assert "manage.py" not in client.get("/explain/?day=2026-08-01").content.decode()
    client.force_login(finance)
    page = client.get("/explain/?start=2026-08-01&end=2026-08-03&snapshot=1").content.decode()
    assert "at that snapshot" in page
    assert "manage.py" not in page


def test_a_unit_cost_of_a_closed_month_is_divided_as_it_was_closed(client, finance, september):
    client.force_login(finance)
    client.post("/statements/2026-09/close", {"confirmed": "yes"})
    asked = f"/explain/?{DAYS}&billing_period=2026-09&team=search&per=predictions"
    before = client.get(asked).context["unit_cost"]
    assert (before["cost"], before["count"]) == (6, 18)
    fill(
        "request_days",
        "day | model | team | requests | predictions\n"
        "2026-09-07 | search-model-0 | search | 90 | 90\n 2026-09-08 | search-model-0 | search | 10 | 10",
    )
    fill(
        "allocation_days",
        "source | billing_account | billing_period | day | model | team | cost_type | cost\n"
        "aws | 1001 | 2026-09 | 2026-09-07 | search-model-0 | search | usage | 50",
    )
    today = client.get(asked).context["unit_cost"]
    assert (today["cost"], today["count"]) == (53, 100)
    assert client.get(f"{asked}&version=1").context["unit_cost"] == before


def test_a_day_opened_from_a_unit_cost_keeps_its_division(client, finance, september):
    client.force_login(finance)
    address = f"/explain/?{DAYS}&team=search&per=predictions"
    found = client.get(address)
    days = [to for to in re.findall(r'href="([^"]+)"', found.content.decode()) if "day=2026-09-07" in to]
    assert days
    for to in days:
        opened = client.get(unescape(to))
        assert opened.context["unit_cost"] == found.context["unit_cost"]
        assert "A prediction" in opened.content.decode()


def test_an_explanation_is_within_the_reader_s_scope(client, owner, september):
    client.force_login(owner)
    days = "start=2026-09-01&end=2026-10-01"
    assert client.get(f"/explain/?{days}").context["total"] == Decimal(6)
    assert client.get(f"/explain/?{days}&team=nlp").context["total"] == 0
    assert client.get(f"/explain/?{days}&day=2026-10-07").status_code == 400


@pytest.mark.parametrize(
    ("page", "value", "expected"),
    [
        ("/explain/", "cost_type=foo", "expected usage, idle, shared, unallocated"),
        ("/explain/", "cost_type=usage&cost_type=foo", "expected usage, idle, shared, unallocated"),
        ("/explain/", "reached=foo", "expected yes, no"),
        ("/explain/", "measure=foo", "expected gpu_ms"),
        ("/explain/", "reason=foo", "expected no_requests, no_driver"),
        ("/explain/", "billing_period=2026-99", "expected YYYY-MM"),
        ("/explain/", "billing_period=2026-9", "expected YYYY-MM"),
        ("/explain/charges/", "disposition=foo", "expected direct, model, api, pool, exclude, unconverted"),
        ("/explain/charges/", "by=foo", "expected default, rule"),
        ("/explain/charges/", "attributed=maybe", "expected yes, no"),
        ("/explain/charges/", "billing_period=2026-99", "expected YYYY-MM"),
    ],
)
def test_a_value_that_a_filter_can_never_have_is_refused(client, finance, september, page, value, expected):
    client.force_login(finance)
    response = client.get(f"{page}?{DAYS}&{value}")
    assert response.status_code == 400
    assert expected in response.content.decode()


@pytest.mark.parametrize("page", ["/explain/", "/explain/charges/"])
def test_a_snapshot_that_is_not_there_is_refused(client, finance, september, page):
    client.force_login(finance)
    response = client.get(f"{page}?{DAYS}&snapshot=999999")
    assert response.status_code == 400
    assert "there is no snapshot 999999 yet" in response.content.decode()


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


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/?month=9999-12", "expected a year from 1970 to 2999"),
        ("/?month=2026-9", "expected YYYY-MM"),
        ("/explorer/?billing_period=9999-12", "expected a year"),
        ("/explorer/?billing_period=2026-9", "expected YYYY-MM"),
        ("/explorer/?start=20260901&end=2026-10-01", "expected YYYY-MM-DD"),
        ("/explorer/table.csv?start=2026-W36-1&end=2026-10-01", "expected YYYY-MM-DD"),
        ("/match/?end=0001-01-05", "expected a year"),
        ("/explain/?start=0001-01-01&end=2026-10-01", "expected a year"),
        (f"/explain/charges/?page={'9' * 22}", "expected 1 to 1,000,000,000"),
        (f"/explain/charges/?page={'9' * 4400}", "expected 1 to 1,000,000,000"),
        ("/explain/charges/?snapshot=900", "there is no snapshot 900 yet"),
        ("/explain/?snapshot=900", "there is no snapshot 900 yet"),
        (f"/statements/2026-09/?version={'9' * 4400}", "expected 1 to 1,000,000,000"),
        ("/api/allocations?start=2026-09-01&end=2026-10-01&billing_period=2026-9", "expected YYYY-MM"),
        ("/api/allocations?start=2026-09-01&end=9999-12-31", "expected a year"),
    ],
)
def test_a_date_or_number_that_cannot_be_meant_is_refused_with_what_was_expected(
    client, finance, september, address, said
):
    client.force_login(finance)
    response = client.get(address)
    assert response.status_code == 400
    assert said in response.content.decode()


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


def test_health_needs_no_login(client, db):
    assert client.get("/healthz").json()["status"] == "ok"


def test_a_month_is_closed_after_a_confirmation(client, finance, september):
    client.force_login(finance)
    client.post("/statements/2026-09/close")
    assert "open" in client.get("/statements/2026-09/").content.decode()
    page = client.post("/statements/2026-09/close", {"confirmed": "yes"}, follow=True).content.decode()
    assert "2026-09 is closed as version 1" in page


def test_a_closed_month_is_reopened_with_a_reason(client, finance, september):
    client.force_login(finance)
    client.post("/statements/2026-09/close", {"confirmed": "yes"})
    assert "needs a reason" in client.post("/statements/2026-09/reopen", follow=True).content.decode()
    page = client.post("/statements/2026-09/reopen", {"reason": "wrong owner"}, follow=True).content.decode()
    assert "2026-09 is open again" in page
    assert "wrong owner" in client.get("/statements/2026-09/?version=1").content.decode()


def test_a_held_delivery_is_rejected_with_a_reason(client, finance, held):
    client.force_login(finance)
    page = client.post("/deliveries/1/reject", {"reason": "sent twice"}, follow=True).content.decode()
    assert "Delivery 1 is rejected" in page
    assert Delivery.objects.get().message == "rejected: sent twice"


def test_a_mistake_in_signing_in_is_said(client, finance):
    page = client.post("/login/", {"username": "fiona", "password": "wrong"}).content.decode()
    assert "do not match" in page
    assert client.post("/login/", {"username": "fiona", "password": "secret"}).status_code == 302


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


def test_every_factor_of_a_change_is_said_in_words():
    words = {value for name, value in vars(root_cause).items() if name.isupper() and isinstance(value, str)}
    assert words - {root_cause.ROUND_HALF_EVEN} == set(FACTORS)


def test_an_anomaly_shows_factors_and_slices_that_sum_to_its_change(client, finance, incidents):
    client.force_login(finance)
    found = client.get("/anomalies/1/").context
    assert sum(one.amount for one, _ in found["factors"]) == found["incident"].change
    for _, slices, rest in found["slices"]:
        assert sum(one.amount for one in slices) + rest == found["incident"].change
    assert found["main"].name == "price"


def test_every_figure_of_an_anomaly_opens_that_figure(client, finance, incidents):
    fill(
        "allocation_days",
        """
        day        | model          | tenant | cost_type | cost
        2026-09-06 | search-model-0 | acme   | usage     | 7
        2026-09-07 | search-model-0 | acme   | usage     | 1
        2026-09-08 | search-model-0 | acme   | usage     | 2
        2026-09-08 | search-model-0 | acme   | idle      | 1
        2026-09-08 | search-model-0 | acme   | shared    | 9
        """,
    )
    client.force_login(finance)
    for page in ("/anomalies/", "/anomalies/1/"):
        opened = [one for one in shown(client.get(page).content.decode()) if "search-model-0" in one[0]]
        assert opened
        for to, text in opened:
            found = client.get(to)
            if "before=" in to:
                assert signed_money(found.context["change"]["result"]) == text
                assert "3.00 a day, less" in found.content.decode()
                ((before, amount),) = [one for one in shown(found.content.decode()) if one[1] == "1.00"]
                assert money(client.get(before).context["unit_cost"]["result"]) == amount
            elif "per=" in to:
                assert money(found.context["unit_cost"]["result"]) == text
            else:
                assert money(found.context["total"]) == text
    page = client.get("/anomalies/1/").content.decode()
    assert "less 1.00 that a model expected" in page
    assert any("before=" in to for to, _ in shown(page))


def test_an_anomaly_of_requests_that_failed_says_so(client, finance, september, incidents):
    client.force_login(finance)
    assert "Failed requests" not in client.get("/anomalies/1/").content.decode()
    fill(
        "request_days",
        """
        day        | model          | requests | failed_requests | cached_requests | predictions | input_tokens | cached_input_tokens | output_tokens
        2026-09-07 | search-model-0 | 100      | 1               | 0               | 99          | 0            | 0                   | 0
        2026-09-08 | search-model-0 | 1000     | 790             | 0               | 210         | 0            | 0                   | 0
        """,
    )
    page = client.get("/anomalies/1/").content.decode()
    assert "79.0 %" in page
    assert "of 1,000; 1.0 % before" in page


def test_whoever_sees_an_anomaly_may_take_it_up(client, owner, september, incidents):
    client.force_login(owner)
    page = client.post("/anomalies/1/state", {"state": "acknowledged", "note": "ours"}, follow=True)
    assert "acknowledged by owen" in page.content.decode()
    assert client.post("/anomalies/2/state", {"state": "resolved"}).status_code == 404
    assert client.post("/anomalies/1/state", {"state": "gone"}).status_code == 400
    assert client.get("/anomalies/1/state").status_code == 405


def test_the_overview_compares_complete_days_with_the_same_days_of_the_month_before(
    client, finance, september
):
    Run.objects.create(
        day=date(2026, 9, 8),
        computed_from=1,
        snapshot=1,
        looked_from=date(2026, 9, 8),
        looked_until=date(2026, 9, 8),
        fingerprint="f",
        policy_version=1,
        complete=False,
        incomplete_reason="bill of aws ends on 2026-09-07",
        charged=0,
        allocated=0,
        seconds=0,
    )
    client.force_login(finance)
    found = client.get("/").context["found"]
    assert (found.span.last, found.before.start, found.before.last) == (
        date(2026, 9, 7),
        date(2026, 8, 1),
        date(2026, 8, 7),
    )
    assert found.figures.cost == Decimal("8.5")
    assert list(found.days) == ["2026-09-07", "2026-09-08"]


def test_the_state_of_every_source_is_on_the_overview(client, finance, september):
    Delivery.objects.create(
        kind="requests",
        source="gateway",
        state="loaded",
        fingerprint="g",
        newest_day=date(2026, 9, 7),
        rows=1,
    )
    client.force_login(finance)
    (one,) = client.get("/").context["sources"]
    assert (one.source, one.behind, one.days_expected) == ("gateway", 1, 8)
