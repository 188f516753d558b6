"""TLS towards clients: at once or after asking, and logins that are bound to it."""

import hashlib
import ssl
import struct
import subprocess

import pytest

from harness import wire
from harness.wire import Closed, Wire

SECONDS_MAX = 15


def dial(sluice):
    return Wire(sluice.port, SECONDS_MAX)


def selected(client):
    client.send(wire.query("SELECT 1"))
    return wire.rows(client.until(b"Z"))


def end_point(client):
    """RFC 5929, section 4.1, for the certificates that Sluice issues: they are signed with SHA-256."""
    return hashlib.sha256(client.raw.getpeercert(binary_form=True)).digest()


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "at once"])
def test_tls_is_reached_both_ways(sluice, asked):
    with dial(sluice) as client:
        client.start_tls(asked, alpn=["postgresql"])
        assert client.raw.selected_alpn_protocol() == "postgresql"
        client.log_in("alice", "lab-direct", sluice.token("alice"))
        assert selected(client) == [("1",)]


def test_at_once_needs_the_protocol_named(sluice):
    """Otherwise a browser's handshake could be taken for a client's (ALPACA)."""
    with dial(sluice) as client:
        client.start_tls(asked=False)
        with pytest.raises(Closed):
            client.send(wire.startup(user="alice", database="lab-direct"))
            client.take(1)


def test_another_protocol_is_refused(sluice):
    with dial(sluice) as client, pytest.raises((ssl.SSLError, ConnectionError)):
        client.start_tls(asked=True, alpn=["h2"])


def test_a_login_is_bound_to_the_certificate(sluice):
    with dial(sluice) as client:
        client.start_tls()
        client.log_in("alice", "lab-direct", sluice.token("alice"), mechanism="SCRAM-SHA-256-PLUS", binding=end_point(client))
        assert client.mechanisms == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
        assert selected(client) == [("1",)]


def test_a_login_bound_to_another_certificate_is_refused(sluice):
    with dial(sluice) as client:
        client.start_tls()
        with pytest.raises(PermissionError):
            client.log_in("alice", "lab-direct", sluice.token("alice"), mechanism="SCRAM-SHA-256-PLUS", binding=b"\0" * 32)


def test_an_offer_that_was_taken_out_on_the_way_is_noticed(sluice):
    """The flag `y` says: I could bind, but you did not offer it."""
    with dial(sluice) as client:
        client.start_tls()
        client.send(wire.startup(user="alice", database="lab-direct"))
        with pytest.raises((PermissionError, AssertionError)) as refused:
            client.authenticate(sluice.token("alice"), header="y,,")
    assert "channel binding" in str(refused.value)


def test_without_tls_no_binding_is_offered(sluice):
    with dial(sluice) as client:
        client.log_in("alice", "lab-direct", sluice.token("alice"))
        assert client.mechanisms == ["SCRAM-SHA-256"]


def test_psql_with_channel_binding_required(sluice, shop):
    url = sluice.url(shop, extra="sslmode=require channel_binding=require")
    done = subprocess.run(["psql", "-X", "-At", url, "-c", "SELECT 1"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


def test_a_record_that_is_cut_everywhere_is_the_same_handshake(sluice):
    """The first byte alone decides that TLS begins at once."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    session = context.wrap_bio(incoming, outgoing)
    with dial(sluice) as client:
        for _ in range(10):
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.send(struct.pack("B", byte))
                incoming.write(client.raw.recv(65536))
        assert session.selected_alpn_protocol() == "postgresql"
