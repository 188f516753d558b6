"""The lines of the guide for clients do what the guide says."""

import os
import re

import pytest

from harness import guides
from harness.sluice import target_dir

# Those that take minutes to build are run by tests/suites/run (suite `guides`), as are these.
QUICK = ("psql", "psycopg", "asyncpg", "node_postgres", "jdbc")


def test_every_marked_client_has_an_example():
    with open(guides.GUIDE, encoding="utf-8") as guide:
        marked = len(re.findall(r"^## .*✓$", guide.read(), re.M))
    assert marked == len(guides.examples()) == 8
    assert {client for _, client, _ in guides.examples()} >= set(QUICK)


@pytest.mark.parametrize("client", QUICK)
def test_an_example_connects(sluice, client):
    words = {"HOST": "127.0.0.1", "PORT": str(sluice.port), "USER": "alice", "CONNECTION": "shop-agent", "TOKEN": sluice.token("alice")}
    try:
        done = guides.run(client, words, os.path.join(os.path.dirname(target_dir()), "guides"))
    except guides.NotHere as why:
        pytest.skip(str(why))
    assert done.returncode == 0, done.stderr
    assert "1" in done.stdout.split()
