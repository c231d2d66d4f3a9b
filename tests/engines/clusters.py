"""Clusters of two machines that are both this one: real processes, gone at the end of the block."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT

VENV = ROOT / ".venv-engines"
PYTHON = VENV / "bin" / "python"
PATIENCE = 90  # seconds until a part of a cluster must be there


@dataclass(frozen=True)
class Cluster:
    address: str
    environment: dict[str, str]
    at_work: Callable[[], set[str]]  # those of its machines that have computed something


@contextmanager
def ray_nodes() -> Iterator[Cluster]:
    """A head at 127.0.0.2 and another node at 127.0.0.3, of one core each; Ray takes 127.0.0.1 for another name."""
    port, client = _free_port(), _free_port()
    address = f"127.0.0.2:{port}"
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    start = [str(VENV / "bin" / "ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=200000000"]
    head = ["--head", "--node-ip-address=127.0.0.2", f"--port={port}", f"--ray-client-server-port={client}"]
    with _folder() as folder, _processes(folder) as run:
        head_is_up = run(
            "head", [*start, *head, "--include-dashboard=false", f"--temp-dir={folder}"], environment
        )
        head_is_up("Ray runtime started")
        other_is_up = run(
            "other", [*start, f"--address={address}", "--node-ip-address=127.0.0.3"], environment
        )
        other_is_up("Ray runtime started")
        yield Cluster(address, environment, lambda: _ray_nodes_at_work(address))


_PLANS_RUN_AT = """
import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(*{event["pid"] for event in ray.timeline() if event.get("name") == "run_plan"})
"""


def _ray_nodes_at_work(address: str) -> set[str]:
    done = subprocess.run(
        [PYTHON, "-c", _PLANS_RUN_AT, address], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    return set(done.stdout.split())


@contextmanager
def spark_workers() -> Iterator[Cluster]:
    """A master and the workers `1` and `2`, of one core each."""
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    (spark_class,) = VENV.glob("lib/python3*/site-packages/pyspark/bin/spark-class")
    with _folder() as folder, _processes(folder) as run:
        (folder / "spark-defaults.conf").write_text(
            "spark.driver.host 127.0.0.1\nspark.executor.memory 1g\nspark.sql.shuffle.partitions 4\n"
        )
        environment = {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONF_DIR": str(folder),
            "SPARK_LOCAL_DIRS": str(folder),
            "PYSPARK_PYTHON": str(PYTHON),
        }
        deploy = [str(spark_class), "org.apache.spark.deploy"]
        listening = ["--host", "127.0.0.1", "--webui-port", "0"]
        master = [deploy[0], f"{deploy[1]}.master.Master", *listening, "--port", str(port)]
        run("master", master, environment)("elected leader")
        for name in ("1", "2"):
            own = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / name)]
            worker = [deploy[0], f"{deploy[1]}.worker.Worker", address, *listening, *own]
            # Where Python is told to look for this program, the test would not see that workers need not have it.
            run(name, worker, environment)("Successfully registered with master")
        yield Cluster(address, environment, lambda: _spark_workers_at_work(folder))


def _spark_workers_at_work(folder: Path) -> set[str]:
    logs = folder.glob("[12]/app-*/*/stderr")
    return {log.relative_to(folder).parts[0] for log in logs if "Finished task" in log.read_text()}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _folder() -> Iterator[Path]:
    """With a short name: Ray puts sockets into it."""
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _processes(folder: Path) -> Iterator[Callable[[str, list[str], dict[str, str]], Callable[[str], None]]]:
    """Starts processes, each in a group and a folder of its own, and waits for a word in their log."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str, words: list[str], environment: dict[str, str]) -> Callable[[str], None]:
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env={**_inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)

        def until(word: str) -> None:
            end = time.monotonic() + PATIENCE
            while word not in (text := log.read_text()):
                assert process.poll() is None, f"{name} ended: {text}"
                assert time.monotonic() < end, f"{name} does not say {word!r}: {text}"
                time.sleep(0.2)

        return until

    try:
        yield run
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _kill_session(process.pid)
            process.wait()


def _kill_session(leader: int) -> None:
    """Whatever a process started has the session that began with it."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(entry.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME") if name in os.environ}
