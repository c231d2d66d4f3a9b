"""The weekly mails, through the command and a real SMTP server."""

import asyncio
import csv
import io
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.core.management import CommandError, call_command

from anomalies.models import Incident
from anomalies.queries import reasons
from attribution.models import Run
from finops.core import warehouse
from finops.core.access import Scope
from reports import emails
from reports.exploration import explore
from reports.letters import Owner, letters
from reports.models import MailPreference, OwnerMail
from reports.selection import Selection
from reports.templatetags.figures import money, unit_cost
from tests.processes import ended, finish, manage
from tests.reports.conftest import person
from tests.tables import fill

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
MONDAY = date(2026, 9, 14)
WEEK = timedelta(days=7)
OWNERS = {"sue@example.com": "search", "noa@example.com": "nlp", "quin@example.com": "quiet"}


def two_weeks(
    *,
    owners: dict[str, str] = OWNERS,
    model: str = "ranker",
    incomplete: tuple[date, ...] = (),
    first: date = MONDAY - WEEK,
) -> None:
    """Two teams' costs from the Monday before until the Sunday of the week, attributed day by day.

    The requests to the search team's model double in the second week, and so does its usage; half of
    it is of one tenant before, most of it then. The other team goes on as before.
    """
    days = [first + timedelta(days=n) for n in range((MONDAY + WEEK - first).days)]
    costs, served, machines, log = [], [], [], []
    for day in days:
        later = day >= MONDAY
        for name, team, tenant, usage, requests in (
            (model, "search", "acme", "3.00" if later else "1.00", 300 if later else 100),
            (model, "search", "umbra", "1.00", 100),
            ("chat", "nlp", "acme", "5.25", 50),
        ):
            costs.append(f"{day} | {name} | home | {tenant} | {team} | usage | {usage}")
            served.append(
                f"{day} | {name} | home | {tenant} | {team} | {requests} | {requests} | {requests}00 | 0 | {requests}"
            )
        log.append(f"gateway | {day} | {day} 10:00 UTC | {model} | i-1")
        idle = "2.00" if later else "4.00"
        costs.append(f"{day} | {model} | | | search | idle | {idle}")
        costs.append(f"{day} | {model} | | | search | shared | {'0.75' if later else '0.50'}")
        costs.append(f"{day} | chat | | | nlp | shared | 0.111111111111")
        machines.append(
            f"{day} | {day} 00:00 UTC | {day} 23:59 UTC | resource | i-1 | {'4.00' if later else '2.00'} | {idle}"
        )
    fill("allocation_days", "day | model | feature | tenant | team | cost_type | cost\n" + "\n".join(costs))
    fill(
        "request_days",
        "day | model | feature | tenant | team | requests | predictions | input_tokens | cached_input_tokens"
        " | output_tokens\n" + "\n".join(served),
    )
    fill("requests", "source | day | time | model | resource_id\n" + "\n".join(log))
    fill(
        "unit_windows",
        "day | window_start | window_end | unit_kind | resource_id | usage_cost | idle_cost\n"
        + "\n".join(machines),
    )
    fill(
        "owners",
        "kind | name | team | owner_email\n"
        + "\n".join(f"team | {team} | {team} | {email}" for email, team in owners.items()),
    )
    Run.objects.bulk_create(
        Run(
            day=day,
            computed_from=1,
            snapshot=1,
            looked_from=day,
            looked_until=day,
            fingerprint="",
            policy_version=0,
            complete=day not in incomplete,
            incomplete_reason="bill of aws/1 ends on 2026-09-18" if day in incomplete else "",
            charged=1,
            allocated=1,
            seconds=0,
        )
        for day in days
    )


@dataclass
class Sink:
    """A mail server that keeps what it takes. `answer` decides of each mail what the client is told.

    It answers nobody before `at_once` clients have sent it a mail each.
    """

    port: int
    at_once: int = 1
    clients: int = 0
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    answer: Callable[[SMTP], str] = lambda server: "250 taken"

    @property
    def recipients(self) -> list[str]:
        return sorted(recipient for recipient, _ in self.taken)

    def mail_to(self, recipient: str) -> EmailMessage:
        (found,) = [mail for one, mail in self.taken if one == recipient]
        return found

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.clients += 1
        while self.clients < self.at_once:
            await asyncio.sleep(0.01)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        answer = self.answer(server)
        if not answer.startswith("4"):
            self.taken += [(recipient, mail) for recipient in envelope.rcpt_tos]
        return answer


def free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port


@contextmanager
def listening() -> Iterator[Sink]:
    sink = Sink(free_port())
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()


@pytest.fixture
def sink(settings) -> Iterator[Sink]:
    with listening() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        yield found


def run(*words: str) -> tuple[str, str]:
    """The command's standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("send_owner_emails", "--week", str(MONDAY), *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return body.get_content().replace("\r\n", "\n")


# ---- what a mail says ----


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


# ---- sending it ----


def test_a_mail_is_sent_once_however_often_the_command_runs(sink):
    two_weeks()
    run()
    out, _ = run()
    assert "0 mails sent, 2 were sent before" in out
    assert sink.recipients == ["noa@example.com", "sue@example.com"]


def test_a_server_that_is_down_fails_the_command_and_nothing_is_recorded(sink, settings):
    two_weeks()
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, free_port()
    with pytest.raises(CommandError, match="No mail could be sent") as failure:
        run()
    assert failure.value.returncode == 1
    assert not OwnerMail.objects.exists()
    settings.EMAIL_PORT = port
    run()
    assert sink.recipients == ["noa@example.com", "sue@example.com"]


def test_a_refused_recipient_keeps_no_other_from_the_mail_and_is_tried_again(sink):
    two_weeks()
    sink.refused = {"noa@example.com"}
    out, err = run()
    assert "1 mail sent" in out
    assert "noa@example.com: not sent, and may be tried again" in err
    assert "no such person here" in err
    assert list(OwnerMail.objects.values_list("owner_email", flat=True)) == ["sue@example.com"]
    sink.refused = set()
    run()
    assert sink.recipients == ["noa@example.com", "sue@example.com"]


def test_an_address_that_is_none_keeps_no_other_from_the_mail(sink):
    two_weeks(owners={"a@example.com, b@example.com": "nlp", "sue@example.com": "search"})
    _, err = run()
    assert sink.recipients == ["sue@example.com"]
    assert "not sent" in err


def test_a_mail_that_the_server_turns_away_may_be_tried_again(sink):
    two_weeks()
    sink.answer = lambda server: "451 try later"
    with pytest.raises(CommandError):
        run()
    assert not OwnerMail.objects.exists()
    sink.answer = lambda server: "250 taken"
    run()
    assert sink.recipients == ["noa@example.com", "sue@example.com"]


def test_a_connection_lost_after_the_text_is_not_tried_again_and_is_said(sink):
    two_weeks(owners={"sue@example.com": "search"})

    def hang_up(server: SMTP) -> str:
        server.transport.close()
        return "250 taken"

    sink.answer = hang_up
    with pytest.raises(CommandError) as failure:
        run()
    assert failure.value.returncode == 1
    sink.answer = lambda server: "250 taken"
    _, err = run()
    assert "sue@example.com: begun at" in err
    assert "not sent again" in err
    assert sink.recipients == ["sue@example.com"]


def test_without_a_server_mails_become_files_and_are_recorded(settings, tmp_path):
    two_weeks()
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "finops.core.mail.EmlFiles", tmp_path / "mail"
    run()
    run()
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in (tmp_path / "mail").iterdir()
    ]
    assert sorted(mail["To"] for mail in mails) == ["noa@example.com", "sue@example.com"]
    assert all(part(mail, kind) for mail in mails for kind in ("plain", "html"))


def test_a_dry_run_writes_every_mail_and_records_nothing(sink, tmp_path):
    two_weeks()
    run()
    OwnerMail.objects.filter(owner_email="noa@example.com").delete()
    before = list(OwnerMail.objects.values())
    out, _ = run("--dry-run", str(tmp_path / "dry"))
    assert "2 mails written" in out
    names = sorted(path.name for path in (tmp_path / "dry").iterdir())
    assert names == ["2026-09-14-noa@example.com.eml", "2026-09-14-sue@example.com.eml"]
    assert list(OwnerMail.objects.values()) == before
    assert len(sink.taken) == 2


def test_a_week_that_is_not_over_is_refused(sink, tmp_path):
    two_weeks()
    today = str(datetime.now(UTC).date())
    with pytest.raises(CommandError, match="is not over") as failure:
        call_command("send_owner_emails", week=today)
    assert failure.value.returncode == 2
    call_command("send_owner_emails", week=today, dry_run=str(tmp_path), stdout=io.StringIO())


# ---- no more of them ----


def unsubscribe_link(mail: EmailMessage) -> str:
    (address,) = re.findall(r"<http://127\.0\.0\.1:8000(/unsubscribe/[^>]+)>", mail["List-Unsubscribe"])
    assert address in part(mail, "plain")
    assert address in part(mail, "html")
    return address


def test_the_page_behind_the_link_asks_and_its_button_ends_the_mails(client, sink):
    two_weeks()
    run()
    link = unsubscribe_link(sink.mail_to("sue@example.com"))
    asked = client.get(link)  # as a link scanner does
    assert "Send no more weekly mails to sue@example.com?" in asked.content.decode()
    assert not MailPreference.objects.exists()
    assert "gets no more weekly mails" in client.post(link).content.decode()
    OwnerMail.objects.all().delete()
    out, _ = run()
    assert sink.recipients == ["noa@example.com", "noa@example.com", "sue@example.com"]
    assert "1 owners want none" in out


def test_the_mail_program_s_own_button_ends_the_mails_without_login(client, sink):
    two_weeks()
    run()
    mail = sink.mail_to("sue@example.com")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    answer = client.post(unsubscribe_link(mail), {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert MailPreference.objects.get().owner_email == "sue@example.com"


def test_who_ended_the_mails_can_have_them_again(client, sink):
    link = f"/unsubscribe/{emails.token('sue@example.com')}/"
    client.post(link)
    assert "Send them again" in client.get(link).content.decode()
    assert "gets the weekly mails again" in client.post(link, {"again": ""}).content.decode()
    assert not MailPreference.objects.exists()


def test_a_link_that_we_did_not_make_ends_nothing(client):
    whole = emails.token("sue@example.com")
    for broken in (whole[:-2], whole.replace(":", "x", 1), "sue@example.com"):
        for answer in (client.get(f"/unsubscribe/{broken}/"), client.post(f"/unsubscribe/{broken}/")):
            assert answer.status_code == 404
            assert "This link is not complete" in answer.content.decode()
    assert client.put(f"/unsubscribe/{whole}/").status_code == 405
    assert not MailPreference.objects.exists()


# ---- several processes ----


@pytest.fixture
def installation(elsewhere) -> dict[str, str]:
    """The environment of one with twenty owners to mail."""
    environment = {**elsewhere, "EMAIL_URL": ""}
    fill = "from tests.reports import test_emails as t; t.many_owners()"
    finish(manage(environment, "shell", "-v0", "-c", fill))
    return environment


def many_owners() -> None:
    two_weeks(owners={f"owner{n:02}@example.com": "search" for n in range(20)})


def test_two_processes_at_once_send_each_mail_once(installation):
    with listening() as sink:
        sink.at_once = 2
        environment = {**installation, "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}"}
        words = ("send_owner_emails", "--week", str(MONDAY))
        processes = [manage(environment, *words) for _ in range(2)]
        said = ["".join(ended(process)) for process in processes]
    assert Counter(sink.recipients) == {f"owner{n:02}@example.com": 1 for n in range(20)}
    assert sum(int(re.search(r"(\d+) mails? sent", text)[1]) for text in said) == 20


def test_a_process_killed_between_sending_and_recording_leads_to_no_second_mail(installation):
    with listening() as sink:
        environment = {**installation, "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}"}
        words = ("send_owner_emails", "--week", str(MONDAY))
        process = manage(environment, *words)

        def kill_at_the_third(server: SMTP) -> str:
            if len(sink.taken) == 2:
                process.send_signal(signal.SIGKILL)
                process.wait()
            return "250 taken"

        sink.answer = kill_at_the_third
        process.communicate(timeout=120)
        assert len(sink.taken) == 3
        sink.answer = lambda server: "250 taken"
        said = "".join(ended(manage(environment, *words)))
    assert Counter(sink.recipients) == {f"owner{n:02}@example.com": 1 for n in range(20)}
    assert "17 mails sent, 2 were sent before" in said
    assert re.search(r"owner\d\d@example.com: begun at .* not sent again", said)
