"""The policy's pages: a month tried under another text, put in force from a month on with a reason, kept as history."""

import re
import threading
import time
from datetime import date, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError

from attribution import policies, run
from attribution.models import PolicyChange, PolicyPreview
from attribution.world import policies_in_force
from finops import previews
from finops.core import warehouse
from reports.models import ClosedMonth
from tests import commands
from tests.attribution.allocated import given
from tests.reports.conftest import person

pytestmark = pytest.mark.django_db(transaction=True)

PLATFORM = '[idle]\npolicy = "platform"\n'
JANUARY = date(2026, 1, 1)
GETS = ("/policy/", "/policy/previews/1/", "/policy/previews/1/table.csv", "/policy/versions/1/")
POSTS = ("/policy/preview", "/policy/previews/1/apply")


@pytest.fixture
def finance():
    return person("fiona", "finance")


@pytest.fixture
def january(finance):
    """A machine half busy for an hour of January, and a day on which nothing ran, attributed under version 1."""
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("owners", "name | team\n chat | nlp")
    given(
        "charges",
        "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 8\n i-1 | 2026/01/06-2026/01/07 | 6",
    )
    given("gpu_samples", "hosts | uuid | time | busy\n h-1 | GPU-0 | 10:30 | 500000")
    given(
        "requests", "time | model | team | gpu_uuids | gpu_micro_ms\n 10:05 | chat | search | GPU-0 | 1000000"
    )
    policies.apply("")
    run.attribute([date(2026, 1, 5), date(2026, 1, 6)])


def tried(client, text=PLATFORM, month="2026-01", **more):
    """Posts a text and waits for what its preview says."""
    response = client.post("/policy/preview", {"text": text, "month": month, **more})
    assert response.status_code == 302, response.content.decode()
    for _ in range(300):
        page = client.get(response["Location"])
        if page.context["preview"].state != PolicyPreview.WAITING:
            return page
        assert "Being computed" in page.content.decode()
        time.sleep(0.05)
    raise AssertionError("the preview did not end")


@pytest.fixture
def small_teams(finance):
    """Beside an idle half of 4.00, two of less than half a cent."""
    given("hosts", "host | resource_id\n h-1 | i-1\n h-2 | i-2\n h-3 | i-3")
    given("owners", "name | team\n chat | nlp\n mini | ants\n nano | bees")
    given(
        "charges",
        """
        resource_id | period      | effective_cost
        i-1         | 10:00-11:00 | 8
        i-2         | 10:00-11:00 | 0.008
        i-3         | 10:00-11:00 | 0.006000000002
    """,
    )
    given(
        "gpu_samples",
        """
        hosts | uuid  | time  | busy
        h-1   | GPU-1 | 10:30 | 500000
        h-2   | GPU-2 | 10:30 | 500000
        h-3   | GPU-3 | 10:30 | 500000
    """,
    )
    given(
        "requests",
        """
        time  | model | team   | gpu_uuids | gpu_micro_ms
        10:05 | chat  | search | GPU-1     | 1000000
        10:05 | mini  | search | GPU-2     | 1000000
        10:05 | nano  | search | GPU-3     | 1000000
    """,
    )
    run.attribute([date(2026, 1, 5)])


def close_january():
    ClosedMonth.objects.create(
        period="2026-01", version=1, snapshot=warehouse.latest(), currency="USD", bill=Decimal(14), ledger="",
        closed_at="2026-02-01T00:00Z", closed_by="fiona",
    )  # fmt: skip


def written(folder, text=PLATFORM):
    """The name of a file that holds the policy."""
    file = folder / "policy.toml"
    file.write_text(text)
    return str(file)


def test_a_month_is_tried_and_says_what_moves_and_why(client, finance, january):
    client.force_login(finance)
    before = warehouse.latest()
    page = tried(client)
    assert warehouse.latest() == before
    teams = {one.name: (one.now, one.then, one.by_type) for one in page.context["result"].changes["team"]}
    assert teams == {
        "nlp": (Decimal(4), Decimal(0), {"idle": Decimal(-4)}),
        "": (Decimal(6), Decimal(10), {"idle": Decimal(10), "unallocated": Decimal(-6)}),
    }
    text = page.content.decode()
    assert "Idle cost goes by &#x27;platform&#x27; instead of &#x27;owner&#x27;" in text
    assert "14.00" in text


def test_days_that_wait_to_be_attributed_are_named_by_page_and_command(client, finance, january, tmp_path):
    client.force_login(finance)
    wait = "2026-01-05 to 2026-01-07 wait to be attributed"  # on the last, a charge of the 6th ends
    file = written(tmp_path)
    span = ("--start", "2026-01-01", "--end", "2026-02-01")
    assert wait not in tried(client).content.decode()
    assert wait not in commands.run("policy", "preview", file, *span)
    given("owners", "name | team\n chat | other")
    assert wait in tried(client).content.decode()
    assert wait in commands.run("policy", "preview", file, *span)


def test_differences_that_round_to_nothing_are_one_row_and_each_table_has_its_total(
    client, finance, small_teams
):
    client.force_login(finance)
    page = tried(client)
    text = page.content.decode()
    assert text.count("2 others, each by less than 0.01") == 2  # by team and by model
    assert "ants" not in text
    assert "−0.007000000001" in text
    for _, _, table in page.context["groups"]:
        shown = [*table.rows, *table.rest]
        assert sum(one.now for one in shown) == table.total.now == Decimal("8.014000000002")
        assert sum(one.then for one in shown) == table.total.then
    rows = {group: [one.name for one in table.rows] for group, _, table in page.context["groups"]}
    assert (rows["team"], rows["cost_type"]) == (["", "nlp"], [])
    assert 'title="4.007000000001"' in text


def test_the_command_gathers_them_too(small_teams, tmp_path):
    span = ("--start", "2026-01-05", "--end", "2026-01-06")
    lines = commands.run("policy", "preview", written(tmp_path), *span).splitlines()
    team = lines.index("by team")
    assert [line.split()[-3:] for line in lines[team + 1 : team + 6]] == [
        ["0.00", "4.01", "+4.01"],
        ["4.00", "0.00", "-4.00"],
        ["0.01", "0.00", "-0.007000000001"],
        ["4.01", "4.01", "+0.000000000000"],
        ["8.01", "8.01", "+0.00"],
    ]
    assert lines[team + 3].startswith("  2 others, each by less than 0.01  ")
    assert not any("-0.00 " in f"{line} " for line in lines)


def test_all_changes_are_in_a_csv_with_all_digits_from_page_and_command(
    client, finance, small_teams, tmp_path
):
    client.force_login(finance)
    address = f"/policy/previews/{tried(client).context['preview'].pk}/"
    assert f'href="{address}table.csv"' in client.get(address).content.decode()
    response = client.get(f"{address}table.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    lines = response.content.decode().splitlines()
    assert lines[0] == "by,name,now,then,difference,usage,idle,shared,unallocated,currency"
    nothing = "0.000000000000"
    less = "-0.003000000001"
    assert f"team,bees,0.003000000001,{nothing},{less},{nothing},{less},{nothing},{nothing},USD" in lines
    file = tmp_path / "changes.csv"
    span = ("--start", "2026-01-01", "--end", "2026-02-01")
    commands.run("policy", "preview", written(tmp_path), *span, "--output", str(file))
    assert file.read_bytes() == response.content
    nowhere = str(tmp_path / "nowhere" / "changes.csv")
    with pytest.raises(CommandError, match=f"{nowhere}: No such file or directory"):
        commands.run("policy", "preview", written(tmp_path), *span, "--output", nowhere)


def test_today_s_figures_of_a_preview_open_their_explanation(client, finance, small_teams):
    client.force_login(finance)
    page = tried(client)
    for _ in range(2):
        links = re.findall(r'<a href="(/explain/[^"]*)" data-over>([^<]*)</a>', page.content.decode())
        explained = {(unescape(link), said) for link, said in links}
        assert len(explained) == 3  # nlp, its model, and everything
        for link, said in explained:
            assert f"{client.get(link).context['total']:.2f}" == said
        given("owners", "name | team\n chat | other")  # the page tells of an earlier state now
        run.attribute([date(2026, 1, 5)])
        page = client.get(page.request["PATH_INFO"])


def test_the_same_text_is_computed_once_a_state_of_the_warehouse(client, finance, january):
    client.force_login(finance)
    tried(client)
    tried(client, text="", file=SimpleUploadedFile("p.toml", PLATFORM.replace("\n", "\r\n").encode()))
    assert PolicyPreview.objects.count() == 1
    given("owners", "name | team\n chat | other")
    tried(client)
    assert PolicyPreview.objects.count() == 2


def test_a_preview_whose_process_died_begins_again(client, finance, january, monkeypatch):
    client.force_login(finance)
    with monkeypatch.context() as dead:
        dead.setattr(previews, "_begin", lambda found: None)
        client.post("/policy/preview", {"text": PLATFORM, "month": "2026-01"})
    assert PolicyPreview.objects.get().state == PolicyPreview.WAITING
    with monkeypatch.context() as later:
        later.setattr(previews, "SILENT", timedelta(0))
        client.get(f"/policy/previews/{PolicyPreview.objects.get().pk}/")
    assert tried(client).context["preview"].state == PolicyPreview.DONE


def test_a_preview_of_a_day_that_takes_long_is_computed_once_however_often_its_page_is_looked_at(
    client, finance, january, monkeypatch
):
    monkeypatch.setattr(previews, "SILENT", timedelta(seconds=0.6))
    begun, over = [], threading.Event()
    compute = previews.preview

    def slow(*args, **named):
        begun.append(args)
        over.wait(30)
        return compute(*args, **named)

    monkeypatch.setattr(previews, "preview", slow)
    client.force_login(finance)
    page = client.post("/policy/preview", {"text": PLATFORM, "month": "2026-01"})["Location"]
    for _ in range(20):
        client.get(page)
        time.sleep(0.1)
    over.set()
    assert tried(client).context["preview"].state == PolicyPreview.DONE
    assert len(begun) == 1


def test_a_preview_asked_of_two_workers_is_computed_by_one(client, finance, january, monkeypatch):
    monkeypatch.setattr(previews, "_begin", lambda found: None)  # it waits in the queue of the broker
    client.force_login(finance)
    client.post("/policy/preview", {"text": PLATFORM, "month": "2026-01"})
    number = PolicyPreview.objects.get().pk
    compute, begun = previews.preview, []

    def asked_again(*args, **named):
        begun.append(args)
        if len(begun) == 1:
            previews.run(number)
        return compute(*args, **named)

    monkeypatch.setattr(previews, "preview", asked_again)
    previews.run(number)
    previews.run(number)
    assert (len(begun), PolicyPreview.objects.get().state) == (1, PolicyPreview.DONE)


def test_a_mistake_is_named_with_its_line_and_nothing_begins(client, finance, january):
    client.force_login(finance)
    response = client.post("/policy/preview", {"text": '[idle]\npolicy = "nobody"\n', "month": "2026-01"})
    assert response.status_code == 400
    text = response.content.decode()
    assert "line 2: [idle]: policy is &#x27;nobody&#x27;; expected owner, spread or platform" in text
    assert "<code>policy = &quot;nobody&quot;</code>" in text
    response = client.post("/policy/preview", {"text": "[tokens]\noutput = 1e400\n", "month": "2026-01"})
    assert response.status_code == 400
    assert "line 2: [tokens] output: 1E+400 must be below 10^12" in response.content.decode()
    assert not PolicyPreview.objects.exists()


@pytest.mark.parametrize(
    ("month", "said"),
    [
        ("soon", "&#x27;soon&#x27; is not a month: expected YYYY-MM"),
        ("2030-01", "2030-01 is not offered: expected 2026-01"),
    ],
)
def test_a_month_that_cannot_be_tried_is_refused_at_the_form_which_keeps_the_text(
    client, finance, january, month, said
):
    client.force_login(finance)
    response = client.post("/policy/preview", {"text": PLATFORM, "month": month})
    assert response.status_code == 400
    assert said in response.content.decode()
    assert response.context["text"] == PLATFORM
    assert not PolicyPreview.objects.exists()


def test_an_empty_text_is_tried_only_where_it_is_said_to_be_meant(client, finance, january):
    client.force_login(finance)
    assert 'name="defaults"' not in client.get("/policy/").content.decode()
    response = client.post("/policy/preview", {"text": " \r\n", "month": "2026-01"})
    assert response.status_code == 400
    assert "an empty policy has no rules and no pools" in response.content.decode()
    assert 'name="defaults"' in response.content.decode()
    assert not PolicyPreview.objects.exists()
    assert "The policies say the same" in tried(client, text="", defaults="1").content.decode()


def test_applying_names_a_month_and_a_reason_and_earlier_days_keep_their_policy(client, finance, january):
    client.force_login(finance)
    number = tried(client).context["preview"].pk
    apply = f"/policy/previews/{number}/apply"
    page = client.post(apply, {"month": "2026-02", "reason": " "}, follow=True)
    assert "say why" in page.content.decode()
    assert policies_in_force()[-1].version == 1
    page = client.post(apply, {"month": "2026-02", "reason": "idle is ours"}, follow=True).content.decode()
    assert "Version 2 holds from 2026-02" in page
    assert "idle is ours" in page
    assert "fiona" in page
    assert [(one.version, one.holds_from) for one in policies_in_force()] == [
        (1, None),
        (2, date(2026, 2, 1)),
    ]
    assert run.attribute([date(2026, 1, 5)]).unchanged == [date(2026, 1, 5)]
    assert "idle is ours" in client.get("/policy/versions/2/").content.decode()


def test_what_a_preview_says_is_what_applying_it_then_gives(client, finance, january):
    client.force_login(finance)
    page = tried(client)
    client.post(
        f"/policy/previews/{page.context['preview'].pk}/apply", {"month": "2026-01", "reason": "as tried"}
    )
    run.attribute([date(2026, 1, 5), date(2026, 1, 6)])
    again = tried(client)
    assert not any(again.context["result"].changes.values())
    assert again.context["result"].total_now == page.context["result"].total_then


def test_a_closed_month_keeps_its_policy(client, finance, january):
    client.force_login(finance)
    number = tried(client).context["preview"].pk
    close_january()
    assert client.get(f"/policy/previews/{number}/").context["months"] == [date(2026, 2, 1)]
    response = client.post(f"/policy/previews/{number}/apply", {"month": "2026-01", "reason": "no"})
    assert response.status_code == 400
    assert not PolicyChange.objects.filter(version=2).exists()


@pytest.mark.parametrize("month", ["2025-12", "2099-01"])
def test_a_month_that_is_not_offered_is_refused_with_those_that_are(client, finance, january, month):
    client.force_login(finance)
    number = tried(client).context["preview"].pk
    response = client.post(f"/policy/previews/{number}/apply", {"month": month, "reason": "why not"})
    assert response.status_code == 400
    assert f"{month} is not offered: expected 2026-01, 2026-02" in response.content.decode()
    assert not PolicyChange.objects.filter(version=2).exists()


@pytest.mark.parametrize("month", ["2025-12", "2026-01"])
def test_a_closed_month_keeps_its_policy_from_the_command_too(january, tmp_path, month):
    close_january()
    with pytest.raises(
        CommandError, match=f"{month} is closed, or before a month that is: it keeps its policy"
    ) as no:
        commands.run("policy", "apply", written(tmp_path), "--from", month)
    assert no.value.returncode == 2
    assert not PolicyChange.objects.filter(version=2).exists()


def test_a_policy_for_all_days_begins_after_the_closed_months_and_says_so(january, tmp_path):
    close_january()
    said = commands.run("policy", "apply", written(tmp_path))
    assert said.startswith(
        "Policy version 2 is in force from 2026-02 on, the first month after all that are closed, which keep theirs;"
    )
    assert run.attribute([date(2026, 1, 5), date(2026, 1, 6)]).attributed == []
    assert "in force already; nothing changed" in commands.run("policy", "apply", written(tmp_path))


def test_a_policy_for_all_days_holds_on_all_where_no_month_is_closed(january, tmp_path):
    assert commands.run("policy", "apply", written(tmp_path)).startswith("Policy version 2 is in force; ")
    assert [(one.version, one.holds_from) for one in policies_in_force()] == [(2, None)]


@pytest.mark.parametrize("address", [*GETS, *POSTS])
def test_the_pages_are_for_finance_alone(client, january, address):
    asks = client.post if address in POSTS else client.get
    assert asks(address)["Location"].startswith("/login/")
    for role in ("engineer", "owner"):
        client.force_login(person(role, role))
        assert asks(address).status_code == 404
    client.force_login(person("ann", "finance"))
    wrong = client.get if address in POSTS else client.post
    assert wrong(address).status_code == 405


def test_the_forms_are_guarded_against_other_sites(finance, january):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(finance)
    for address in POSTS:
        assert client.post(address, {"text": PLATFORM, "month": "2026-01", "reason": "x"}).status_code == 403
