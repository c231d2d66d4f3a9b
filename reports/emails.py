"""Sends the weekly mails: each owner's at most once a week, however often and at how many places this runs."""

import hashlib
import smtplib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from finops.core.errors import UsageError
from reports import queries
from reports.letters import WEEK, Letter, Owner, last_week, letters, monday, owners
from reports.models import MailPreference, OwnerMail
from reports.templatetags.figures import money

SALT = "owner-mail"

# The mail has certainly not been taken, and may be tried again: the server said so, or it is not one that can leave.
REFUSED = (
    smtplib.SMTPResponseException,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPNotSupportedError,
    ValueError,
)


@dataclass
class Outcome:
    """What became of a week's mails: addresses."""

    week: date
    sent: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)
    nothing: list[str] = field(default_factory=list)  # whose teams cost nothing
    failed: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, datetime] = field(
        default_factory=dict
    )  # begun by a run that has not said how it ended


def send(week: date | None = None, dry_run: Path | None = None) -> Outcome:
    """Send each owner the mail of the week that this day is in; by default of the last one.

    A dry run writes every mail to a folder, and leaves no trace. Raises UsageError for a week that is
    not over: its one mail would tell of half of it.
    """
    start = monday(week) if week else last_week()
    if not dry_run:
        _require_over(start)
    outcome = Outcome(start)
    wanted = _wanted(outcome, again=dry_run is not None)
    found = list(letters(wanted, start))
    told = {letter.owner for letter in found}
    outcome.nothing += [owner.email for owner in wanted if owner not in told]
    if dry_run:
        _write(found, dry_run, outcome)
    else:
        _deliver(found, outcome)
    return outcome


def _require_over(start: date) -> None:
    """By the clock, or by the data where that is ahead of it, as a sample's may be."""
    end, newest = start + WEEK, queries.newest_day()
    if end > datetime.now(UTC).date() and (newest is None or newest < end - timedelta(days=1)):
        raise UsageError(f"The week of {start} is not over: --dry-run shows what its mails would say")


def _wanted(outcome: Outcome, again: bool) -> list[Owner]:
    """The owners whose mail is still to be sent; of the others the outcome says why not."""
    left = set(MailPreference.objects.values_list("owner_email", flat=True))
    begun = {} if again else {mail.owner_email: mail for mail in OwnerMail.objects.filter(week=outcome.week)}
    wanted = []
    for owner in owners(outcome.week + WEEK):
        if owner.email in left:
            outcome.unsubscribed.append(owner.email)
        elif owner.email not in begun:
            wanted.append(owner)
        elif begun[owner.email].sent_at:
            outcome.already.append(owner.email)
        else:
            outcome.unknown[owner.email] = begun[owner.email].claimed_at
    return wanted


def _write(found: Iterable[Letter], folder: Path, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for letter in found:
        name = f"{letter.week}-{quote(letter.owner.email, safe='@+')}.eml"
        (folder / name).write_bytes(message(letter).message().as_bytes())
        outcome.sent.append(letter.owner.email)


def _deliver(found: Iterable[Letter], outcome: Outcome) -> None:
    """A connection for each: what is lost on the way to the server is then the mail of that one alone."""
    down = ""
    for letter in found:
        connection = get_connection()
        try:
            if not down:
                connection.open()
        except OSError as error:
            down = f"not sent, and may be tried again: {error}"
        if down:
            outcome.failed[letter.owner.email] = down
        else:
            _send(letter, connection, outcome)
        connection.close()


def _send(letter: Letter, connection: BaseEmailBackend, outcome: Outcome) -> None:
    email = letter.owner.email
    mail = message(letter)
    try:
        with transaction.atomic():
            claim = OwnerMail.objects.create(owner_email=email, week=letter.week)
    except IntegrityError:  # another process was faster
        outcome.already.append(email)
        return
    try:
        connection.send_messages([mail])
    except REFUSED as error:
        claim.delete()
        outcome.failed[email] = f"not sent, and may be tried again: {error}"
    except OSError as error:  # a connection lost in the middle: perhaps it arrived
        outcome.failed[email] = f"nobody knows whether it arrived, and it is not sent again: {error}"
    else:
        claim.sent_at = timezone.now()
        claim.save(update_fields=["sent_at"])
        outcome.sent.append(email)


def message(letter: Letter) -> EmailMultiAlternatives:
    """The mail, text and HTML, as it leaves."""
    import css_inline

    email = letter.owner.email
    unsubscribe_link = f"{settings.FINOPS_SITE_URL}{reverse('unsubscribe', args=[token(email)])}"
    context = {
        "letter": letter,
        "currency": settings.FINOPS_CURRENCY,
        "site": settings.FINOPS_SITE_URL,
        "unsubscribe": unsubscribe_link,
    }
    inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)
    host = urlsplit(settings.FINOPS_SITE_URL).hostname or "localhost"
    digest = hashlib.sha256(email.encode()).hexdigest()[:16]
    mail = EmailMultiAlternatives(
        subject=subject(letter),
        body=render_to_string("emails/owner_week.txt", context),
        to=[email],
        headers={
            "Message-ID": f"<owner-week.{letter.week}.{digest}@{host}>",
            "Date": format_datetime(datetime.now(UTC)),
            "List-Id": f"Weekly inference cost <owner-week.{host}>",
            "List-Unsubscribe": f"<{unsubscribe_link}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.attach_alternative(inliner.inline(render_to_string("emails/owner_week.html", context)), "text/html")
    return mail


def subject(letter: Letter) -> str:
    cost = f"{letter.teams}: {money(letter.now.cost)} {settings.FINOPS_CURRENCY} for inference"
    if letter.change is None:
        return cost
    more = "less" if letter.change < 0 else "more"
    return f"{cost}, {money(abs(letter.change))} {more} than {letter.compared_with}"


def token(email: str) -> str:
    return signing.dumps(email, salt=SALT)


def owner_of(signed: str) -> str:
    """The address in an unsubscribe link. Raises UsageError where we did not make it."""
    try:
        email: str = signing.loads(signed, salt=SALT)
    except signing.BadSignature as error:
        raise UsageError("This link is not complete: copy it whole out of the mail") from error
    return email


def unsubscribe(email: str) -> None:
    MailPreference.objects.get_or_create(owner_email=email, defaults={"unsubscribed_at": timezone.now()})


def is_unsubscribed(email: str) -> bool:
    return MailPreference.objects.filter(owner_email=email).exists()


def subscribe_again(email: str) -> None:
    MailPreference.objects.filter(owner_email=email).delete()
