"""Two weeks to write owners of, and a mail server that keeps what it is sent."""

import asyncio
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.core.management import call_command

from attribution.models import Run
from tests.tables import fill

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


def many_owners() -> None:
    two_weeks(owners={f"owner{n:02}@example.com": "search" for n in range(20)})


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


def run(*words: str) -> tuple[str, str]:
    """The command's standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("send_owner_emails", "--week", str(MONDAY), *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return body.get_content().replace("\r\n", "\n")
