"""The requests behind what a unit cost in a window: the page, a few of them, and the CSV."""

import csv
import io
import re
from html import unescape

import pytest

from tests.attribution.allocated import a_gpu_for_two_teams, attributed, given

pytestmark = pytest.mark.django_db

WINDOW = "day=2026-01-05&unit=g:GPU-0&window=2026-01-05T10:00"
ADDRESSES = ["/explain/requests/", "/explain/requests.csv"]


@pytest.fixture(autouse=True)
def attributed_day(db):
    a_gpu_for_two_teams()


def in_csv(client, query: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(f"/explain/requests.csv?{query}").content.decode())))


def test_page_and_csv_tell_the_same_requests_with_the_cost_of_each(client, finance):
    client.force_login(finance)
    query = f"{WINDOW}&cost_type=usage"
    page = client.get(f"/explain/requests/?{query}")
    assert [(one.request_id, one.cost) for one in page.context["found"].requests] == [
        ("b", 3),
        ("a", 1),
        ("c", 0),
    ]
    assert "GPU-0" in page.content.decode()
    told = [(row["request_id"], row["weight"], row["cost"], row["measure"]) for row in in_csv(client, query)]
    assert told == [
        ("b", "3000000", "3.000000000000", "gpu_ms"),
        ("a", "1000000", "1.000000000000", "gpu_ms"),
        ("c", "0", "0.000000000000", "gpu_ms"),
    ]
    assert client.get(f"/explain/requests/?{query}&page=2").context["found"].requests == ()


def test_an_owner_sees_the_own_team_s_requests_alone(client, owner):
    client.force_login(owner)
    assert [row["request_id"] for row in in_csv(client, f"{WINDOW}&cost_type=usage")] == ["a", "c"]
    found = client.get(f"/explain/requests/?{WINDOW}&cost_type=usage").context["found"]
    assert [one.request_id for one in found.requests] == ["a", "c"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_not_there_or_another_team_s_is_not_found(client, owner, address):
    client.force_login(owner)
    assert client.get(f"{address}?{WINDOW}&cost_type=idle").status_code == 404


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_no_window_is_said(client, finance, address):
    client.force_login(finance)
    for wrong in ("", f"{WINDOW}&cost_type=shared", f"{WINDOW}x&cost_type=usage"):
        assert client.get(f"{address}?{wrong}").status_code == 400, wrong


@pytest.mark.parametrize("address", ADDRESSES)
def test_it_needs_login_and_is_only_read(client, finance, address):
    assert client.get(f"{address}?{WINDOW}&cost_type=usage").status_code == 302
    client.force_login(finance)
    assert client.post(f"{address}?{WINDOW}&cost_type=usage").status_code == 405


def test_the_requests_shown_with_a_day_are_those_of_its_dearest_usage(client, finance):
    # The idle hours cost most, and the hour that used most comes second.
    given(
        "charges", "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 50\n i-1 | 11:00-12:00 | 50"
    )
    given(
        "gpu_samples",
        "hosts | uuid | time | busy\n h-1 | GPU-0 | 10:30 | 100000\n h-1 | GPU-0 | 11:30 | 600000",
    )
    attributed()
    client.force_login(finance)
    page = client.get("/explain/?day=2026-01-05").content.decode()
    line = next(one for one in page.split("<details")[1:] if "hx-get" in one)
    assert 'class="badge usage"' in line
    few = re.search(r'hx-get="([^"]+)"', line)
    assert few
    address = unescape(few[1])
    shown = client.get(address)
    assert [one.request_id for one in shown.context["found"].requests] == ["d"]
    assert shown.context["found"].cost == 30
    assert address.removesuffix("&few") in unescape(line.partition("</details>")[0])
