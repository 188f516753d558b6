"""HTTP in quantity: large bodies both ways, thousands of idle clients, clients that change cores. `SLUICE_LONG=1`: ten gigabytes."""

import concurrent.futures
import contextlib
import os
import resource
import socket
import subprocess
import threading
import time

import pytest

from harness.curl import curl
from harness.http_target import HttpTarget, response
from harness.sluice import Sluice

BODY_BYTES = (10 << 30) if os.environ.get("SLUICE_LONG") else (256 << 20)
CLIENTS = 5000
PIECE = bytes(range(256)) * 1024

POLICY = """
[[redaction]]
name   = "personal"
detect = ["EMAIL_ADDRESS"]
[[routes]]
name  = "all"
allow = ["* /{rest...}", "* /"]
[[user]]
name = "alice"
groups = ["web"]
"""

CONNECTION = """
[[connection]]
name     = "{name}"
{way}
type     = "http"
url      = "http://127.0.0.1:{port}"
key_header = "X-Key"
credential_scheme = "none"
groups   = ["web"]
routes   = ["all"]
request_bytes_max = 0
{more}
"""
WAYS = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


def policy(port):
    """Both ways, with and without redaction."""
    made = POLICY
    for name, way in WAYS.items():
        made += CONNECTION.format(name=name, way=way, port=port, more="")
    return made + CONNECTION.format(name="red", way=WAYS["direct"], port=port, more='redact = ["personal"]')


@pytest.fixture(scope="module")
def target():
    server = HttpTarget(lambda request: response(body=b"ok"))
    yield server
    server.close()


@pytest.fixture(scope="module", params=["uring", "epoll"])
def sluice(request, target):
    made = Sluice(policy(target.port), backend=request.param, environment={"SLUICE_DATAPLANE_CORES": "0"})
    made.backend = request.param
    yield made
    made.close()


def rss_kb(sluice, program="dataplane"):
    """Resident memory of a program."""
    with open(f"/proc/{sluice.pids()[program]}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def url(sluice, name, path="/"):
    """The address of a connection by path prefix."""
    return f"http://{sluice.addresses['http']}/c/{name}{path}"


@pytest.fixture
def bulk():
    """A target that answers GET with as many bytes, and counts those of POST."""
    counted = []

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb", 1 << 20)
            line = stream.readline()
            length = 0
            while (field := stream.readline()) not in (b"\r\n", b""):
                if field.lower().startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            if line.startswith(b"POST"):
                left = length
                while left and (piece := stream.read(min(left, 1 << 20))):
                    left -= len(piece)
                counted.append(length - left)
                connection.sendall(response(body=b"taken"))
                return
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {BODY_BYTES}\r\n\r\n".encode())
            left = BODY_BYTES
            while left:
                connection.sendall(PIECE[: min(left, len(PIECE))])
                left -= min(left, len(PIECE))

    server = socket.create_server(("127.0.0.1", 0), backlog=16)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1], counted
    server.close()


@pytest.mark.parametrize("version", [[], ["--http2-prior-knowledge"]], ids=["h1", "h2"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(3600)
def test_large_bodies_pass_both_ways_in_bounded_memory(bulk, way, version, tmp_path):
    port, counted = bulk
    made = Sluice(policy(port))
    try:
        key = ["-H", f"X-Key: {made.token('alice')}"]
        assert curl(url(made, way, "/warm"), *key, "-r", "0-1", "-m", "1", "-o", "/dev/null").code in (0, 28)
        before = {program: rss_kb(made, program) for program in ("dataplane", "agent")}
        command = ["curl", "-sS", *version, *key, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", url(made, way, "/down")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
        assert done.stdout == f"200 {BODY_BYTES}", done.stdout + done.stderr
        with open(tmp_path / "body", "wb") as file:
            file.truncate(BODY_BYTES)
        counted.clear()
        command = ["curl", "-sS", *version, *key, "-X", "POST", "-T", str(tmp_path / "body"), "-w", " %{http_code}", url(made, way, "/up")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
        assert done.stdout == "taken 200" and counted == [BODY_BYTES], done.stdout + done.stderr
        for program, kb in before.items():
            assert rss_kb(made, program) - kb < 48_000, program
    finally:
        made.close()


def test_thousands_of_idle_clients_hold_little_memory(sluice):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS + 1000
    if limit[1] < wanted:
        pytest.skip(f"at most {limit[1]} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], wanted), limit[1]))
    host, port = sluice.addresses["http"].rsplit(":", 1)
    request = f"GET /c/direct/x HTTP/1.1\r\nHost: a\r\nX-Key: {sluice.token('alice')}\r\n\r\n".encode()
    opened = []

    def ask(connection):
        connection.sendall(request)
        received = b""
        while not received.endswith(b"\r\n\r\nok"):
            piece = connection.recv(4096)
            assert piece, received
            received += piece

    def open_some(count):
        made = []
        for _ in range(count):
            connection = socket.create_connection((host, int(port)), 30)
            made.append(connection)
            ask(connection)
        return made

    try:
        opened += open_some(50)
        time.sleep(0.3)
        before = rss_kb(sluice)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for some in pool.map(open_some, [CLIENTS // 8] * 8):
                opened += some
        time.sleep(0.5)
        each = (rss_kb(sluice) - before) * 1024 / CLIENTS
        print(f"{sluice.backend}: {each:.0f} bytes per idle client")
        assert each < 12_000, f"{each:.0f} bytes of memory for each idle client"
        for connection in opened[:: len(opened) // 50]:
            ask(connection)
    finally:
        for connection in opened:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert curl(url(sluice, "direct"), "-H", f"X-Key: {sluice.token('alice')}").status == 200


@pytest.mark.parametrize("backend", ["uring", "epoll"])
def test_a_request_is_served_by_a_core_that_holds_a_link(target, backend):
    """Two cores and one link: whichever core a client lands on, its request is answered, and its socket is kept."""
    made = Sluice(policy(target.port), backend=backend, environment={"SLUICE_DATAPLANE_CORES": "0-1", "SLUICE_AGENT_LINKS": "1"})
    try:
        key = f"X-Key: {made.token('alice')}"
        for _ in range(12):
            answer = curl(url(made, "agent", "/1"), "-H", key, url(made, "agent", "/2"), url(made, "direct", "/3"), url(made, "agent", "/4"))
            assert answer.status == 200 and answer.body == b"ok" * 4
            assert curl(url(made, "agent", "/5"), "-H", key, "--http2-prior-knowledge").body == b"ok"
            assert curl(url(made, "agent", "/6").replace("http:", "https:"), "-k", "-H", key, "--http1.1").body == b"ok"
            assert curl(url(made, "agent", "/7"), "-H", key, "--data-binary", "@-", data=b"x" * 100_000).body == b"ok"
            assert len(target.last().body) == 100_000
    finally:
        made.close()
