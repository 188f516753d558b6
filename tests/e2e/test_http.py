"""Connections of type http: real curl through data plane and agent to a target that records what it got."""

import gzip
import json
import os
import socket
import threading
import time

import pytest

from harness.curl import curl, raw
from harness.http_target import HttpTarget, chunked, response
from harness.sluice import Sluice

SECRET = "target-token-nobody-may-see"

POLICY = """
[[redaction]]
name   = "personal"
detect = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER"]
json   = ["$..runners_token"]
mask   = "label"

[[routes]]
name  = "all"
allow = ["* /{rest...}", "GET /"]

[[routes]]
name  = "some"
allow = [
  "GET /items/{id:int}",
  { methods = ["GET"], path = "/search", query = ["q"] },
  "POST,PUT /items",
]

[[guardrail]]
name  = "no-exports"
rules = [{ deny_pattern = "(?i)export", message = "ask #security" }]

[[user]]
name = "alice"
groups = ["web"]
[[user]]
name = "bob"
groups = ["web"]
[[user]]
name = "eve"
groups = []
"""

CONNECTION = """
[[connection]]
name     = "{name}"
type     = "http"
{way}
url      = "{scheme}://127.0.0.1:{port}"
password = "env:WEB_SECRET"
key_header = "X-Key"
credential_header = "X-Target-Key"
groups   = ["web"]
routes   = ["{routes}"]
{more}
"""

WAYS = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


def connection(name, port, way="agent", routes="all", more="", scheme="http"):
    """One connection of the policy."""
    return CONNECTION.format(name=name, port=port, way=WAYS[way], routes=routes, more=more, scheme=scheme)


class Behaviour:
    """What the target answers next."""

    def __init__(self):
        self.answer = None

    def __call__(self, request):
        if self.answer is None:
            return response(body={"target": request.target, "method": request.method})
        return self.answer(request) if callable(self.answer) else self.answer


@pytest.fixture(scope="module")
def target():
    server = HttpTarget(Behaviour())
    yield server
    server.close()


@pytest.fixture(scope="module")
def sluice(target, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "access.json"
    policy = POLICY
    for way in WAYS:
        policy += connection(f"web-{way}", target.port, way)
        policy += connection(f"red-{way}", target.port, way, more='redact = ["personal"]')
    policy += connection("some", target.port, routes="some", more='guardrails = ["no-exports"]\nrequest_bytes_max = 1000')
    policy += connection("own", target.port, "direct", more='listen = "127.0.0.1:0"\nhosts = ["own.example.com"]\n'
                         'version_header = "X-Gate-Version"\nheaders = [{ on = "response", name = "X-Added", value = "1" }, { on = "response", name = "X-Gone" }]')
    policy += connection("near", target.port, "direct", more='allow_from = ["127.0.0.9/32", "10.9.0.0/16"]\ntrusted_proxies = ["127.0.0.1"]')
    policy += connection("keyed", target.port, "direct", more='keys = [{ user = "bob", allow_from = ["127.0.0.9/32"] }, { user = "alice", requests_per_minute = 6 }]')
    policy += connection("slow", target.port, "direct", more="requests_per_minute = 60\nresponse_timeout_seconds = 1")
    policy += connection("guard", target.port, "direct", more='refuse_findings = ["CREDIT_CARD_NUMBER"]')
    policy += connection("proxied", target.port, "direct", more='listen = "127.0.0.1:0"\nproxy_protocol = true\n'
                         'trusted_proxies = ["127.0.0.0/8"]\nallow_from = ["192.0.2.0/24"]\nplaintext = "allow"')
    policy += connection("sock", target.port, more="websocket = true")
    made = Sluice(policy, environment={"WEB_SECRET": SECRET, "SLUICE_DATAPLANE_ACCESS_LOG": str(log), "SLUICE_DATAPLANE_ACCESS_LOG_FORMAT": "json"})
    made.access_log = log
    yield made
    made.close()


@pytest.fixture(autouse=True)
def plain(target):
    target.handler.answer = None
    target.requests.clear()
    target.raw.clear()


def url(sluice, name, path="/", scheme="http"):
    """The address of a connection by path prefix."""
    return f"{scheme}://{sluice.addresses['http']}/c/{name}{path}"


def key(sluice, user="alice"):
    """The header with a user's token."""
    return ["-H", f"X-Key: {sluice.token(user)}"]


@pytest.mark.parametrize("way", WAYS)
def test_a_request_goes_through_with_the_credential_swapped(sluice, target, way):
    answer = curl(url(sluice, f"web-{way}", "/a/b?x=1&y=%20"), *key(sluice))
    assert answer.status == 200 and answer.json() == {"target": "/a/b?x=1&y=%20", "method": "GET"}
    got = target.last()
    assert got.all("X-Target-Key") == [SECRET]
    assert got.get("X-Key") is None and sluice.token("alice") not in got.text()
    assert got.all("Host") == [f"127.0.0.1:{target.port}"]
    assert SECRET not in answer.body.decode() + str(answer.headers)


@pytest.mark.parametrize("way", WAYS)
def test_bodies_go_both_ways_in_every_framing(sluice, target, way):
    body = os.urandom(300_000)
    target.handler.answer = lambda request: response(body=request.body)
    for arguments in (["--data-binary", "@-"], ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"], ["-T", "-"]):
        answer = curl(url(sluice, f"web-{way}", "/up"), *key(sluice), *arguments, data=body)
        assert answer.status == 200 and answer.body == body, arguments
    target.handler.answer = lambda request: chunked([body[i : i + 7777] for i in range(0, len(body), 7777)])
    answer = curl(url(sluice, f"web-{way}", "/down"), *key(sluice))
    assert answer.body == body
    answer = curl(url(sluice, f"web-{way}", "/down"), *key(sluice), "--http1.0")
    assert answer.body == body and answer.code == 0


def test_every_other_credential_is_taken_off(sluice, target):
    sent = {
        "Authorization": "Bearer stolen", "Cookie": "session=stolen", "Sudo": "root", "Private-Token": "stolen",
        "Job-Token": "stolen", "X-Target-Key": "stolen", "X_Target_Key": "stolen", "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-User": "root", "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/admin", "Proxy-Authorization": "stolen",
        "Connection": "X-Hop", "X-Hop": "stolen", "Forwarded": "for=6.6.6.6",
    }
    headers = [part for name, value in sent.items() for part in ("-H", f"{name}: {value}")]
    target_path = "/a?private_token=stolen&q=1&sudo=root&access_token=stolen&job%5Ftoken=stolen&SUDO[]=root&_method=delete"
    answer = curl(url(sluice, "web-agent", target_path), *key(sluice), *headers)
    assert answer.status == 200
    got = target.last()
    assert got.target == "/a?q=1"
    assert "stolen" not in got.text() and "root" not in got.text() and "6.6.6.6" not in got.text() and "DELETE" not in got.text()
    assert got.all("X-Forwarded-For") == ["127.0.0.1"]


def test_who_has_no_key_gets_401_for_every_path(sluice, target):
    token = sluice.token("alice")
    for name in ("web-agent", "some", "no-such-connection"):
        for headers in ([], ["-H", f"X-Key: {token.upper()}"], ["-H", f"X-Key: {token}x"], ["-H", "X-Key;"],
                        ["-H", f"X-Key: {token}", "-H", f"X-Key: {token}"], ["-H", f"Authorization: Bearer {token}"],
                        key(sluice, "eve")):
            for path in ("/items/1", "/nowhere", "/"):
                answer = curl(url(sluice, name, path), *headers)
                assert answer.status == 401, (name, headers, path)
                assert answer.get("Content-Type") == "application/problem+json"
                assert answer.get("WWW-Authenticate") and answer.json()["status"] == 401
    assert not target.requests


def test_only_listed_routes_pass(sluice, target):
    for method, path, status in [
        ("GET", "/items/1", 200), ("HEAD", "/items/1", 200), ("GET", "/search?q=a", 200), ("GET", "/search", 200),
        ("GET", "/search?q=a&r=b", 403), ("GET", "/items/x", 403), ("GET", "/items/1/", 403), ("GET", "/items/1/edit", 403),
        ("DELETE", "/items/1", 403), ("FOO", "/items/1", 403), ("get", "/items/1", 403), ("GET", "/ITEMS/1", 403),
        ("GET", "/", 403), ("GET", "/zzz/items/1", 403), ("GET", "/items%2F1", 403), ("GET", "//items/1", 400),
        ("GET", "/x/../items/1", 400), ("GET", "/x/%2e%2e/items/1", 400), ("GET", "/items/1%00", 400),
        ("GET", "/items/%2531", 400), ("GET", "/items\\1", 400), ("GET", "/search?q=a;r=b", 400),
    ]:
        arguments = ["-I"] if method == "HEAD" else ["-X", method]
        answer = curl(url(sluice, "some", path), *key(sluice), *arguments)
        assert answer.status == status, (method, path, answer.status, answer.body)
    denied = curl(url(sluice, "some", "/items/x"), *key(sluice))
    assert denied.json()["title"] == "Forbidden" and denied.get("Content-Type") == "application/problem+json"
    assert all(request.target.startswith(("/items/1", "/search")) for request in target.requests)


def test_an_encoded_slash_reaches_the_target_as_it_came(sluice, target):
    answer = curl(url(sluice, "web-agent", "/projects/g%2Fp/x%20y"), *key(sluice))
    assert answer.status == 200 and target.last().target == "/projects/g%2Fp/x%20y"


def test_guardrails_and_bounds_refuse(sluice):
    refused = curl(url(sluice, "some", "/search?q=export"), *key(sluice))
    assert refused.status == 403 and "ask #security" in refused.json()["detail"]
    assert curl(url(sluice, "some", "/items"), *key(sluice), "-d", "a" * 2000).status == 413
    assert curl(url(sluice, "some", "/items"), *key(sluice), "-H", "Transfer-Encoding: chunked", "-d", "a" * 2000).status == 413
    assert curl(url(sluice, "some", "/items"), *key(sluice), "-d", "a" * 900).status == 200


def test_request_bodies_with_findings_are_refused_before_the_target_sees_them(sluice, target):
    for body in (b'{"card": "4111 1111 1111 1111"}', b'{"card": "\\u0034111111111111111"}', b"card=4111111111111111"):
        kind = "application/json" if body.startswith(b"{") else "application/x-www-form-urlencoded"
        refused = curl(url(sluice, "guard", "/pay"), *key(sluice), "-H", f"Content-Type: {kind}", "--data-binary", "@-", data=body)
        assert refused.status == 403 and b"4111" not in refused.body, body
    assert not target.requests
    assert curl(url(sluice, "guard", "/pay"), *key(sluice), "-H", "Content-Encoding: gzip", "-d", "x").status == 422
    assert curl(url(sluice, "guard", "/pay"), *key(sluice), "-d", "hello").status == 200
    assert target.last().body == b"hello"


def test_networks_are_looked_at_first(sluice, target):
    assert curl(url(sluice, "near"), *key(sluice)).status == 403
    assert curl(url(sluice, "near")).status == 403, "before the key"
    assert curl(url(sluice, "near"), *key(sluice), "-H", "X-Forwarded-For: 10.9.1.1").status == 200, "a trusted proxy says so"
    assert target.last().all("X-Forwarded-For") == ["10.9.1.1"]
    assert curl(url(sluice, "near"), *key(sluice), "-H", "X-Forwarded-For: 10.9.1.1, 6.6.6.6").status == 403
    assert curl(url(sluice, "near"), *key(sluice), "--interface", "127.0.0.9").status == 200
    spoofed = curl(url(sluice, "near"), *key(sluice), "--interface", "127.0.0.8", "-H", "X-Forwarded-For: 10.9.1.1")
    assert spoofed.status == 403


def test_keys_have_networks_and_rates_of_their_own(sluice, target):
    assert curl(url(sluice, "keyed"), *key(sluice, "bob")).status == 403
    assert curl(url(sluice, "keyed"), *key(sluice, "bob"), "--interface", "127.0.0.9").status == 200
    statuses = [curl(url(sluice, "keyed"), *key(sluice)).status for _ in range(4)]
    assert statuses[0] == 200 and statuses[-1] == 429
    assert curl(url(sluice, "keyed"), *key(sluice, "bob"), "--interface", "127.0.0.9").status == 200


def test_interim_answers_and_trailers_pass(sluice, target):
    ask = "GET /c/{}/ HTTP/1.1\r\nHost: a\r\nX-Key: {}\r\nTE: trailers\r\nConnection: close\r\n\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    forbidden = [("X-Sum", "17"), ("Content-Length", "3"), ("Set-Cookie", "a=b")]
    target.handler.answer = lambda request: iter([hints, *chunked([b"hello"], trailers=forbidden)])
    received = raw(sluice.addresses["http"], ask.format("web-direct", sluice.token("alice")).encode())
    assert received.startswith(b"HTTP/1.1 103 Early Hints\r\n") and b"HTTP/1.1 200 OK\r\n" in received
    assert received.endswith(b"\r\n0\r\nx-sum: 17\r\n\r\n"), received[-100:]
    assert target.last().get("TE") == "trailers"
    # Where bodies are redacted trailers go no further: they come after what was judged.
    received = raw(sluice.addresses["http"], ask.format("red-direct", sluice.token("alice")).encode())
    assert received.endswith(b"\r\n0\r\n\r\n") and b"x-sum" not in received
    target.handler.answer = hints * 40 + response()
    assert curl(url(sluice, "web-direct"), *key(sluice)).status == 502, "interim answers without end"


def test_the_proxy_protocol_names_the_client(sluice, target):
    address = sluice.addresses["connections"]["proxied"]

    def through(source):
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + b"\x30\x39\x00\x50"
        request = f"GET / HTTP/1.1\r\nHost: a\r\nX-Key: {sluice.token('alice')}\r\nConnection: close\r\n\r\n".encode()
        return raw(address, header + request)

    assert through("192.0.2.7").startswith(b"HTTP/1.1 200 ")
    assert target.last().all("X-Forwarded-For") == ["192.0.2.7"]
    assert through("198.51.100.7").startswith(b"HTTP/1.1 403 ")
    assert raw(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b"", "no header, no service"


def test_an_own_port_and_a_host_name_lead_to_a_connection(sluice, target):
    target.handler.answer = response(body=b"x", headers=[("X-Gone", "1"), ("Server", "secret-version"), ("Set-Cookie", "a=b")])
    own = sluice.addresses["connections"]["own"]
    for answer in (
        curl(f"http://{own}/x", *key(sluice)),
        curl(f"http://{sluice.addresses['http']}/x", *key(sluice), "-H", "Host: own.example.com"),
        curl(f"http://{sluice.addresses['http']}/x", *key(sluice), "-H", "Host: OWN.example.com:8080"),
    ):
        assert answer.status == 200
        assert target.last().target == "/x"
        assert answer.get("X-Gate-Version").startswith("sluice/") and answer.get("X-Added") == "1"
        assert answer.get("X-Gone") is None and answer.get("Server") is None and answer.get("Set-Cookie") is None
    denied = curl(f"http://{own}/x")
    assert denied.status == 401 and denied.get("X-Gate-Version").startswith("sluice/")


def test_links_lead_back_to_the_gateway(sluice, target):
    here = f"127.0.0.1:{target.port}"
    target.handler.answer = response(302, [
        ("Location", f"http://{here}/login?next=/a"),
        ("Link", f'<http://{here}/x?page=2>; rel="next", <https://other.example.com/y>; rel="help"'),
    ])
    gate = sluice.addresses["http"]
    answer = curl(url(sluice, "web-direct", "/x"), *key(sluice))
    assert answer.get("Location") == f"http://{gate}/c/web-direct/login?next=/a"
    assert answer.get("Link") == f'<http://{gate}/c/web-direct/x?page=2>; rel="next", <https://other.example.com/y>; rel="help"'
    target.handler.answer = response(302, [("Location", "/y")])
    assert curl(url(sluice, "web-direct", "/x"), *key(sluice)).get("Location") == "/c/web-direct/y"


def test_rates_and_time_outs(sluice, target):
    statuses = [curl(url(sluice, "slow"), *key(sluice)).status for _ in range(14)]
    assert statuses[:10] == [200] * 10 and 429 in statuses[10:]
    limited = next(a for a in (curl(url(sluice, "slow"), *key(sluice)) for _ in range(30)) if a.status == 429)
    assert int(limited.get("Retry-After")) >= 1
    assert curl(url(sluice, "slow"), *key(sluice, "bob")).status == 200, "each key has its own"
    target.handler.answer = lambda request: (time.sleep(2), response())[1]
    assert curl(url(sluice, "slow"), *key(sluice, "bob")).status == 504
    # An upload may take longer than that: the time of the answer begins after it.
    target.handler.answer = None
    answer = curl(url(sluice, "slow", "/up"), *key(sluice, "bob"), "--limit-rate", "100k", "--data-binary", "@-", data=b"x" * 300_000)
    assert answer.status == 200 and len(target.last().body) == 300_000


def test_sockets_are_kept_on_both_sides(sluice, target):
    before = target.connections
    addresses = [url(sluice, "web-direct", f"/{n}") for n in range(20)]
    answer = curl(addresses[0], *key(sluice), *addresses[1:])
    assert answer.code == 0 and len(target.requests) == 20
    assert target.connections - before <= 1


def test_a_target_that_closed_an_idle_socket_is_no_error(sluice, target):
    def once(request):
        def serve(connection, _stream):
            connection.sendall(response(body=b"bye"))
        return serve

    target.handler.answer = once
    for way in WAYS:
        for n in range(5):
            answer = curl(url(sluice, f"web-{way}", f"/{n}"), *key(sluice))
            assert (answer.status, answer.body) == (200, b"bye"), (way, n)


@pytest.mark.parametrize("way", WAYS)
def test_a_target_that_dies_mid_body_gives_an_error_and_never_a_short_success(sluice, target, way):
    target.handler.answer = lambda request: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000, None])
    assert curl(url(sluice, f"web-{way}"), *key(sluice)).code == 18
    target.handler.answer = lambda request: iter([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None])
    assert curl(url(sluice, f"web-{way}"), *key(sluice)).code == 18
    target.handler.answer = None
    target.handler.answer = lambda request: None
    assert curl(url(sluice, f"web-{way}"), *key(sluice)).status == 502
    for broken in (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"nonsense\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", b"HTTP/1.1 200 OK\nA: b\n\n"):
        target.handler.answer = broken
        assert curl(url(sluice, f"web-{way}"), *key(sluice)).status == 502, broken


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def test_smuggling_is_refused(sluice, target):
    """Each text gets its stated status and nothing of it reaches the target."""
    token = sluice.token("alice")
    head = f"POST /c/web-direct/x HTTP/1.1\r\nHost: a\r\nX-Key: {token}\r\n"
    table = [
        (head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "Content-Length: 0\r\nContent-Length: 36\r\n\r\n" + SMUGGLED, 400),
        (head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 501),
        (head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (head + "Host: b\r\n\r\n", 400),
        (head.replace("Host: a\r\n", "") + "\r\n", 400),
        (head.replace("POST /c", "POST http://b/c") + "\r\n", 400),
        (head.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
        (f"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nX-Key: {token}\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "y" * 40_000 + "\r\n\r\n", 431),
        ("GET /" + "y" * 9_000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ]
    for text, status in table:
        received = raw(sluice.addresses["http"], text.encode("latin1"), 5)
        assert received.startswith(f"HTTP/1.1 {status} ".encode()), (text[:200], received[:100])
        assert received.count(b"HTTP/1.1 ") == 1, "the socket is closed after it"
    assert not any("smuggled" in request.target for request in target.requests)
    bodies = [("3;a=b\r\nabc\r\n0\r\n\r\n", 400), ("2\r\nabc\r\n0\r\n\r\n", 400), ("0x3\r\nabc\r\n0\r\n\r\n", 400), ("3\nabc\n0\n\n", 400)]
    for body, status in bodies:
        received = raw(sluice.addresses["http"], (head + "Transfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED).encode(), 5)
        assert received.startswith(f"HTTP/1.1 {status} ".encode()), (body, received[:100])
    assert not any("smuggled" in request.target for request in target.requests)


def test_pipelined_requests_are_answered_in_order(sluice, target):
    token = sluice.token("alice")
    one = "GET /c/web-direct/{} HTTP/1.1\r\nHost: a\r\nX-Key: {}\r\n{}\r\n"
    text = "".join(one.format(n, token, "Connection: close\r\n" if n == 4 else "") for n in range(5))
    received = raw(sluice.addresses["http"], text.encode())
    assert [f'"/{n}"'.encode() in received for n in range(5)] == [True] * 5
    assert [request.target for request in target.requests] == [f"/{n}" for n in range(5)]


def test_a_slow_body_is_timed_out(sluice, target):
    """A body that stops, and one that only drips: 408 for the first, and for the second once it is below the least rate."""
    host, port = sluice.addresses["http"].rsplit(":", 1)
    head = f"POST /c/web-direct/up HTTP/1.1\r\nHost: a\r\nX-Key: {sluice.token('alice')}\r\nContent-Length: 100000\r\n\r\n".encode()
    connect = lambda: socket.create_connection((host, int(port)), 60)
    with connect() as stopped, connect() as dripping, connect() as over_h2:
        began = time.monotonic()
        for each in (stopped, dripping):
            each.sendall(head + b"x" * 10)
            each.settimeout(60)
        fields = {":method": "POST", ":scheme": "http", ":path": "/c/web-direct/up", ":authority": "a", "x-key": sluice.token("alice")}
        block = b"".join(literal(name.encode(), value.encode()) for name, value in fields.items())
        over_h2.sendall(PREFACE + frame(1, 4, 1, block) + frame(0, 0, 1, b"x" * 10))
        over_h2.settimeout(60)
        stop = threading.Event()

        def drip():
            while not stop.wait(0.5):
                try:
                    dripping.send(b"x")
                    over_h2.send(frame(0, 0, 1, b"x"))
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        for each in (stopped, dripping):
            assert each.recv(65536).startswith(b"HTTP/1.1 408 ")
            assert 28 < time.monotonic() - began < 45
        received = b""
        while b"\x00\x00\x04\x03\x00\x00\x00\x00\x01" not in received:
            piece = over_h2.recv(65536)
            assert piece and time.monotonic() - began < 45, received
            received += piece
        assert b"the body did not come in time" in received, "an answer, then RST_STREAM"
        stop.set()
    assert curl(url(sluice, "web-direct"), *key(sluice)).status == 200, "the others are served"


def test_a_slow_head_is_timed_out(sluice):
    host, port = sluice.addresses["http"].rsplit(":", 1)
    connect = lambda: socket.create_connection((host, int(port)), 20)
    with connect() as connection, connect() as over_h2:
        # A header block that does not end.
        over_h2.sendall(PREFACE + frame(1, 1, 1, GET))
        over_h2.settimeout(20)
        connection.settimeout(20)
        began = time.monotonic()
        stop = threading.Event()

        def drip():
            for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 1000:
                if stop.is_set():
                    return
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return
                time.sleep(0.2)

        threading.Thread(target=drip, daemon=True).start()
        received = connection.recv(65536)
        stop.set()
        assert received.startswith(b"HTTP/1.1 408 ") and 8 < time.monotonic() - began < 14
        received = b""
        while piece := over_h2.recv(65536):
            received += piece
        assert goaway_code(received) == 1 and 8 < time.monotonic() - began < 14


def test_a_target_that_answers_early_gets_no_other_request_on_that_socket(sluice, target):
    """The rest of an upload must never be taken for a request, nor a request for the rest of an upload."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    connection.settimeout(2)
                    try:
                        while more := connection.recv(65536):
                            seen[-1] += more
                    except TimeoutError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        policy = POLICY + connection("early", server.getsockname()[1], "direct")
        made = Sluice(policy, environment={"WEB_SECRET": SECRET})
        try:
            token = made.token("alice")
            head = f"POST /c/early/up HTTP/1.1\r\nHost: a\r\nX-Key: {token}\r\nContent-Length: 5000\r\n\r\n"
            assert raw(made.addresses["http"], head.encode() + b"x" * 100, 3).endswith(b"ok")
            assert curl(url(made, "early", "/next"), *key(made)).body == b"ok"
        finally:
            made.close()
    assert seen[0].startswith(b"POST /up ") and b"/next" not in seen[0]
    assert seen[1].startswith(b"GET /next ")


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_what_a_target_says_unasked_is_nobodys_answer(via):
    """A second answer on a kept socket must not become the answer to the next request, which is somebody else's."""
    accepted, unasked = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            for _ in range(2):
                link, _ = server.accept()
                accepted.append(link)
                link.recv(65536)
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                if len(accepted) == 1:
                    time.sleep(0.2)
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
                    unasked.set()

        threading.Thread(target=serve, daemon=True).start()
        made = Sluice(POLICY + connection("chatty", server.getsockname()[1], via), environment={"WEB_SECRET": SECRET, "SLUICE_DATAPLANE_CORES": "0"})
        try:
            assert curl(url(made, "chatty", "/first"), *key(made)).body == b"ok"
            assert unasked.wait(5)
            time.sleep(0.2)
            assert curl(url(made, "chatty", "/second"), *key(made)).body == b"ok"
            assert len(accepted) == 2
        finally:
            made.close()
            for link in accepted:
                link.close()


def test_expect_is_answered_when_the_body_is_wanted(sluice, target):
    answer = curl(url(sluice, "web-agent", "/x"), *key(sluice), "-H", "Expect: 100-continue", "--data-binary", "@-", data=b"z" * 50_000)
    assert answer.status == 200 and len(target.last().body) == 50_000 and target.last().get("Expect") is None
    refused = curl(url(sluice, "web-agent", "/x"), "-H", "Expect: 100-continue", "--data-binary", "@-", data=b"z" * 50_000)
    assert refused.status == 401


def test_tls_is_served_on_the_same_port(sluice):
    answer = curl(url(sluice, "web-agent", "/x", "https"), "-k", *key(sluice))
    assert answer.status == 200


@pytest.mark.parametrize("way", WAYS)
def test_json_is_redacted_whatever_the_framing(sluice, target, way):
    document = {
        "email": "alice@example.com", "escaped": "x", "card": 4111111111111111, "runners_token": "abc", "n": 17,
        "list": [{"runners_token": {"deep": ["x", 1, True]}}], "text": "mail bob@example.com or call", "ü": "ünïcode \" \\ stays",
    }
    body = json.dumps(document).replace('"x"', '"carol\\u0040example.com"', 1).encode()
    expected = None
    for size in (1, 2, 7, 100, 100_000):
        pieces = [body[i : i + size] for i in range(0, len(body), size)]
        target.handler.answer = lambda request: chunked(pieces, headers=[("Content-Type", "application/json"), ("ETag", '"1"')])
        answer = curl(url(sluice, f"red-{way}"), *key(sluice))
        assert answer.status == 200 and answer.get("ETag") is None
        expected = expected or answer.body
        assert answer.body == expected, size
    seen = answer.json()
    assert seen["email"].startswith("[EMAIL]") and seen["escaped"].startswith("[EMAIL]") and seen["card"] == 0
    assert seen["runners_token"] != "abc" and seen["n"] == 17 and seen["ü"] == 'ünïcode " \\ stays'
    assert "bob@" not in answer.body.decode() and seen["text"].startswith("mail [EMAIL]")
    deep = seen["list"][0]["runners_token"]["deep"]
    assert deep[0] != "x" and deep[1] == 0 and deep[2] is None
    def found():
        newest = sluice.sessions(connection=f"red-{way}")[:1]
        return {f["detector"] for each in newest for s in sluice.session(each["id"])["statements"] for f in s["findings"]}

    # The record gets to the control plane a moment later.
    deadline = time.monotonic() + 20
    while not {"EMAIL_ADDRESS", "CREDIT_CARD_NUMBER"} <= found():
        assert time.monotonic() < deadline, found()
        time.sleep(0.05)


def test_text_and_events_are_redacted_and_events_are_not_late(sluice, target):
    target.handler.answer = response(body=b"from alice@example.com to you", headers=[("Content-Type", "text/plain"), ("X-Who", "bob@example.com")])
    answer = curl(url(sluice, "red-direct"), *key(sluice))
    assert b"alice@" not in answer.body and b"[EMAIL]" in answer.body
    assert "bob@" not in str(answer.headers)
    came = threading.Event()

    def events(request):
        def serve(connection, _stream):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for n in range(3):
                event = f'event: a\ndata: {{"to": "user{n}\\u0040example.com"}}\n\n'.encode()
                connection.sendall(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                assert came.wait(10), "an event was kept back"
                came.clear()
            connection.sendall(b"0\r\n\r\n")
        return serve

    target.handler.answer = events
    host, port = sluice.addresses["http"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.settimeout(10)
        connection.sendall(f"GET /c/red-direct/ HTTP/1.1\r\nHost: a\r\nX-Key: {sluice.token('alice')}\r\nConnection: close\r\n\r\n".encode())
        received = b""
        for n in range(3):
            while received.count(b"data: ") < n + 1 or not received.rstrip(b"\r\n").endswith(b"}"):
                received += connection.recv(65536)
            came.set()
    assert b"example.com" not in received and received.count(b"[EMAIL]") == 3


def test_parts_and_conditions_do_not_go_round_redaction(sluice, target):
    target.handler.answer = response(body=b"alice@example.com", headers=[("Content-Type", "text/plain")])
    answer = curl(url(sluice, "red-agent"), *key(sluice), "-H", "Range: bytes=3-9", "-H", 'If-None-Match: "x"')
    assert answer.status == 200 and answer.body.startswith(b"[EMAIL]")
    assert target.last().get("Range") is None and target.last().get("If-None-Match") is None
    target.handler.answer = response(206, body=b"example.com", headers=[("Content-Range", "bytes 6-16/17")])
    assert curl(url(sluice, "red-agent"), *key(sluice)).status == 502


def test_a_coding_that_cannot_be_read_is_refused_and_none_is_asked_for(sluice, target):
    packed = gzip.compress(b"alice@example.com")
    target.handler.answer = response(body=packed, headers=[("Content-Encoding", "br-of-my-own")])
    answer = curl(url(sluice, "red-agent"), *key(sluice), "-H", "Accept-Encoding: gzip, br")
    assert answer.status == 502 and target.last().get("Accept-Encoding") == "identity"
    target.handler.answer = response(body=packed, headers=[("Content-Encoding", "gzip")])
    answer = curl(url(sluice, "web-agent"), *key(sluice), "--compressed")
    assert answer.body == b"alice@example.com", "without redaction a coding passes"


def test_the_record_and_the_log_hold_routes_and_no_secrets(sluice, target):
    token = sluice.token("bob")
    curl(url(sluice, "some", "/items/77?private_token=leaked-token&note=leaked-value"), *key(sluice, "bob"), "-A", "agent/1")
    curl(url(sluice, "some", "/denied/me"), *key(sluice, "bob"))
    statements, deadline = [], time.monotonic() + 10
    while sum("/items/77" in s["text"] or "/denied" in s["text"] for s in statements) < 2:
        assert time.monotonic() < deadline, f"not on record: {statements}"
        bobs = [s for s in sluice.sessions() if s["user"] == "bob" and s["connection"] == "some"]
        statements = [s for each in bobs for s in sluice.session(each["id"])["statements"]]
    passed = next(s for s in statements if "/items/77" in s["text"])
    assert passed["text"] == "GET /items/77?note" and passed["outcome"] == "ok" and passed["outcome_detail"] == "200"
    denied = next(s for s in statements if "/denied" in s["text"])
    assert denied["outcome"] == "denied" and "routes" in denied["outcome_detail"]
    time.sleep(0.3)
    log = sluice.access_log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    mine = next(line for line in lines if "/items/77" in line["path"])
    assert mine["route"] == "/items/{id:int}" and mine["user"] == "bob" and mine["status"] == 200 and mine["path"] == "/items/77?private_token&note" or mine["path"] == "/items/77?note"
    for secret in (token, SECRET, "leaked-token", "leaked-value"):
        assert secret not in log + sluice.log() + json.dumps(statements)


def test_revoked_access_ends_at_once(sluice, target):
    made = sluice.json("token", "create", "--user", "alice")
    sluice.wait_enforced(made["generation"])
    headers = ["-H", f"X-Key: {made['token']}"]
    assert curl(url(sluice, "web-agent"), *headers).status == 200
    release = threading.Event()

    def endless(request):
        def serve(connection, _stream):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
            release.wait(20)
        return serve

    target.handler.answer = endless
    outcome = []
    running = threading.Thread(target=lambda: outcome.append(curl(url(sluice, "web-agent"), *headers)))
    running.start()
    time.sleep(0.5)
    began = time.monotonic()
    sluice.cli("token", "revoke", made["id"])
    running.join(10)
    release.set()
    assert outcome and outcome[0].code != 0 and time.monotonic() - began < 5
    target.handler.answer = None
    assert curl(url(sluice, "web-agent"), *headers).status == 401


def test_a_websocket_passes_where_it_is_let_through(sluice, target):
    def accept(request):
        def serve(connection, stream):
            connection.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
            while line := stream.readline():
                connection.sendall(b"echo " + line)
        return serve

    target.handler.answer = accept
    host, port = sluice.addresses["http"].rsplit(":", 1)
    upgrade = "GET /c/{}/ws HTTP/1.1\r\nHost: a\r\nX-Key: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(upgrade.format("sock", sluice.token("alice")).encode() + b"early\n")
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        assert stream.readline() == b"echo early\n"
        connection.sendall(b"hello\n")
        assert stream.readline() == b"echo hello\n"
    refused = raw(sluice.addresses["http"], upgrade.format("web-agent", sluice.token("alice")).encode(), 3)
    assert refused.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("more, place", [
    ('routes = ["nope"]', "routes"), ('allow_from = ["10.0.0.1/8"]', "allow_from"), ('record = "full"', "record"),
    ('headers = [{ name = "Host", value = "x" }]', "headers"), ('proxy_protocol = true', "proxy_protocol"),
    ('keys = [{ user = "nobody" }]', "keys"), ('database = "x"', "database"), ('refuse_findings = ["NOPE"]', "refuse_findings"),
    ('health_check = "/x"', "health_check"), ('http_version = 2', "http_version"),
])
def test_mistakes_are_refused_with_their_place(sluice, target, tmp_path, more, place):
    text = POLICY + connection("web", target.port)
    text = text.replace('routes   = ["all"]', "") if more.startswith("routes") else text
    (tmp_path / "p.toml").write_text(text + more + "\n")
    done = sluice.cli("apply", "-f", str(tmp_path / "p.toml"), "--dry-run", check=False)
    assert done.returncode != 0 and place in done.stdout + done.stderr, done.stdout + done.stderr


H2 = {"clear": ("http", ["--http2-prior-knowledge"]), "tls": ("https", ["--http2", "-k"])}


@pytest.mark.parametrize("kind", H2)
def test_http2_clients_get_the_same(sluice, target, kind):
    scheme, arguments = H2[kind]
    answer = curl(url(sluice, "web-agent", "/a%2Fb?x=1", scheme), *key(sluice), *arguments)
    assert answer.status == 200 and answer.json()["target"] == "/a%2Fb?x=1"
    assert target.last().version == "HTTP/1.1" and target.last().all("X-Target-Key") == [SECRET]
    body = os.urandom(400_000)
    target.handler.answer = lambda request: response(body=request.body)
    answer = curl(url(sluice, "web-agent", "/up", scheme), *key(sluice), *arguments, "--data-binary", "@-", data=body)
    assert answer.status == 200 and answer.body == body
    target.handler.answer = response(body=b'{"a": "alice@example.com"}', headers=[("Content-Type", "application/json")])
    assert b"alice@" not in curl(url(sluice, "red-agent", "/", scheme), *key(sluice), *arguments).body
    assert curl(url(sluice, "web-agent", "/", scheme), *arguments).status == 401
    assert curl(url(sluice, "some", "/items/x", scheme), *key(sluice), *arguments).status == 403
    target.handler.answer = lambda request: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000, None])
    assert curl(url(sluice, "web-agent", "/", scheme), *key(sluice), *arguments).code != 0
    target.handler.answer = lambda request: iter([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None])
    for name in ("web-agent", "web-direct", "red-direct"):
        assert curl(url(sluice, name, "/", scheme), *key(sluice), *arguments).code != 0


def frame(kind, flags, stream, payload=b""):
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A header field that enters no table."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
GET = literal(b":method", b"GET") + literal(b":scheme", b"http") + literal(b":path", b"/c/web-agent/") + literal(b":authority", b"a")


def goaway_code(received):
    """The error code of the last GOAWAY among frames."""
    code = None
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        if received[3] == 7:
            code = int.from_bytes(received[13:17], "big")
        received = received[9 + length :]
    return code


@pytest.mark.parametrize("name, frames, code", [
    ("rapid reset", b"".join(frame(1, 5, n, GET) + frame(3, 0, n, b"\0\0\0\x08") for n in range(1, 4001, 2)), 11),
    ("continuation flood", frame(1, 0, 1, GET) + frame(9, 0, 1, literal(b"a", b"b")) * 2000, 11),
    ("ping flood", frame(6, 0, 0, b"12345678") * 5000, 11),
    ("settings flood", frame(4, 0, 0) * 5000, 11),
    ("empty data flood", frame(1, 4, 1, literal(b":method", b"POST") + GET[len(literal(b":method", b"GET")):]) + frame(0, 0, 1) * 5000, 11),
    ("hpack bomb", frame(1, 5, 1, b"\x40\x01a\x7f\x81\x1e" + b"b" * 285 + b"\xbe" * 16000), 9),
    ("broken block", frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff"), 9),
    ("even stream", frame(1, 5, 2, GET), 1),
    ("data on an idle stream", frame(0, 0, 1, b"x"), 1),
    ("window of nothing", frame(8, 0, 0, b"\0\0\0\0"), 3),
    ("window too large", frame(8, 0, 0, b"\x7f\xff\xff\xff"), 3),
    ("push", frame(5, 4, 1, b"\0\0\0\2"), 1),
    ("frame too large", frame(0, 0, 1, b"x" * 20000), 6),
])
def test_http2_floods_and_tricks_end_the_connection(sluice, target, name, frames, code):
    received = raw(sluice.addresses["http"], PREFACE + frames, 8)
    assert goaway_code(received) == code, (name, received[-100:])
    assert not target.requests
    assert curl(url(sluice, "web-agent"), *key(sluice)).status == 200, "the others are served"


def test_malformed_http2_requests_are_reset_and_go_nowhere(sluice, target):
    token = sluice.token("alice").encode()
    for more in (literal(b"transfer-encoding", b"chunked"), literal(b"a", b"b\r\nX: y"), literal(b"connection", b"close"),
                 literal(b":path", b"/x"), literal(b"X", b"y"), literal(b"content-length", b"4"), literal(b"host", b"other")):
        block = GET + literal(b"x-key", token) + more
        received = raw(sluice.addresses["http"], PREFACE + frame(1, 5, 1, block), 2)
        assert frame(3, 0, 1, b"\0\0\0\x01") in received, more
    assert not target.requests
