"""`sluice connect`: a local port, a password that ends with it, and lines that clients take as they are."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psycopg
import pytest


def start(sluice, *arguments):
    """`sluice connect … --listen 0`, once it says where it listens."""
    command = [os.path.join(sluice.bin, "sluice"), "connect", *arguments, "--user", "alice", "--listen", "0", "--address", f"127.0.0.1:{sluice.port}", "--json"]
    process = subprocess.Popen(command, env=sluice.cli_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text = ""
    while True:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
        try:
            return process, json.loads(text)
        except json.JSONDecodeError:
            continue


def test_a_local_port_serves_until_the_command_ends(sluice, shop):
    process, access = start(sluice, shop)
    try:
        assert access["host"] == "127.0.0.1" and access["port"] != sluice.port
        with psycopg.connect(access["dsn"], sslmode="require", channel_binding="require") as link:
            assert link.execute("SELECT name FROM customers ORDER BY id LIMIT 1").fetchone()[0].startswith("[NAME")
            slow = link.cursor()
            link.cancel()
            assert slow.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(access["dsn"].replace(access["password"], "slu_wrong"))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(access["dsn"])
    # Not only the port is gone: the password is, as soon as the data plane has the new policy.
    gateway = access["dsn"].replace(f":{access['port']}/", f":{sluice.port}/")
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(gateway).close()
        except psycopg.OperationalError as error:
            assert "password authentication failed" in str(error)
            break
        assert time.monotonic() < deadline, "the password still works"
        time.sleep(0.02)


def test_the_lines_for_clients_work_as_they_stand(sluice):
    done = sluice.cli("connect", "shop-agent", "--user", "alice", "--address", f"127.0.0.1:{sluice.port}")
    dsn, psql, *rest = done.stdout.splitlines()
    lines = dict(line.split(maxsplit=1) for line in rest)
    assert sorted(lines) == ["go", "jdbc", "node", "python"]
    for command in (["psql", "-XAtc", "SELECT 1", dsn], ["sh", "-c", f"{psql} -XAtc 'SELECT 1'"]):
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "1"
    script = f"import psycopg; print({lines['python']}.execute('SELECT 1').fetchone()[0])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "1"
    assert dsn in lines["go"] and dsn in lines["node"]
    assert lines["jdbc"].startswith(f"jdbc:postgresql://127.0.0.1:{sluice.port}/shop-agent?user=alice&password=slu_")


def test_a_client_is_started_with_the_password_in_its_environment(sluice):
    done = sluice.cli("connect", "shop-direct", "--user", "alice", "--address", f"127.0.0.1:{sluice.port}", "--exec", "psql", "--", "-XAtc", "SELECT 1")
    assert done.stdout.strip() == "1"
    if shutil.which("pgcli"):
        done = sluice.cli("connect", "shop-direct", "--user", "alice", "--address", f"127.0.0.1:{sluice.port}", "--exec", "pgcli", "--", "--help")
        assert "Usage" in done.stdout
