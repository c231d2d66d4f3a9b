"""What keeps pages quick: what was told before, monthly layers, and an end to what takes too long."""

import csv
import io
import tracemalloc
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

from attribution import steps
from finops.core import results, spans, warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.layers import LAYERS
from reports import exports, matching, queries
from reports.exploration import Exploration, explore
from reports.figures import Figures
from reports.overview import overview_of
from reports.selection import Selection
from tests.tables import fill

pytestmark = pytest.mark.django_db

START, END = date(2026, 8, 30), date(2026, 9, 6)
WEEK = [START + timedelta(days=number) for number in range(7)]


def costs(days=WEEK, amount="1.50"):
    """Each day two teams' usage and idle, a pool's share, and what they were asked."""
    allocations, served = [], []
    for number, day in enumerate(days):
        for team, tenant in (("search", "acme"), ("nlp", "umbrella")):
            key = f"{day} | {team}-model | v{number % 2} | {tenant} | {team} | prod"
            bill = f"aws | 1001 | {day:%Y-%m}"
            allocations.append(f"{key} | usage | | | {bill} | {amount}")
            allocations.append(f"{key} | idle | | | {bill} | 0.333333333333")
            allocations.append(f"{key} | shared | | storage | {bill} | 0.1")
            served.append(f"{key} | {10 + number} | 1 | 9 | 100 | 10")
    keys = "day | model | model_version | tenant | team | environment"
    fill(
        "allocation_days",
        f"{keys} | cost_type | reason | pool | source | billing_account | billing_period | cost\n"
        + "\n".join(allocations),
    )
    fill(
        "request_days",
        f"{keys} | requests | failed_requests | predictions | input_tokens | output_tokens\n"
        + "\n".join(served),
    )


def exported(tmp_path) -> dict[tuple[object, ...], bytes]:
    """Every export of the days that a layer may be read for."""
    told = {}
    for grain in ("day", "month"):
        for by in ((), ("model",), ("team", "tenant"), ("model_version",)):
            for where in ({}, {"tenant": ("acme",)}):
                for start, end in (
                    (START, END),
                    (date(2026, 9, 2), END),
                    (date(2026, 8, 1), date(2026, 10, 1)),
                ):
                    target = tmp_path / "export.csv"
                    exports.write_allocations(Selection(start, end, grain, by, where), target)
                    told[grain, by, str(where), start, end] = target.read_bytes()
    return told


def test_compaction_leaves_every_export_as_it_was(tmp_path):
    costs()
    before = exported(tmp_path)
    assert spans.compact() == ["2026-08", "2026-09"]
    assert {file.partition for file in warehouse.files("allocation_months")} == {"2026-08", "2026-09"}
    assert exported(tmp_path) == before
    assert spans.compact() == []


def test_a_day_attributed_after_the_compaction_shows_at_once(tmp_path):
    costs()
    spans.compact()
    costs(days=WEEK[3:4], amount="7.25")
    after = exported(tmp_path)
    assert spans.compact() == ["2026-09"]
    assert exported(tmp_path) == after
    (figures,) = queries.figures_by(Selection(WEEK[3], WEEK[4]), ()).values()
    assert figures.usage == Decimal("14.50")


def test_layers_that_are_thrown_away_are_not_missed_and_come_back(tmp_path):
    costs()
    spans.compact()
    before = exported(tmp_path)
    for file in [file for file in warehouse.in_force() if file.dataset in {layer.name for layer in LAYERS}]:
        (warehouse.folder() / file.path).unlink()
    assert exported(tmp_path) == before
    assert "`compact` writes it again" in next(warehouse.damaged(warehouse.in_force()))
    assert spans.compact() == ["2026-08", "2026-09"]
    assert list(warehouse.damaged(warehouse.in_force(), contents=True)) == []
    assert exported(tmp_path) == before


def test_a_compacted_warehouse_reads_fewer_files():
    costs()
    days = spans.rows("allocation_days", ["model", "cost"], START, END)
    spans.compact()
    assert (len(days.files), len(spans.rows("allocation_days", ["model", "cost"], START, END).files)) == (
        7,
        2,
    )


def test_an_earlier_snapshot_is_read_as_it_was_although_months_were_compacted_since():
    costs()
    before = warehouse.latest()
    costs(days=WEEK[:1], amount="100.00")
    spans.compact()
    selection = Selection(START, END)
    (then,) = queries.figures_by(selection, (), before).values()
    (now,) = queries.figures_by(selection, ()).values()
    assert now.usage - then.usage == 2 * (Decimal(100) - Decimal("1.50"))


def test_a_month_attributed_during_its_compaction_is_left_for_the_next(monkeypatch):
    costs()
    write = warehouse.write

    def overtaking(con, dataset, *args, **named):
        if dataset == "request_days_of_month":  # the last of its files, before the commit
            monkeypatch.setattr(warehouse, "write", write)
            costs(days=WEEK[-1:], amount="9.00")
        return write(con, dataset, *args, **named)

    monkeypatch.setattr(warehouse, "write", overtaking)
    assert "2026-09" not in spans.compact() or spans.compact() == []
    (figures,) = queries.figures_by(Selection(WEEK[-1], END), ()).values()
    assert figures.usage == Decimal("18.00")


def test_a_day_that_is_new_in_its_month_during_the_compaction_is_not_left_out():
    """It is in no layer, and would be taken for one that its layer holds."""
    costs(days=WEEK[:4])
    spans.compact(progress=lambda month, *_: costs(days=WEEK[4:5]) if month.month == 8 else None)
    costs(days=WEEK[2:3])
    (figures,) = queries.figures_by(Selection(START, END), ()).values()
    assert figures.usage == 5 * 2 * Decimal("1.50")


def test_what_was_told_before_is_told_again_without_reading(monkeypatch):
    costs()
    selection = Selection(START, END, by=("model",))
    first = queries.figures_by(selection, ("model",))
    monkeypatch.setattr(warehouse, "reading", None)  # a read would fail
    assert queries.figures_by(selection, ("model",)) is first


def test_what_is_remembered_equals_what_is_read():
    costs()
    selection = Selection(START, END, by=("model",))
    queries.figures_by(selection, ("model",))
    told = queries.figures_by(selection, ("model",))
    results._results = results.Results()
    assert queries.figures_by(selection, ("model",)) == told


def test_another_content_of_a_day_is_another_answer():
    costs()
    selection = Selection(START, END, by=("model",))
    before = queries.figures_by(selection, ("model",))
    share = matching.share_attributed(START, END)
    costs(days=WEEK[:1], amount="2.50")
    after = queries.figures_by(selection, ("model",))
    assert after["search-model",].usage - before["search-model",].usage == 1
    assert matching.share_attributed(START, END).reached - share.reached == 2


def test_the_same_content_written_again_is_the_same_answer():
    costs()
    before = queries.figures_by(Selection(START, END), ())
    costs()
    spans.compact()
    assert queries.figures_by(Selection(START, END), ()) is before


def test_no_reader_is_told_what_another_scope_was_told():
    costs()
    selections = [
        Selection(START, END, by=("model",), scope=scope)
        for scope in (EVERYTHING, Scope(frozenset({"search"})), Scope(frozenset({"nlp"})), Scope(frozenset()))
    ]
    told = [{model for (model,) in queries.figures_by(one, ("model",))} for one in selections]
    assert told == [{"search-model", "nlp-model"}, {"search-model"}, {"nlp-model"}, set()]
    assert [set(dict(explore(one).rows)) for one in selections] == told


def test_two_readers_of_one_page_never_see_each_other_s(client, finance, owner):
    costs()
    for address in ("/", "/?month=2026-08", "/explorer/?by=model", "/explorer/?by=team"):
        pages = {}
        for user in (finance, owner, finance, owner):
            client.force_login(user)
            pages.setdefault(user.username, []).append(client.get(address).content.decode())
        assert all("nlp" in page for page in pages["fiona"]), address
        assert not any("nlp" in page or "umbrella" in page for page in pages["owen"]), address


def test_memory_is_bounded_and_forgets_what_was_asked_for_longest_ago(settings):
    settings.FINOPS_CACHE_MB = 1
    kept = results.Results()
    for number in range(40):
        kept.get(number, lambda number=number: "x" * 100_000)
        kept.get(0, lambda: "first")
    asked = []
    for number in (39, 0, 1):
        kept.get(number, lambda number=number: asked.append(number) or "again")
    assert asked == [1]


def figures(count):
    """Of so many models, all other objects."""
    return [
        Figures(usage=Decimal(f"{number}.000000000001"), requests=10**9 + number) for number in range(count)
    ]


@pytest.mark.parametrize(
    "told",
    [
        lambda: "\U0001f4b8" * 50_000,
        lambda: {(f"model-{number}",): one for number, one in enumerate(figures(500))},
        lambda: Exploration(list(zip(map(str, range(500)), figures(500), strict=True)), {}, {}, ""),
        lambda: [figures(500)],
    ],
)
def test_what_is_remembered_takes_no_more_memory_than_the_setting_says(settings, told):
    settings.FINOPS_CACHE_MB = 2
    kept = results.Results()
    tracemalloc.start()
    try:
        for number in range(40):
            kept.get(number, told)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 < taken / 1024**2 < 2.5


def test_overviews_of_many_readers_take_no_more_memory_than_the_setting_says(settings):
    keys = "day | model | team | cost_type | cost"
    rows = [
        f"2026-09-0{day} | m{number} | t{number % 30} | usage | {number}.01"
        for day in (1, 2)
        for number in range(300)
    ]
    fill("allocation_days", f"{keys}\n" + "\n".join(rows))
    overview_of(None, EVERYTHING)
    settings.FINOPS_CACHE_MB = 4
    results._results = results.Results()
    tracemalloc.start()
    try:
        for number in range(30):
            overview_of(None, Scope(frozenset(f"t{one}" for one in range(30) if one != number)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 1024**2 < 4.5


@pytest.fixture
def hurried(settings):
    """A page has no time at all."""
    settings.FINOPS_PAGE_SECONDS = 0.000001
    costs(days=[date(2026, 8, 1) + timedelta(days=number) for number in range(30)])


def test_many_short_queries_of_one_page_are_stopped_together():
    span = {"day_start": START, "day_end": END}

    def ask_again_and_again(con):
        for _ in range(1000):
            steps.run(con, "owner_now", span)
            con.execute("drop table owner_now")

    with closing(warehouse.connect()) as con:
        warehouse.view(con, "owners", [])
        with warehouse.time_limit(0.2), pytest.raises(duckdb.InterruptException):
            ask_again_and_again(con)


@pytest.mark.parametrize("address", ["/explorer/?by=tenant", "/explorer/table.csv?by=model", "/match/"])
def test_a_page_that_takes_too_long_is_stopped_and_says_what_to_do(client, finance, hurried, address):
    client.force_login(finance)
    response = client.get(address)
    assert response.status_code == 503
    assert "That took too long" in response.content.decode()
    assert "Ask for fewer days" in response.content.decode()


def test_the_api_says_that_it_took_too_long(client, finance, hurried):
    client.force_login(finance)
    response = client.get("/api/allocations?start=2026-08-01&end=2026-09-01&by=model")
    assert response.status_code == 503
    assert "Ask for fewer days" in response.json()["detail"]


def test_an_export_of_a_command_has_no_limit(hurried, tmp_path):
    rows = exports.write_allocations(Selection(date(2026, 8, 1), date(2026, 9, 1)), tmp_path / "all.csv")
    assert rows == len(list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text()))))


def test_a_query_is_stopped_while_it_runs():
    with (
        warehouse.time_limit(0.2),
        warehouse.reading() as con,
        pytest.raises(duckdb.InterruptException, match="maximum execution time"),
    ):
        con.execute(
            "select sum(hash(a.range * b.range)) from range(1000000000) as a, range(100) as b"
        ).fetchall()
    with warehouse.reading() as con:  # whoever comes next is not in a hurry
        assert con.execute("select current_setting('max_execution_time')").fetchall() == [(0,)]
