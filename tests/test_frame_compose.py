"""docker-compose.yml against the program: its commands exist, its variables are settings, its services are there."""

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.test_frame_settings import start, variables_that_settings_reads

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("prepare", "web", "worker", "beat")


def test_it_runs_web_worker_one_beat_and_what_they_need():
    assert set(COMPOSE["services"]) == {*OURS, "postgres", "redis"}
    assert "deploy" not in COMPOSE["services"]["beat"]


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_one_that_settings_reads(service):
    assert set(COMPOSE["services"][service]["environment"]) <= variables_that_settings_reads()


def test_settings_start_with_these_variables(tmp_path):
    secrets = {"POSTGRES_PASSWORD": "pw", "SECRET_KEY": "s" * 50}

    def filled(text: str) -> str:
        """What compose makes of ${NAME:-default} and ${NAME:?message}."""
        return re.sub(
            r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", lambda match: secrets.get(match[1], match[2] or ""), text
        )

    environment = {
        name: filled(str(value)) for name, value in COMPOSE["services"]["web"]["environment"].items()
    }
    started = start(
        tmp_path,
        "print(settings.DATABASES['default']['HOST'], settings.CELERY_TASK_ALWAYS_EAGER, settings.DEBUG)",
        **{**environment, "FINOPS_DATA_DIR": str(tmp_path / "data")},
    )
    assert started.stdout.split() == ["postgres", "False", "False"], started.stderr


def test_hosts_in_addresses_are_services():
    environment = COMPOSE["services"]["worker"]["environment"]
    assert "@postgres:5432/" in environment["DATABASE_URL"]
    assert environment["CELERY_BROKER_URL"].startswith("redis://redis:6379")


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service):
    command = shlex.split(COMPOSE["services"][service]["command"])
    steps = [command] if command[:2] != ["sh", "-c"] else [shlex.split(one) for one in command[2].split("&&")]
    for program, *arguments in steps:
        if program == "gunicorn":
            assert callable(importlib.import_module(arguments[0]).application)
        elif program == "celery":
            from celery.bin.celery import celery

            assert arguments[:2] == ["--app", "finops"]
            subcommand = celery.commands[arguments[2]]
            subcommand.make_parser(click.Context(subcommand)).parse_args(arguments[3:])
        else:
            from django.core.management import get_commands

            assert (program, arguments[0]) == ("python", "manage.py")
            assert arguments[1] in get_commands()


def test_services_are_waited_for_by_a_check_that_they_have():
    for service in OURS:
        for needed, how in COMPOSE["services"][service]["depends_on"].items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE["services"][needed]


def test_the_web_check_asks_an_address_that_needs_no_login(client, db):
    (address,) = re.findall(
        r"http://127.0.0.1:8000(\S+?)'", str(COMPOSE["services"]["web"]["healthcheck"]["test"])
    )
    assert client.get(address).status_code == 200


def test_web_and_worker_share_the_data_folder():
    web, worker = COMPOSE["services"]["web"], COMPOSE["services"]["worker"]
    assert web["volumes"] == worker["volumes"] == [f"data:{web['environment']['FINOPS_DATA_DIR']}"]


def test_the_image_installs_the_lock_by_hash():
    assert "--require-hashes --requirement requirements.txt" in (ROOT / "Dockerfile").read_text()
