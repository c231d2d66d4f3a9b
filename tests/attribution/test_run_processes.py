"""Attribution by real processes: killed in the middle, and two at once, on SQLite and PostgreSQL."""

import random
import signal
import time

from tests import worlds
from tests.processes import finish, manage, python

KILLS = 2
SPAN = ("--start", str(worlds.START), "--end", str(worlds.END))
LOAD = """
import os, pathlib, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "finops.settings"
import django
django.setup()
from django.core.management import call_command
from tests import commands
commands.load(pathlib.Path(sys.argv[1]))
"""


def exported(elsewhere: dict[str, str]) -> str:
    return finish(
        manage(elsewhere, "export", "allocations", *SPAN, "--grain", "hour", "--by", "model,tenant,team")
    )


def test_killed_at_any_moment_or_run_by_two_at_once_the_same_command_ends_in_the_same_bytes(
    elsewhere, tmp_path
):
    rng = random.Random(5)
    finish(python(elsewhere, "-c", LOAD, str(worlds.random_world(rng, tmp_path / "world"))))
    began = time.monotonic()
    finish(manage(elsewhere, "attribute", *SPAN, "--force"))
    whole = time.monotonic() - began
    wanted = exported(elsewhere)
    assert wanted.count("\n") > 5

    for _ in range(KILLS):
        process = manage(elsewhere, "attribute", *SPAN, "--force")
        time.sleep(whole * rng.uniform(0.3, 0.95))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert exported(elsewhere) == wanted  # every killed run left the earlier state or a whole new one
    for process in [manage(elsewhere, "attribute", *SPAN, "--force") for _ in range(2)]:
        finish(process)
    assert exported(elsewhere) == wanted
