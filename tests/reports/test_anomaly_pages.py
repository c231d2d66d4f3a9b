"""An anomaly on its page: its causes, its figures, who takes it up."""

import pytest

from anomalies import root_cause
from reports.templatetags.figures import money, signed_money
from reports.views.anomalies import FACTORS
from tests.reports.reading import shown
from tests.tables import fill

pytestmark = pytest.mark.django_db


def test_every_factor_of_a_change_is_said_in_words():
    words = {value for name, value in vars(root_cause).items() if name.isupper() and isinstance(value, str)}
    assert words - {root_cause.ROUND_HALF_EVEN} == set(FACTORS)


def test_an_anomaly_shows_factors_and_slices_that_sum_to_its_change(client, finance, incidents):
    client.force_login(finance)
    found = client.get("/anomalies/1/").context
    assert sum(one.amount for one, _ in found["factors"]) == found["incident"].change
    for _, slices, rest in found["slices"]:
        assert sum(one.amount for one in slices) + rest == found["incident"].change
    assert found["main"].name == "price"


def test_every_figure_of_an_anomaly_opens_that_figure(client, finance, incidents):
    fill(
        "allocation_days",
        """
        day        | model          | tenant | cost_type | cost
        2026-09-06 | search-model-0 | acme   | usage     | 7
        2026-09-07 | search-model-0 | acme   | usage     | 1
        2026-09-08 | search-model-0 | acme   | usage     | 2
        2026-09-08 | search-model-0 | acme   | idle      | 1
        2026-09-08 | search-model-0 | acme   | shared    | 9
        """,
    )
    client.force_login(finance)
    for page in ("/anomalies/", "/anomalies/1/"):
        opened = [one for one in shown(client.get(page).content.decode()) if "search-model-0" in one[0]]
        assert opened
        for to, text in opened:
            found = client.get(to)
            if "before=" in to:
                assert signed_money(found.context["change"]["result"]) == text
                assert "3.00 a day, less" in found.content.decode()
                ((before, amount),) = [one for one in shown(found.content.decode()) if one[1] == "1.00"]
                assert money(client.get(before).context["unit_cost"]["result"]) == amount
            elif "per=" in to:
                assert money(found.context["unit_cost"]["result"]) == text
            else:
                assert money(found.context["total"]) == text
    page = client.get("/anomalies/1/").content.decode()
    assert "less 1.00 that a model expected" in page
    assert any("before=" in to for to, _ in shown(page))


def test_an_anomaly_of_requests_that_failed_says_so(client, finance, september, incidents):
    client.force_login(finance)
    assert "Failed requests" not in client.get("/anomalies/1/").content.decode()
    fill(
        "request_days",
        """
        day        | model          | requests | failed_requests | cached_requests | predictions | input_tokens | cached_input_tokens | output_tokens
        2026-09-07 | search-model-0 | 100      | 1               | 0               | 99          | 0            | 0                   | 0
        2026-09-08 | search-model-0 | 1000     | 790             | 0               | 210         | 0            | 0                   | 0
        """,
    )
    page = client.get("/anomalies/1/").content.decode()
    assert "79.0 %" in page
    assert "of 1,000; 1.0 % before" in page


def test_whoever_sees_an_anomaly_may_take_it_up(client, owner, september, incidents):
    client.force_login(owner)
    page = client.post("/anomalies/1/state", {"state": "acknowledged", "note": "ours"}, follow=True)
    assert "acknowledged by owen" in page.content.decode()
    assert client.post("/anomalies/2/state", {"state": "resolved"}).status_code == 404
    assert client.post("/anomalies/1/state", {"state": "gone"}).status_code == 400
    assert client.get("/anomalies/1/state").status_code == 405
