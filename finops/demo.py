"""The demo's story, told through the public commands: a month is closed, then its bill is restated."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db.models import Sum

from anomalies import queries as anomalies
from attribution import queries as attributed
from finops import pipeline
from finops.core.access import ENGINEER, EVERYTHING, FINANCE, OWNER
from finops.core.command import Progress
from finops.core.models import TeamMember
from finops.core.periods import next_month, parse_month
from finops.sample.write import Delivery, write
from ingest.models import Delivery as Delivered
from reports import matching, statements

Say = Callable[[str], Any]
PASSWORD = "demo"
OWNED = "assistants"  # the team whose costs the demo's owner sees
USERS = {
    "finance": "statements, the bridge, closing a month",
    "engineer": "everything, to find out why",
    "owner": f"the costs of {OWNED} alone",
    "admin": "everything, and Django's admin",
}


def build(folder: Path, end: date, seed: int, *, say: Say, progress: Progress) -> None:
    """Write the organisation's files, and do with them what an organisation does in three months."""
    started = time.monotonic()

    def tell(text: str) -> None:
        progress.clear()
        say(f"{time.monotonic() - started:4.0f} s  {text}")

    sample = write(
        folder / "sample", end, seed, lambda done, of, what: progress(f"writing {what}", done, of, "files")
    )
    tell(f"wrote the files of a sample organisation, {sample.start} until {end}, to {sample.folder}")
    add_users()
    for delivery in sample.deliveries:
        tell(deliver(delivery))
    tell(attribute(progress))
    call_command("statements", "close", sample.month_to_close, by="finance", stdout=StringIO())
    tell(f"closed {sample.month_to_close}")
    for delivery in sample.restated:
        tell(f"its bill is restated: {deliver(delivery)}")
    tell(attribute(progress))
    # DETECT
    count = pipeline.detect(lambda done, of: progress("judging", done, of, "slices"))
    tell(f"judged every complete day: {count} incidents")
    mails = pipeline.mail_owners(end - timedelta(days=7))
    tell(f"wrote {mails} mails to owners: {settings.EMAIL_FILE_PATH}")
    say("")
    for line in what_was_found(sample.month_to_close, sample.start, end):
        say(line)
    say(f"\nLog in with the password {PASSWORD!r} as")
    for name, sees in USERS.items():
        say(f"  {name:<9} {sees}")


def add_users() -> None:
    for name in USERS:
        if name == "admin":
            User.objects.create_superuser(name, password=PASSWORD)
            continue
        user = User.objects.create_user(name, password=PASSWORD)
        group, _ = Group.objects.get_or_create(
            name={"finance": FINANCE, "engineer": ENGINEER}.get(name, OWNER)
        )
        user.groups.add(group)
        if name == "owner":
            TeamMember.objects.create(user=user, team=OWNED)


def deliver(delivery: Delivery) -> str:
    """Through the public command, and its first line."""
    files, said = [str(path) for path in delivery.files], StringIO()
    if delivery.kind == "policy":
        call_command("policy", "apply", *files, stdout=said)
    else:
        source = [f"--source={delivery.source}"] if delivery.source else []
        call_command("ingest", delivery.kind, *files, *source, stdout=said)
    return said.getvalue().splitlines()[0]


def attribute(progress: Progress) -> str:
    report = pipeline.attribute_outdated(
        workers=2, progress=lambda stage, day, done, of: progress(f"{stage} of {day}", done, of, "days")
    )
    return f"attributed {len(report.attributed)} days, {len(report.unchanged)} unchanged"


def what_was_found(closed_month: str, start: date, end: date) -> list[str]:
    """A screen of figures, each as its page shows it, and the page."""
    site = settings.FINOPS_SITE_URL
    open_month = next_month(parse_month(closed_month)).strftime("%Y-%m")
    closed, now = (statements.month(month, EVERYTHING) for month in (closed_month, open_month))
    share = matching.share_attributed(start, end)
    unmatched = matching.match_report(start, end, EVERYTHING)
    incomplete = [
        f"{day} ({run.incomplete_reason})"
        for day, run in attributed.runs(start, end).items()
        if not run.complete
    ]
    problems = Delivered.objects.aggregate(rows=Sum("bad_rows"))["rows"] or 0
    return [
        f"{site}/",
        f"  {share.share:.1%} of {share.base:,.2f} {now.currency} reached a model or a team; "
        f"{share.excluded_by_default:,.2f} met no rule",
        f"  closed {closed.period}: {closed.amount:,.2f} on {len(closed.statements)} statements; "
        f"corrected in {now.period} by {now.corrected:,.2f}",
        f"  {len(unmatched)} kinds of charges, metrics or requests did not meet: the match report says which line to add",
        *(f"  {one}: {one.impact:+,.2f}" for one in anomalies.incidents_between(start, end)[:6]),
        f"  {problems:,} rows in quarantine; incomplete days: {'; '.join(incomplete) or 'none'}",
    ]
