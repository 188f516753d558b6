"""Where the control planes of the tests keep what they keep: SQLite, or PostgreSQL with SLUICE_TEST_STORE=postgres."""

import atexit
import itertools
import os

from .postgres import Postgres

_server = None
_numbers = itertools.count()


def on_postgres():
    """Whether the tests run with PostgreSQL as the store."""
    return os.environ.get("SLUICE_TEST_STORE") == "postgres"


def fresh_database():
    """The URL of an empty database on a server that lives as long as this process."""
    global _server
    if _server is None:
        _server = Postgres(settings={"log_statement": "'none'"})
        atexit.register(_server.close)
    name = f"store_{next(_numbers)}"
    _server.sql(f"CREATE DATABASE {name}")
    return f"postgres://postgres@127.0.0.1:{_server.port}/{name}"


def environment():
    """What a control plane of the tests is started with."""
    return {"SLUICE_CONTROLPLANE_DATABASE_URL": fresh_database()} if on_postgres() else {}
