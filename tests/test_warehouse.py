import pytest

from finops.core import warehouse
from tests.tables import fill

pytestmark = pytest.mark.django_db


def hosts(snapshot=None):
    con = warehouse.connect()
    warehouse.open_view(con, "hosts", snapshot)
    return con.sql("select host, resource_id from hosts order by host").fetchall()


def test_a_reader_of_an_older_snapshot_sees_the_older_rows():
    first = fill("hosts", "host | resource_id\n a | i-1")
    fill("hosts", "host | resource_id\n b | i-2")
    assert hosts() == [("b", "i-2")]
    assert hosts(first) == [("a", "i-1")]


def test_what_is_read_for_one_page_is_of_one_state_whatever_is_committed_meanwhile():
    fill("hosts", "host | resource_id\n a | i-1")
    with warehouse.one_state():
        assert hosts() == [("a", "i-1")]
        after = fill("hosts", "host | resource_id\n b | i-2")
        assert hosts() == [("a", "i-1")]
    assert hosts() == [("b", "i-2")]
    assert warehouse.latest() == after


def test_a_commit_computed_from_an_older_state_of_its_partition_is_refused():
    before = fill("hosts", "host | resource_id\n a | i-1")
    con = warehouse.connect()
    late = warehouse.write(
        con, "hosts", "all", "select 'c' as host, 'i-3' as resource_id, null as valid_from, null as valid_to"
    )
    fill("hosts", "host | resource_id\n b | i-2")
    with pytest.raises(warehouse.Overtaken):
        warehouse.commit([late], computed_from=before)
    assert hosts() == [("b", "i-2")]


def test_an_integer_of_128_bits_comes_back_to_the_last_digit():
    fill("request_days", "day | model | gpu_micro_ms\n 2026-09-07 | chat | 90071992547409931")
    con = warehouse.connect()
    warehouse.open_view(con, "request_days")
    assert con.sql("select gpu_micro_ms, typeof(gpu_micro_ms) from request_days").fetchall() == [
        (90071992547409931, "HUGEINT")
    ]
