"""Every page: it works, needs login, another team's is 404, wrong method is 405, more rows no more queries."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from anomalies.models import Incident
from attribution.models import Run
from finops.core import warehouse
from ingest.models import Delivery, DeliveryFile, Problem
from tests.reports.conftest import costs

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


def test_a_file_that_was_cut_off_is_said_and_no_failure_of_ours(client, finance, september):
    client.force_login(finance)
    for file in warehouse.files("allocation_days"):
        path = warehouse.folder() / file.path
        path.write_bytes(path.read_bytes()[:200])
    page = client.get("/explorer/?by=team")
    assert page.status_code == 409
    assert "a file of the warehouse cannot be read: `manage.py doctor` names it" in page.content.decode()


def test_a_mistake_in_signing_in_is_said(client, finance):
    page = client.post("/login/", {"username": "fiona", "password": "wrong"}).content.decode()
    assert "do not match" in page
    assert client.post("/login/", {"username": "fiona", "password": "secret"}).status_code == 302


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
