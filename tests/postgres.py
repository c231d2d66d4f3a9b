"""A PostgreSQL database for a test, dropped afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest


@contextmanager
def database(like: str = "template1") -> Iterator[str]:
    """Its address: an empty one, or a copy of another; skips the test where no server answers at FINOPS_TEST_POSTGRES."""
    server = os.environ.get("FINOPS_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres")
    try:
        admin = psycopg.connect(server, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        pytest.skip(f"needs PostgreSQL (FINOPS_TEST_POSTGRES): {str(error).splitlines()[0]}")
    name = f"finops_test_{uuid4().hex[:12]}"
    with admin:
        admin.execute(f"create database {name} template {like}")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            admin.execute(f"drop database {name} with (force)")
