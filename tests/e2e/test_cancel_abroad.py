"""Cancel requests that reach another data plane than the one that has the session: two of them behind one address."""

import json
import os
import subprocess
import threading
import time
import urllib.request

import psycopg
import pytest

from conftest import PASSWORD, ROUTES, connection, policy
from harness import wire
from harness.process import stop
from harness.sluice import Sluice
from harness.wire import Wire

SECONDS_MAX = 20


class Second:
    """A second data plane of a Sluice."""

    def __init__(self, sluice, folder):
        request = urllib.request.Request(
            f"{sluice.addresses['api']}/api/dataplanes/keys",
            data=b"{}",
            headers={"Authorization": f"Bearer {sluice.cli_env['SLUICE_TOKEN']}", "Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            (folder / "creds.toml").write_text(json.load(response)["credentials"])
        environment = {
            **os.environ,
            "SHOP_PASSWORD": PASSWORD,
            "SLUICE_DATAPLANE_CONTROL": sluice.addresses["control"].split("://")[-1],
            "SLUICE_DATAPLANE_DRAIN_TIMEOUT_SECONDS": "1",
            **{f"SLUICE_DATAPLANE_LISTEN_{name}": "127.0.0.1:0" for name in ("POSTGRES", "HTTP", "LINKS", "METRICS")},
        }
        self.log_path = folder / "log"
        command = [os.path.join(sluice.bin, "sluice-dataplane"), "--data-dir", str(folder / "data"), "--cred-file", str(folder / "creds.toml")]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        addresses = folder / "data" / "addresses.json"
        deadline = time.monotonic() + 30
        while not addresses.exists() or self._generation(addresses) == 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log_path.read_text()[-3000:]
            time.sleep(0.05)
        self.port = int(json.loads(addresses.read_text())["postgres"].rsplit(":", 1)[1])

    @staticmethod
    def _generation(addresses):
        try:
            metrics = json.loads(addresses.read_text())["metrics"]
            with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=5) as response:
                lines = response.read().decode().splitlines()
        except (OSError, ValueError):
            return 0
        return min((int(line.split()[1]) for line in lines if line.startswith("sluice_policy_generation{")), default=0)

    def close(self):
        stop(self.process)


@pytest.fixture(scope="module")
def two(target, tmp_path_factory):
    """A Sluice and the port of its second data plane. Agents of the local pool link to the first alone, so the second goes direct."""
    text = policy(*(connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES))
    sluice = Sluice(text, environment={"SHOP_PASSWORD": PASSWORD})
    second = None
    try:
        sluice.token("alice")
        second = Second(sluice, tmp_path_factory.mktemp("second"))
        yield sluice, second
    finally:
        if second:
            second.close()
        assert sluice.close() == 0


def session(port, sluice, name, protocol=wire.PROTOCOL_30):
    client = Wire(port, SECONDS_MAX)
    client.log_in("alice", name, sluice.token("alice"), protocol=protocol)
    return client


def cancel(port, client):
    """Sends the request to a data plane; returns when that has closed the socket."""
    began = time.monotonic()
    with Wire(port, SECONDS_MAX) as other:
        other.send(wire.cancel_request(*client.key))
        assert other.rest() == []
    return time.monotonic() - began


@pytest.mark.parametrize("protocol", [wire.PROTOCOL_30, wire.PROTOCOL_32], ids=["3.0", "3.2"])
@pytest.mark.parametrize(("has", "gets"), [("first", "second"), ("second", "first")])
def test_a_request_finds_its_session_on_the_other_data_plane(two, protocol, has, gets):
    sluice, second = two
    ports = {"first": sluice.port, "second": second.port}
    for name in ("lab-direct", "lab-agent") if has == "first" else ("lab-direct",):
        with session(ports[has], sluice, name, protocol) as client:
            client.send(wire.query("SELECT pg_sleep(30)"))
            time.sleep(0.3)
            assert cancel(ports[gets], client) < 5
            answers = client.until(b"Z")
            assert any(tag == b"E" and wire.error(body)["C"] == "57014" for tag, body in answers), answers
            # The socket was closed when the target had taken it: the next statement is not hit.
            client.send(wire.query("SELECT 7"))
            assert wire.rows(client.until(b"Z")) == [("7",)]


def test_keys_that_nobody_has_are_answered_at_once(two):
    sluice, second = two
    for port in (sluice.port, second.port):
        began = time.monotonic()
        with Wire(port, SECONDS_MAX) as other:
            other.send(wire.cancel_request(1, b"\1\2\3\4"))
            assert other.rest() == []
        assert time.monotonic() - began < 4


def test_a_flood_of_keys_is_bounded_and_harms_nobody(two):
    sluice, second = two
    with psycopg.connect(f"host=127.0.0.1 port={second.port} user=alice dbname=lab-direct password={sluice.token('alice')}", autocommit=True) as link:

        def flood():
            for number in range(150):
                with Wire(sluice.port, SECONDS_MAX) as other:
                    other.send(wire.cancel_request(number + 1, os.urandom(4)))

        threads = [threading.Thread(target=flood) for _ in range(3)]
        for each in threads:
            each.start()
        for number in range(50):
            assert link.execute("SELECT %s::int", [number]).fetchone() == (number,)
        for each in threads:
            each.join()
    time.sleep(1.2)
    test_a_request_finds_its_session_on_the_other_data_plane(two, wire.PROTOCOL_30, "second", "first")


def test_without_the_control_plane_requests_still_work_at_home(two):
    """Runs last: it stops the control plane."""
    sluice, second = two
    with session(second.port, sluice, "lab-direct") as client:
        sluice_pids = sluice.pids()
        os.kill(sluice_pids["controlplane"], 19)
        try:
            client.send(wire.query("SELECT pg_sleep(30)"))
            time.sleep(0.3)
            # No answer comes from abroad: the socket closes all the same.
            assert cancel(sluice.port, client) < 8
            assert cancel(second.port, client) < 2
            answers = client.until(b"Z")
            assert any(tag == b"E" and wire.error(body)["C"] == "57014" for tag, body in answers)
        finally:
            os.kill(sluice_pids["controlplane"], 18)
