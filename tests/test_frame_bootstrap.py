"""bootstrap.sh, run for real with PATHs of stand-in interpreters; nothing is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("sh", "dirname", "cmp", "cp", "rm", "sed", "cat")


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script and a lock, and `bin/`, the only place of its PATH."""
    for name in ("bootstrap.sh", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def interpreter(checkout: Path, name: str, script: str) -> Path:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def bootstrap(checkout: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout), **more}
    return subprocess.run(
        [checkout / "bootstrap.sh"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


ANSWERS_FITS = 'if [ "$1" = - ]; then echo fits; exit; fi'
# Stands for a real interpreter: `-m venv` makes a .venv whose own python notes what it is asked to do.
WORKS = f"""{ANSWERS_FITS}
echo "$0 $*" >> calls
mkdir -p .venv/bin
printf '#!/bin/sh\\n{ANSWERS_FITS}\\necho "venv $*" >> calls\\n' > .venv/bin/python
printf '#!/bin/sh\\necho "uv $*" >> calls\\n' > .venv/bin/uv
chmod +x .venv/bin/python .venv/bin/uv"""


def works(checkout: Path, name: str) -> Path:
    for tool in ("mkdir", "chmod"):
        (checkout / "bin" / tool).symlink_to(shutil.which(tool))
    return interpreter(checkout, name, WORKS)


def test_a_dead_shim_is_passed_over(checkout):
    interpreter(checkout, "python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')
    works(checkout, "python3.11")
    done = bootstrap(checkout)
    assert done.returncode == 0, done.stderr
    assert "python3.11" in done.stdout
    assert "pyenv" not in done.stderr


def test_a_second_run_does_nothing(checkout):
    works(checkout, "python3")
    assert bootstrap(checkout).returncode == 0
    before = (checkout / "calls").read_text()
    assert "--require-hashes" in before
    again = bootstrap(checkout)
    assert (again.returncode, again.stdout, (checkout / "calls").read_text()) == (0, "", before)


def test_a_changed_lock_is_installed_into_the_same_environment(checkout):
    works(checkout, "python3")
    bootstrap(checkout)
    with (checkout / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    (checkout / "calls").unlink()
    assert bootstrap(checkout).returncode == 0
    calls = (checkout / "calls").read_text()
    assert "uv pip sync" in calls
    assert "-m venv" not in calls


def test_without_uv_pip_installs_the_same_lock_by_hash(checkout):
    works(checkout, "python3")
    script = checkout / "bin" / "python3"
    script.write_text(script.read_text().replace('echo "uv $*" >> calls', "exit 1"))
    done = bootstrap(checkout)
    assert done.returncode == 0, done.stderr
    assert "pip install --quiet --require-hashes -r requirements.txt" in (checkout / "calls").read_text()


def test_another_python_gets_one_clear_line(checkout):
    interpreter(checkout, "python3", 'echo "CPython 3.10.13"')
    interpreter(checkout, "python", 'echo "PyPy 3.11.9"')
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert done.stderr == (
        "bootstrap: needs CPython 3.11, 3.12 or 3.13 on PATH (or PYTHON=/path/to/python); "
        "found CPython 3.10.13, PyPy 3.11.9\n"
    )


def test_no_python_at_all_gets_one_clear_line(checkout):
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert done.stderr.endswith("found none\n")
    assert done.stderr.count("\n") == 1


def test_a_python_without_venv_gets_one_clear_line(checkout):
    python = interpreter(checkout, "python3.12", 'echo "no venv"')
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert done.stderr == (
        f"bootstrap: {python} has no venv module; on Debian and Ubuntu: apt install python3-venv\n"
    )


def test_a_chosen_python_that_does_not_fit_is_refused_by_name(checkout):
    works(checkout, "python3")
    chosen = interpreter(checkout, "old", 'echo "CPython 3.9.18"')
    done = bootstrap(checkout, PYTHON=str(chosen))
    assert done.returncode == 1
    assert f"PYTHON={chosen} is CPython 3.9.18" in done.stderr


def test_the_script_asks_a_real_interpreter_what_it_is(checkout):
    """The one test of the Python that the script carries: this interpreter fits, or has no venv."""
    link = checkout / "bin" / "python3"
    link.write_text(f'#!/bin/sh\nif [ "$1" = - ]; then exec {sys.executable} -; fi\nexit 9\n')
    link.chmod(0o755)
    done = bootstrap(checkout)
    assert done.returncode in {1, 9}
    assert f"with {link}" in done.stdout or "no venv module" in done.stderr


def test_the_lock_names_no_index_and_no_folder_and_hashes_everything():
    lock = (ROOT / "requirements.txt").read_text()
    assert "://" not in lock
    assert f"{os.sep}opt{os.sep}" not in lock
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert len(pins) > 100
    assert all(line.endswith("\\") for line in pins)
