"""What nobody asks for by accident: no address of the program answers it with a failure of ours."""

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote, urlencode

import pytest
from django.urls import URLPattern, get_resolver

from ingest.models import Delivery
from reports.matching import TAKEN_BY
from tests.attribution.allocated import a_gpu_for_two_teams
from tests.reports.conftest import costs

pytestmark = pytest.mark.django_db

HOSTILE = [
    "",
    " ",
    "\x00",
    "'",
    "é\U0001f4b8",
    "-1",
    "1e9",
    "٣",
    "²",
    "9" * 22,
    "9" * 4400,
    "0001-01",
    "0001-01-05",
    "9999-12",
    "9999-12-31",
    "2999-12",
    "2999-12-31",
    "20260901",
    "2026-W36-1",
    "0001-01-01T00:00",
    "9999-12-31T23:59+14:00",
]
DAYS = "start=2026-01-01&end=2026-02-01"
SELECTION = "start end by grain billing_period model"
EXPLORED = f"{SELECTION} measure sort all add_key add_value"
EXPLAINED = "start end day without version snapshot per others sort add_key add_value model billing_period resource_id"
WINDOW = "day=2026-01-05&unit=g:GPU-0&window=2026-01-05T10:00&cost_type=usage"
# Each address of a GET by the name of its pattern: the parameters that it reads, beside those that it cannot do without.
READS = {
    "overview": ("month", ""),
    "explorer": (EXPLORED, ""),
    "explorer_csv": (EXPLORED, ""),
    "statements": ("page", ""),
    "month": ("version", ""),
    "ledger": ("version", ""),
    "statement": ("version", ""),
    "line": ("version corrects cost_type model feature pool reason", "cost_type=usage&model=chat"),
    "bridge_step": (
        "source account step currency page version",
        "source=aws&account=1001&step=excluded_by_default&currency=USD",
    ),
    "match_report": ("start end", ""),
    "deliveries": ("state kind page", ""),
    "delivery": ("page", ""),
    "anomalies": ("state page", ""),
    "anomaly": ("", ""),
    "unsubscribe": ("", ""),
    "api_allocations": (SELECTION, DAYS),
    "healthz": ("", ""),
    "login": ("next", ""),
    "explain": (EXPLAINED, DAYS),
    "explain_requests": ("unit window page day", WINDOW),
    "explain_requests_csv": ("day", WINDOW),
    "explain_charges": (f"start end page snapshot {' '.join(TAKEN_BY)}", DAYS),
    "policy": ("", ""),
    "policy_preview": ("", ""),
    "policy_preview_csv": ("", ""),
    "policy_version": ("", ""),
}
# Those of a POST: the fields of their forms.
TAKES = {
    "login": "username password next",
    "logout": "",
    "close_month": "confirmed",
    "reopen_month": "reason",
    "anomaly_state": "state note",
    "unsubscribe": "again",
    "accept_delivery": "",
    "reject_delivery": "reason",
    "try_policy": "text month",
    "apply_policy": "month reason",
}
IN_PATHS = {"period": "2026-09", "slug": "team/search", "number": "1", "token": "x"}


def patterns(of=None) -> Iterator[URLPattern]:
    """Every address but those of Django's admin."""
    for one in (of or get_resolver()).url_patterns:
        if isinstance(one, URLPattern):
            yield one
        elif str(one.pattern) != "admin/":
            yield from patterns(one)


PATTERNS = {one.name: str(one.pattern) for one in patterns()}


def path_of(name: str, **values: str) -> str:
    path = "/" + PATTERNS[name]
    for kind, key in (("str", "period"), ("path", "slug"), ("int", "number"), ("str", "token")):
        path = path.replace(f"<{kind}:{key}>", quote({**IN_PATHS, **values}[key]))
    return path


def paths_of(name: str, value: str) -> Iterator[str]:
    """With this value in the place of each part that a path names."""
    yield from (path_of(name, **{part: value}) for part in IN_PATHS if f":{part}>" in PATTERNS[name])


def addresses_of(name: str) -> Iterator[str]:
    """Of the GET of a page: one value of the path or the query is hostile; a third of the values for each word."""
    words, needed = READS[name]
    for value in HOSTILE:
        yield from (f"{path}?{needed}" for path in paths_of(name, value))
    for number, word in enumerate(words.split()):
        for value in HOSTILE[number % 3 :: 3]:
            others = [pair for pair in needed.split("&") if pair and not pair.startswith(f"{word}=")]
            yield f"{path_of(name)}?{'&'.join([*others, urlencode({word: value})])}"


@pytest.fixture
def something(client, finance, incidents):
    """A month with a bill, a day with requests, an anomaly and a delivery, before somebody who may see it all."""
    costs()
    a_gpu_for_two_teams()
    Delivery.objects.create(pk=1, kind="billing", source="aws", state="held", fingerprint="f")
    client.force_login(finance)
    client.raise_request_exception = False


def test_every_address_is_tried():
    assert PATTERNS.keys() == READS.keys() | TAKES.keys()


def test_no_address_makes_a_page_fail(client, something):
    answers = {address: client.get(address).status_code for name in READS for address in addresses_of(name)}
    assert [address for address, status in answers.items() if status >= 500] == []


def test_no_form_makes_a_page_fail(client, finance, something):
    failed = []
    for name, value in product(TAKES, HOSTILE):
        client.force_login(finance)
        sent = [(path_of(name), {word: value}) for word in TAKES[name].split()]
        sent += [(path, {}) for path in paths_of(name, value)]
        failed += [(path, data) for path, data in sent if client.post(path, data).status_code >= 500]
    assert failed == []


def test_a_character_that_no_text_has_is_refused_in_words(client, finance):
    client.force_login(finance)
    response = client.get("/explorer/", {"model": "chat\x00"})
    assert (response.status_code, b"model has a character that no text has" in response.content) == (
        400,
        True,
    )
