"""Hosts, owners and rates: small tables, replaced as a whole."""

from decimal import Decimal

import pytest

from finops.core import warehouse
from finops.core.errors import FinopsError
from ingest.deliveries import deliver
from ingest.sources.files import Unreadable
from tests.ingest.arrivals import rows

pytestmark = pytest.mark.django_db
TABLES = {
    "hosts": ("host,resource_id\n", "h{n},i-{n}\n", "host"),
    "owners": ("kind,name,team\n", "model,m{n},search\n", "name"),
    "rates": ("date,currency,rate\n", "2026-09-0{n},EUR,1.1\n", "date::varchar"),
}


def table(path, text: str):
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", TABLES)
def test_a_file_replaces_the_table_as_a_new_version(tmp_path, kind):
    header, line, column = TABLES[kind]
    deliver(kind, [table(tmp_path / "a.csv", header + line.format(n=1) + line.format(n=2))])
    before = warehouse.latest()
    deliver(kind, [table(tmp_path / "b.csv", header + line.format(n=3))])
    assert len(rows(kind, column)) == 1
    assert len(rows(kind, column, snapshot=before)) == 2


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_table_twice_changes_nothing_and_an_earlier_one_comes_back(tmp_path, kind):
    header, line, column = TABLES[kind]
    first = table(tmp_path / "a.csv", header + line.format(n=1) + line.format(n=2))
    deliver(kind, [first])
    before = warehouse.latest()
    assert deliver(kind, [first]).already_there
    assert warehouse.latest() == before
    deliver(kind, [table(tmp_path / "b.csv", header + line.format(n=3))])
    assert not deliver(kind, [first]).already_there
    assert len(rows(kind, column)) == 2


@pytest.mark.parametrize("kind", TABLES)
def test_an_empty_table_is_not_put_in_force(tmp_path, kind):
    header, line, column = TABLES[kind]
    deliver(kind, [table(tmp_path / "a.csv", header + line.format(n=1))])
    with pytest.raises(Unreadable, match="no rows"):
        deliver(kind, [table(tmp_path / "b.csv", header)])
    with pytest.raises(Unreadable, match="empty"):
        deliver(kind, [table(tmp_path / "c.csv", "")])
    with pytest.raises(Unreadable, match="missing; found the columns a, b"):
        deliver(kind, [table(tmp_path / "d.csv", "a,b\n1,2\n")])
    assert len(rows(kind, column)) == 1


def test_dates_are_days_or_times_and_may_be_open(tmp_path):
    text = (
        "host,resource_id,valid_from,valid_to\n"
        "a,i-1,,2026-09-03\na,i-2,2026-09-03,\nb,i-3,2026-09-03T10:00:00+02:00, 2026-09-04T00:00:00Z\n"
    )
    deliver("hosts", [table(tmp_path / "h.csv", text)])
    assert rows("hosts", "host, resource_id, valid_from::varchar, valid_to::varchar", "resource_id") == [
        ("a", "i-1", None, "2026-09-03 00:00:00+00"),
        ("a", "i-2", "2026-09-03 00:00:00+00", None),
        ("b", "i-3", "2026-09-03 08:00:00+00", "2026-09-04 00:00:00+00"),
    ]


def test_two_owners_at_one_time_are_an_error_that_names_both_lines(tmp_path):
    text = "kind,name,team,cost_center,owner_email,valid_from,valid_to\nmodel,m,a,,,,2026-09-05\nmodel,m,b,,,2026-09-04,\n"
    with pytest.raises(
        FinopsError, match=r"model m belongs to a \(o\.csv, line 2\) and to b \(o\.csv, line 3\)"
    ):
        deliver("owners", [table(tmp_path / "o.csv", text)])
    assert rows("owners", "name") == []


def test_a_host_on_two_resources_and_a_currency_with_two_rates_are_errors(tmp_path):
    with pytest.raises(FinopsError, match=r"h is on i-1 \(t\.csv, line 2\) and on i-2 \(t\.csv, line 3\)"):
        deliver("hosts", [table(tmp_path / "t.csv", "host,resource_id\nh,i-1\nh,i-2\n")])
    with pytest.raises(FinopsError, match=r"EUR has the rates 1\.1.* and 1\.2"):
        deliver(
            "rates",
            [table(tmp_path / "t.csv", "date,currency,rate\n2026-09-01,EUR,1.1\n2026-09-01,eur,1.2\n")],
        )


@pytest.mark.parametrize(
    ("kind", "line", "reason"),
    [
        ("hosts", ",i-1", "host is missing"),
        ("owners", "cluster,x,a", "kind is not model, feature, tenant or team: cluster"),
        ("owners", "model,x,", "team is missing"),
        ("rates", "2026-09-01,EURO,1", "currency is no ISO 4217 code: EURO"),
        ("rates", "2026-09-01,USD,-1", "rate is no positive number: -1"),
        ("rates", "soon,USD,1", "date is no date: soon"),
    ],
)
def test_a_line_that_cannot_be_used_is_kept_with_its_reason(tmp_path, kind, line, reason):
    header, good, _ = TABLES[kind]
    outcome = deliver(kind, [table(tmp_path / "t.csv", f"{header}{good.format(n=1)}{line}\n")])
    assert [(p.file, p.line, p.reason) for p in outcome.delivery.problems.all()] == [("t.csv", 3, reason)]


def test_a_rate_keeps_its_digits(tmp_path):
    deliver("rates", [table(tmp_path / "r.csv", "date,currency,rate\n2026-09-01,EUR,1.0834567890124\n")])
    assert rows("rates", "rate") == [(Decimal("1.083456789012"),)]
