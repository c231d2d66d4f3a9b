"""A small month through the commands: bills, metrics and requests in, statements out, closed, restated, corrected.

The inputs and the statements they must produce are in tests/golden. By hand, for September 2026:

- 10:00 of the 1st, a GPU hour of 4.00, half busy: 2.00 to the two requests by gpu_ms (search 1.50, nlp 0.50),
  2.00 idle to the model's owner. 11:00, another of 4.00 and never busy: idle to who used the GPU that day.
- The 2nd, a CPU day of 2.40 to a model without owner, and 10 EUR of tokens at 1.1, one third search, two thirds nlp.
- Support of 1.00 over two days, each by direct cost. Tax of 0.77 and an untagged bucket of 0.25 stay out.
- 100.00 paid upfront for a commitment, of which an hour's 4.00 is used; 3 NOK without a rate.
"""

import csv
import io
import re
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from attribution import policies
from attribution.evidence import requests_behind
from attribution.explain import explain
from attribution.queries import Cells
from attribution.replay import Window
from finops.core.access import EVERYTHING
from reports import bridge, closing, queries, statements
from reports.selection import Span
from tests.processes import finish, manage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
SEPTEMBER = ("--start", "2026-09-01", "--end", "2026-09-03")


def load_all() -> None:
    for bill in ("aws-2026-09", "openai-2026-09", "aws-2026-10"):
        call_command("ingest", "billing", str(GOLDEN / f"{bill}.csv"))
    call_command("ingest", "gpu", str(GOLDEN / "gpu.csv"))
    call_command("ingest", "requests", str(GOLDEN / "requests.jsonl"))
    for table in ("hosts", "owners", "rates"):
        call_command("ingest", table, str(GOLDEN / f"{table}.csv"))
    call_command("policy", "apply", str(GOLDEN / "policy.toml"))
    attribute(*SEPTEMBER)
    attribute("--start", "2026-10-01", "--end", "2026-10-02")


def attribute(*span: str) -> None:
    call_command("attribute", *span, "--workers", "1")


def restate() -> None:
    """The bill of a closed month comes again: the idle GPU hour cost 5.00 and not 4.00."""
    call_command("ingest", "billing", str(GOLDEN / "aws-2026-09-restated.csv"))
    attribute(*SEPTEMBER)


def export(period: str, tmp_path: Path, *options: str) -> bytes:
    target = tmp_path / "export.csv"
    call_command("statements", "export", period, "-o", str(target), *options)
    return target.read_bytes()


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def test_a_small_month_gives_the_statements_that_it_must(tmp_path):
    load_all()
    assert export("2026-09", tmp_path) == golden("statements-2026-09.csv")
    month = statements.month("2026-09", EVERYTHING)
    assert month.bill == Decimal("22.4")
    assert month.amount == Decimal("22.40")
    assert all(one.is_reconciled for one in bridge.bridges("2026-09", EVERYTHING))


def test_the_bridge_names_every_step_between_the_invoice_and_the_statements():
    load_all()
    aws, openai = sorted(bridge.bridges("2026-09", EVERYTHING), key=lambda one: one.source)
    (bill,) = aws.bills
    assert (bill.invoice, bill.timing) == (Decimal("108.42000000000004"), -96)
    assert bill.rounding == Decimal("0.00000000000004")
    assert (bill.excluded_by_rule, bill.excluded_by_default) == (Decimal("0.77"), Decimal("0.25"))
    assert bill.attributed == Decimal("11.4")
    euro, krone = openai.bills
    assert (euro.attributed, euro.converted) == (10, 11)
    assert (krone.unconverted, krone.converted) == (3, 0)
    charges, _ = bridge.bridge_charges(aws, "USD", "timing")
    assert [charge.description for charge in charges] == [
        "Savings plan, paid upfront",
        "GPU hour under the plan",
    ]


def test_a_bill_restated_after_the_close_corrects_the_open_month_and_leaves_the_closed_one(tmp_path):
    load_all()
    call_command("statements", "close", "2026-09", "--by", "finance")
    before = export("2026-09", tmp_path)
    restate()
    assert export("2026-09", tmp_path) == before == golden("statements-2026-09.csv")
    assert export("2026-10", tmp_path) == golden("statements-2026-10.csv")
    months = [statements.month(period, EVERYTHING) for period in ("2026-09", "2026-10")]
    assert sum(month.amount for month in months) == Decimal("23.40") + Decimal("4.00")
    call_command("statements", "close", "2026-10", "--by", "finance")
    assert export("2026-10", tmp_path) == golden("statements-2026-10.csv")


def test_a_reopened_month_is_closed_as_version_2_and_version_1_stays_readable(tmp_path):
    load_all()
    call_command("statements", "close", "2026-09", "--by", "finance")
    restate()
    call_command("statements", "reopen", "2026-09", "--by", "finance", "--reason", "restated by the provider")
    call_command("statements", "close", "2026-09", "--by", "finance")
    assert export("2026-09", tmp_path, "--version", "1") == golden("statements-2026-09.csv")
    assert export("2026-09", tmp_path) != golden("statements-2026-09.csv")
    assert statements.month("2026-09", EVERYTHING).amount == Decimal("23.40")
    assert statements.month("2026-10", EVERYTHING).corrected == 0


def test_a_month_with_days_to_attribute_or_a_held_delivery_is_not_closed():
    load_all()
    call_command("ingest", "billing", str(GOLDEN / "aws-2026-09-restated.csv"))
    with pytest.raises(CommandError, match=r"AWS/1001 1001: days not attributed yet, 2026-09-01") as caught:
        call_command("statements", "close", "2026-09")
    assert "run attribute --start 2026-09-01 --end 2026-09-02" in str(caught.value)
    attribute(*SEPTEMBER)
    with pytest.raises(CommandError, match="held"):
        call_command("ingest", "billing", str(GOLDEN / "aws-2026-09.csv"), "--expect-total", "1")
    with pytest.raises(CommandError, match=r"delivery \d+ \(billing\) is held"):
        call_command("statements", "close", "2026-09")


def test_a_policy_that_no_day_was_attributed_with_is_told_of_before_the_close():
    def told():
        return [one for one in closing.cautions("2026-09", date(2026, 10, 1)) if "policy" in one]

    load_all()
    policies.apply('[idle]\npolicy = "platform"', holds_from=date(2026, 10, 1))
    assert told() == []
    policies.apply('[idle]\npolicy = "platform"')
    (caution,) = told()
    assert "not in these days yet" in caution
    assert "run attribute --start 2026-09-01 --end 2026-09-03" in caution
    attribute(*SEPTEMBER)
    assert told() == []


def test_a_line_of_a_statement_is_explained_to_its_last_place(client):
    load_all()
    client.force_login(User.objects.create_superuser("ann", password="x"))
    lines = statements.month("2026-09", EVERYTHING).lines
    seen = set()
    for line in lines:
        span = Span(line.charge_period_start, line.charge_period_end)
        where = dict(parse_qsl(line.explained, keep_blank_values=True))
        assert sum(queries.cost_by_day(span, Cells(where)).values()) == line.exact, line
        if line.key.cost_type in seen:
            continue
        seen.add(line.key.cost_type)
        day = {"start": span.start, "end": span.end, "day": span.start, **where}
        found = client.get("/explain/", day).context
        assert found["total"] == line.exact
        assert sum(one.cost for one in found["lines"]) == found["by_day"][span.start]
    assert seen >= {"usage", "idle", "shared"}


def test_a_closed_line_is_followed_down_to_single_requests_and_every_level_sums_to_the_last_place():
    load_all()
    call_command("statements", "close", "2026-09", "--by", "finance")
    restate()
    month = statements.month("2026-09", EVERYTHING)
    reached = set()
    for line in month.lines:
        where = dict(parse_qsl(line.explained, keep_blank_values=True))
        span = Span(line.charge_period_start, line.charge_period_end)
        by_day = queries.cost_by_day(span, Cells(where), month.snapshot)
        assert sum(by_day.values()) == line.exact
        for found in explain(span.start, span.end, where, snapshot=month.snapshot):
            assert found.total == by_day.get(found.day, 0) == sum(share.cost for share in found.shares)
            windows = defaultdict(Decimal)
            for share in found.shares:
                assert sum(charge.cost for charge in share.charges) == share.group_cost
                if share.measure:
                    windows[Window(share.unit, share.window_start, share.hourly), share.cost_type] += (
                        share.cost
                    )
            for (window, cost_type), cost in windows.items():
                behind = requests_behind(
                    found.day, window, where | {"cost_type": cost_type}, limit=100, snapshot=month.snapshot
                )
                assert behind.cost == cost == sum(one.cost for one in behind.requests)
                assert behind.weight == behind.weighed == sum(one.weight for one in behind.requests)
                reached |= {one.request_id for one in behind.requests}
    assert len(reached) > 2


MONEY = re.compile(r'class="number[^"]*">([\d,]+\.\d\d)</td>')
OPENED = re.compile(r'<a href="([^"]*)" data-over>([^<]+)</a>')


def amount(text):
    return Decimal(text.replace(",", "").replace("−", "-"))


def test_every_amount_of_a_page_opens_what_it_is_made_of(client):
    """Of a closed month, and of the open one that has its corrections."""
    load_all()
    call_command("statements", "close", "2026-09", "--by", "finance")
    restate()
    client.force_login(User.objects.create_superuser("ann", password="x"))
    pages = ["/", "/explorer/?by=feature", "/match/?start=2026-09-01&end=2026-10-02", "/statements/"]
    for period in ("2026-09", "2026-10"):
        pages.append(f"/statements/{period}/")
        month = statements.month(period, EVERYTHING)
        for one in month.statements:
            pages.append(f"/statements/{period}/of/{one.slug}/")
            pages += [to for to in links(client, pages[-1]) if "/lines/" in to]
    told = set()
    for page in pages:
        html = client.get(page).content.decode()
        rows = re.sub("<tfoot>.*?</tfoot>", "", html, flags=re.S)  # sums of what stands above them
        without = [text for text in MONEY.findall(rows) if amount(text)]
        assert not without, (page, without)
        for to, text in OPENED.findall(html):
            if to.startswith("/explain/?") and (to, text) not in told:
                told.add((to, text))
                found = client.get(unescape(to)).context
                is_unit = "per=" in to
                exact = found["unit_cost"]["result"] if is_unit else found["total"]
                # Statements are rounded so that their lines sum to the cent.
                assert abs(exact - amount(text)) <= (exact / 100 if is_unit else Decimal("0.01")), (
                    page,
                    to,
                    text,
                )
            elif to.startswith("/explain/charges/"):
                taken = client.get(unescape(to)).context["found"]
                of = taken.original.get("NOK", taken.cost) if "unconverted" in to else taken.cost
                assert abs(of - amount(text)) <= Decimal("0.005")
            else:
                assert client.get(unescape(to).partition("#")[0]).status_code == 200
    assert len(told) > 40


def links(client, page):
    return [unescape(to) for to in re.findall(r'<a href="([^"]*)"', client.get(page).content.decode())]


def test_of_two_who_close_at_once_one_wins_and_the_other_is_told(elsewhere):
    # A month that is attributed already: what is tried here is the close alone.
    load = "from django.core.management import call_command; call_command('migrate', verbosity=0); "
    load += "from tests.reports.conftest import costs; costs()"
    finish(manage(elsewhere, "shell", "-v", "0", "-c", load))
    both = [manage(elsewhere, "statements", "close", "2026-09", "--by", name) for name in ("ann", "bob")]
    said = [one.communicate() for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], said
    assert sum("2026-09 is closed: version 1" in stderr for _, stderr in said) == 1
    exported = finish(manage(elsewhere, "statements", "export", "2026-09"))
    assert {row["version"] for row in csv.DictReader(io.StringIO(exported))} == {"1"}


def test_a_month_that_still_runs_is_closed_only_when_that_is_said(monkeypatch):
    load_all()
    today = datetime(2026, 9, 2, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: today)
    with pytest.raises(CommandError, match="2026-09 still runs"):
        call_command("statements", "close", "2026-09")
    call_command("statements", "close", "2026-09", "--running")
    with pytest.raises(CommandError, match="2026-09 is closed"):
        call_command("statements", "close", "2026-09", "--running")
