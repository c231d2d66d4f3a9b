"""The weekly mails sent through the command and a real SMTP server: each once, and none to who wants no more."""

import io
import re
import signal
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP
from django.core.management import CommandError, call_command

from reports import emails
from reports.models import MailPreference, OwnerMail
from tests.processes import ended, finish, manage
from tests.reports.mails import MONDAY, free_port, listening, part, run, two_weeks

pytestmark = pytest.mark.django_db


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


@pytest.fixture
def installation(elsewhere) -> dict[str, str]:
    """The environment of one with twenty owners to mail."""
    environment = {**elsewhere, "EMAIL_URL": ""}
    fill = "from tests.reports import mails; mails.many_owners()"
    finish(manage(environment, "shell", "-v0", "-c", fill))
    return environment


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
