"""Clusters of two machines that are both this one: real processes, gone at the end of the block."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ROOT

VENV = ROOT / ".venv-engines"
PYTHON = VENV / "bin" / "python"
PATIENCE = 90  # seconds until a part of a cluster must be there


@dataclass(frozen=True)
class Cluster:
    address: str
    environment: dict[str, str]
    at_work: Callable[[], set[str]]  # those of its machines that have computed something
    leaders: Sequence[int]  # processes, each the first of its session


@contextmanager
def ray_nodes(memory: int = 200_000_000) -> Iterator[Cluster]:
    """A head at 127.0.0.2 and another node at 127.0.0.3, of one core each; Ray takes 127.0.0.1 for another name."""
    port, client = _free_port(), _free_port()
    address = f"127.0.0.2:{port}"
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    start = [str(VENV / "bin" / "ray"), "start", "--block", "--num-cpus=1", f"--object-store-memory={memory}"]
    head = ["--head", "--node-ip-address=127.0.0.2", f"--port={port}", f"--ray-client-server-port={client}"]
    with _folder() as folder, _processes(folder) as run:
        head_is_up = run.start(
            "head", [*start, *head, "--include-dashboard=false", f"--temp-dir={folder}"], environment
        )
        head_is_up("Ray runtime started")
        other_is_up = run.start(
            "other", [*start, f"--address={address}", "--node-ip-address=127.0.0.3"], environment
        )
        other_is_up("Ray runtime started")
        yield Cluster(address, environment, lambda: _ray_nodes_at_work(address), run.leaders)


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
def spark_workers(java: str = "-XX:TieredStopAtLevel=1") -> Iterator[Cluster]:
    """A master and the workers `1` and `2`, of one core each.

    `java`: options of its machines; as they are, they start faster and compute slower.
    """
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    (spark_class,) = VENV.glob("lib/python3*/site-packages/pyspark/bin/spark-class")
    with _folder() as folder, _processes(folder) as run:
        (folder / "spark-defaults.conf").write_text(
            "spark.driver.host 127.0.0.1\nspark.executor.memory 1g\nspark.sql.shuffle.partitions 4\n"
            f"spark.driver.extraJavaOptions {java}\nspark.executor.extraJavaOptions {java}\n"
        )
        environment = {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONF_DIR": str(folder),
            "SPARK_LOCAL_DIRS": str(folder),
            "SPARK_DAEMON_JAVA_OPTS": java,
            "PYSPARK_PYTHON": str(PYTHON),
        }
        deploy = [str(spark_class), "org.apache.spark.deploy"]
        listening = ["--host", "127.0.0.1", "--webui-port", "0"]
        master = [deploy[0], f"{deploy[1]}.master.Master", *listening, "--port", str(port)]
        run.start("master", master, environment)("elected leader")
        for name in ("1", "2"):
            own = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / name)]
            worker = [deploy[0], f"{deploy[1]}.worker.Worker", address, *listening, *own]
            run.start(name, worker, environment)("Successfully registered with master")
        yield Cluster(address, environment, lambda: _spark_workers_at_work(folder), run.leaders)


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


class _Processes:
    """Processes, each in a session and with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def leaders(self) -> Sequence[int]:
        return [process.pid for process in self._started]

    def start(self, name: str, words: list[str], environment: dict[str, str]) -> Callable[[str], None]:
        """What it gives back waits until the process has said a word."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=self._folder,  # not this program's: no machine of a cluster needs to have it
                env={**inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)

        def until(word: str) -> None:
            end = time.monotonic() + PATIENCE
            while word not in (text := log.read_text()):
                assert process.poll() is None, f"{name} ended: {text}"
                assert time.monotonic() < end, f"{name} does not say {word!r}: {text}"
                time.sleep(0.2)

        return until

    def stop(self) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _kill_session(process.pid)
            process.wait()


@contextmanager
def _processes(folder: Path) -> Iterator[_Processes]:
    started = _Processes(folder)
    try:
        yield started
    finally:
        started.stop()


def _kill_session(leader: int) -> None:
    for process in of_session(leader):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def of_session(leader: int) -> Iterator[int]:
    """The processes that are left of a session."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(entry.read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(entry.parent.name)


def inherited() -> dict[str, str]:
    """What processes need of this one's environment."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME") if name in os.environ}
