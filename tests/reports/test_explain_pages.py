"""What a figure is made of, as its page has it: divisions, scope, what cannot be asked."""

import re
from decimal import Decimal
from html import unescape

import pytest

from tests.tables import fill

pytestmark = pytest.mark.django_db
DAYS = "start=2026-09-01&end=2026-10-01"


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
