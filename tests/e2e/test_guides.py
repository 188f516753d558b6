"""The lines of the guide for clients do what the guide says."""

import os
import re
import subprocess
import sys

import pytest

from harness.sluice import ROOT

GUIDE = os.path.join(ROOT, "docs", "guides", "clients.md")


def examples():
    """Language, client and text of every example that names the client it is for."""
    with open(GUIDE, encoding="utf-8") as guide:
        return re.findall(r"^```(\w+) (\w+)\n(.*?)^```", guide.read(), re.M | re.S)


def test_every_marked_client_has_an_example():
    with open(GUIDE, encoding="utf-8") as guide:
        marked = len(re.findall(r"^## .*✓$", guide.read(), re.M))
    assert marked == len(examples()) == 3


@pytest.mark.parametrize("client", ["psql", "psycopg", "asyncpg"])
def test_an_example_connects(sluice, client):
    ((language, _, text),) = [example for example in examples() if example[1] == client]
    words = {"HOST": "127.0.0.1", "PORT": str(sluice.port), "USER": "alice", "CONNECTION": "shop-agent", "TOKEN": sluice.token("alice")}
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    command = ["sh", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "1" in done.stdout.split()
