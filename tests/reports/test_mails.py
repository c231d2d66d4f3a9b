"""What the weekly mails say."""

import csv
import io
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from email import message_from_bytes, policy

import pytest

from anomalies.models import Incident
from anomalies.queries import reasons
from finops.core import warehouse
from finops.core.access import Scope
from reports import emails
from reports.exploration import explore
from reports.letters import Owner, letters
from reports.models import OwnerMail
from reports.selection import Selection
from reports.templatetags.figures import money, unit_cost
from tests.reports.conftest import person
from tests.reports.mails import MONDAY, WEEK, part, run, two_weeks
from tests.tables import fill

pytestmark = pytest.mark.django_db


def test_the_figures_are_those_of_the_view_that_the_mail_links_to(client, sink):
    two_weeks()
    run()
    client.force_login(person("sue", "owner", teams=("search",)))
    for kind in ("plain", "html"):
        text = part(sink.mail_to("sue@example.com"), kind).replace("&amp;", "&")
        (link,) = set(re.findall(r'http://127\.0\.0\.1:8000(/explorer/[^"\s]*)', text))
        for back in (0, 7):
            days = {"start": MONDAY - timedelta(days=back), "end": MONDAY + WEEK - timedelta(days=back)}
            address = link
            for name, day in days.items():
                address = re.sub(rf"{name}=[^&]*", f"{name}={day}", address)
            assert back or address == link
            page = client.get(address.replace("/explorer/", "/explorer/table.csv"))
            (row,) = csv.DictReader(io.StringIO(page.content.decode()))
            assert row["model"] == "ranker"
            for figure in (
                money(row["cost"]),
                *(unit_cost(Decimal(row[name])) for name in ("cpp_usage", "cpp_loaded")),
            ):
                assert figure in text


def test_the_first_lines_say_what_it_cost_how_much_more_and_why(sink):
    two_weeks()
    run()
    mail = sink.mail_to("sue@example.com")
    # 7 days of 4.00 + 2.00 + 0.75, after 7 days of 2.00 + 4.00 + 0.50
    assert mail["Subject"] == "search: 47.25 USD for inference, 1.75 more than the week before"
    told = (
        "47.25 USD for inference, 1.75 more than the week before (+3.8 %), "
        "mainly because of more requests to ranker, mostly of tenant acme."
    )
    assert part(mail, "plain").splitlines()[:3] == ["search, 14–20 September 2026", "", told]
    assert f"<h1>{told}</h1>" in re.sub(r" style=\"[^\"]*\"", "", part(mail, "html"))


def test_the_two_largest_reasons_have_words_and_money(sink):
    two_weeks()
    run()
    text = part(sink.mail_to("sue@example.com"), "plain")
    # half the machine's 6.00 a day serves then, a third served before
    why = text.partition("WHY\n")[2].partition("\n\n")[0].splitlines()
    assert [line.strip() for line in why] == [
        "+14.00 USD  more requests to ranker, mostly of tenant acme",
        "−14.00 USD  machines of ranker that stood idle less",
    ]


def test_all_reasons_together_are_the_change_to_the_last_place():
    two_weeks()
    week, before = ([start + timedelta(days=n) for n in range(7)] for start in (MONDAY, MONDAY - WEEK))
    (why,) = reasons([("search", "nlp")], week, before, warehouse.latest())
    now, then = (
        explore(Selection(start, start + WEEK, scope=Scope(frozenset(["search", "nlp"])))).total
        for start in (MONDAY, MONDAY - WEEK)
    )
    assert sum(one.amount for one in why) == now.cost - then.cost - (now.shared - then.shared)


def test_the_one_thing_to_do_is_about_the_dearest_open_incident_with_a_link_to_it(sink):
    two_weeks()
    incident = Incident.objects.create(
        model="ranker",
        tenant="acme",
        metric="cost",
        onset=date(2026, 9, 15),
        last_day=date(2026, 9, 18),
        days=4,
        direction="up",
        ongoing=False,
        settled=False,
        launch=False,
        team="search",
        actual=Decimal(3),
        expected=Decimal(1),
        impact=Decimal(8),
        series=[],
        moved=[],
        factors=[{"factor": "requests", "amount": "2"}],
        slices=[],
        change=Decimal(2),
        compared={"now": [], "before": []},
        snapshot=1,
    )
    run()
    text = part(sink.mail_to("sue@example.com"), "plain")
    assert "Ask acme what the additional requests to ranker are" in text
    assert "It has cost 2.00 USD a day more than expected since 15 September." in text
    assert f"http://127.0.0.1:8000/anomalies/{incident.pk}/" in text
    assert "acme" not in part(sink.mail_to("noa@example.com"), "plain")


def test_an_owner_sees_the_own_teams_alone(sink):
    two_weeks()
    run()
    mail = sink.mail_to("noa@example.com")
    for kind in ("plain", "html"):
        assert "chat" in part(mail, kind)
        assert "search" not in part(mail, kind)
        assert "ranker" not in part(mail, kind)


def test_an_owner_of_two_teams_gets_one_mail_with_both(sink):
    two_weeks()
    fill(
        "owners",
        """
        kind    | name   | team   | owner_email
        model   | ranker | search | both@example.com
        feature | home   | nlp    | both@example.com
        tenant  | acme   | search | customer@example.com
        """,
    )
    run()
    assert sink.recipients == ["both@example.com"]
    assert sink.mail_to("both@example.com")["Subject"].startswith("nlp, search: 84.78 USD")


def test_an_owner_whose_teams_cost_nothing_gets_no_mail(sink):
    two_weeks()
    out, _ = run()
    assert sink.recipients == ["noa@example.com", "sue@example.com"]
    assert "2 mails sent, 1 owners' teams cost nothing" in out
    assert not OwnerMail.objects.filter(owner_email="quin@example.com").exists()


def test_days_that_are_not_complete_are_said_and_left_out_on_both_sides(sink):
    two_weeks(incomplete=(date(2026, 9, 8), date(2026, 9, 19), date(2026, 9, 20)))
    run()
    mail = sink.mail_to("sue@example.com")
    text = part(mail, "plain")
    # five days of each week
    assert (
        mail["Subject"] == "search: 33.75 USD for inference, 1.25 more than the same days of the week before"
    )
    assert text.startswith("search, 14–18 September 2026")
    assert "Left out, as not complete: 19 September (bill of aws/1 ends on 2026-09-18), 20 September" in text
    assert "Not final: 8 September (bill of aws/1 ends on 2026-09-18)." in text
    assert "start=2026-09-14&end=2026-09-19" in text


def test_without_a_week_before_nothing_is_compared(sink):
    two_weeks(first=MONDAY - timedelta(days=2))
    run()
    text = part(sink.mail_to("sue@example.com"), "plain")
    assert "47.25 USD for inference; the week before is not wholly attributed" in text
    assert "WHY" not in text


def test_a_hostile_name_stays_text(sink):
    model = "<img src=//evil.example/x>&amp;'\""
    two_weeks(model=model)
    run()
    mail = sink.mail_to("sue@example.com")
    html = part(mail, "html")
    assert "<img" not in html
    assert "&lt;img src=//evil.example/x&gt;&amp;amp;" in html
    assert model in part(mail, "plain")


def test_a_name_with_line_breaks_makes_no_header_and_no_line():
    two_weeks()
    (letter,) = letters([Owner("sue@example.com", ("search",))], MONDAY)
    hostile = replace(letter, owner=Owner("sue@example.com", ("search\r\nBcc: all@example.com\u2028",)))
    mail = message_from_bytes(emails.message(hostile).message().as_bytes(), policy=policy.default)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("search Bcc: all@example.com: 47.25 USD")
    assert part(mail, "plain").startswith("search Bcc: all@example.com, 14–20 September")
