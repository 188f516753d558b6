"""Several targets behind one connection of type http: requests are spread, a dead target is left out, and nobody's GET is lost."""

import collections
import concurrent.futures
import contextlib
import socket
import threading
import time

import pytest

from harness.curl import curl
from harness.http_target import HttpTarget, response
from harness.sluice import Sluice

POLICY = """
[[routes]]
name  = "all"
allow = ["* /{rest...}"]
[[user]]
name = "alice"
groups = ["web"]
"""

CONNECTION = """
[[connection]]
name     = "{name}"
type     = "http"
{way}
url      = "http://orders.example.com"
upstreams = [{upstreams}]
credential_scheme = "none"
key_header = "X-Key"
groups   = ["web"]
routes   = ["all"]
{more}
"""

WAYS = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


class Server(HttpTarget):
    """A target that says who it is, can be ill, and can be killed and started again on its port."""

    def __init__(self, name):
        self.name, self.is_ill, self.delay = name, False, 0
        super().__init__(self.answer)
        self.live = set()

    def answer(self, request):
        if request.target == "/-/health":
            return response(503 if self.is_ill else 200)
        time.sleep(self.delay)
        return response(body=self.name.encode())

    def serve(self, connection):
        self.live.add(connection)
        super().serve(connection)
        self.live.discard(connection)

    def kill(self):
        """Refuses everybody from now on, and resets who is there."""
        self.close()
        for connection in list(self.live):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def servers():
    made = [Server(name) for name in ("one", "two", "three")]
    yield made
    for server in made:
        with contextlib.suppress(OSError):
            server.close()


def start(servers, way, more=""):
    """Sluice with one connection that has all of the servers."""
    upstreams = ", ".join(f'"127.0.0.1:{server.port}"' for server in servers)
    return Sluice(POLICY + CONNECTION.format(name="orders", way=WAYS[way], upstreams=upstreams, more=more), environment={"SLUICE_DATAPLANE_CORES": "0"})


def ask(sluice, *arguments, path="/x"):
    """A request of alice."""
    return curl(f"http://{sluice.addresses['http']}/c/orders{path}", "-H", f"X-Key: {sluice.token('alice')}", *arguments)


@pytest.mark.parametrize("way", WAYS)
def test_no_get_is_lost_when_a_target_dies(servers, way):
    sluice = start(servers, way)
    try:
        seen = collections.Counter(ask(sluice).body for _ in range(30))
        assert set(seen) == {b"one", b"two", b"three"} and min(seen.values()) >= 8, seen
        assert servers[0].last().all("Host") == ["orders.example.com"]
        for server in servers:
            server.delay = 0.02
        stop = threading.Event()
        answers = collections.Counter()

        def keep_asking():
            while not stop.is_set():
                answer = ask(sluice)
                answers[answer.status, answer.code] += 1

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            running = [pool.submit(keep_asking) for _ in range(6)]
            time.sleep(1)
            servers[1].kill()
            time.sleep(1.5)
            stop.set()
            for one in running:
                one.result()
        assert set(answers) == {(200, 0)}, answers
        assert set(ask(sluice).body for _ in range(10)) == {b"one", b"three"}, "it is left out"
        servers[0].kill()
        servers[2].kill()
        assert ask(sluice).status == 502, "nobody is left"
    finally:
        sluice.close()


@pytest.mark.parametrize("way", WAYS)
def test_checks_find_the_ill_and_the_well(servers, way):
    sluice = start(servers, way, 'health_path = "/-/health"\nhealth_interval_seconds = 1\nhealth_timeout_seconds = 1')
    try:
        deadline = time.monotonic() + 10
        while not all(any(r.target == "/-/health" for r in server.requests) for server in servers):
            assert time.monotonic() < deadline, "checks begin without a request"
            time.sleep(0.1)
        check = next(r for r in servers[0].requests if r.target == "/-/health")
        assert check.all("Host") == ["orders.example.com"] and check.get("User-Agent") == "sluice-check"
        servers[0].is_ill = servers[1].is_ill = True
        time.sleep(2.5)
        assert {ask(sluice).body for _ in range(6)} == {b"three"}
        servers[0].is_ill = False
        time.sleep(2.5)
        assert {ask(sluice).body for _ in range(8)} == {b"one", b"three"}
        servers[0].is_ill = servers[2].is_ill = True
        time.sleep(2.5)
        assert ask(sluice).status == 200, "where none is well all are asked"
    finally:
        sluice.close()


def test_the_target_with_the_fewest_requests_is_asked(servers):
    sluice = start(servers, "direct")
    try:
        servers[0].delay = 2
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            began = time.monotonic()
            list(pool.map(lambda _: ask(sluice), range(40)))
        slow = sum(1 for request in servers[0].requests if request.target == "/x")
        assert slow <= 14, f"{slow} requests for the slow one in {time.monotonic() - began:.1f} s"
        assert len(servers[1].requests) > slow or len(servers[2].requests) > slow
    finally:
        sluice.close()


def test_what_is_not_safe_is_sent_once(servers):
    """A target that takes a POST and dies: the client hears of it, and no other target is asked."""
    for server in servers:
        server.handler = lambda request: None
    sluice = start(servers, "direct")
    try:
        assert ask(sluice, "-d", "order=1").status == 502
        assert ask(sluice, "-X", "DELETE").status == 502
        asked = [request.method for server in servers for request in server.requests]
        assert sorted(asked) == ["DELETE", "POST"], asked
    finally:
        sluice.close()


@pytest.mark.parametrize("more, place", [
    ('upstreams = ["nowhere"]', "upstreams"), ('upstreams = ["a:0"]', "upstreams"), ('upstreams = ["a:1", "a:1"]', "upstreams"),
    ('health_path = "x"', "health_path"), ('http_version = "3"', "http_version"), ('health_interval_seconds = 0', "health_interval_seconds"),
])
def test_mistakes_are_refused_with_their_place(servers, tmp_path, more, place):
    sluice = start(servers, "direct")
    try:
        text = CONNECTION.format(name="orders", way=WAYS["direct"], upstreams="", more="")
        text = POLICY + text.replace("upstreams = []", "") + more + "\n"
        (tmp_path / "p.toml").write_text(text)
        done = sluice.cli("apply", "-f", str(tmp_path / "p.toml"), "--dry-run", check=False)
        assert done.returncode != 0 and place in done.stdout + done.stderr, done.stdout + done.stderr
    finally:
        sluice.close()
