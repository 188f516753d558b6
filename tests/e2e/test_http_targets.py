"""HTTP/2 towards targets: one connection for many requests, credentials, trailers, and what happens when the target gives up."""

import concurrent.futures
import os
import threading

import h2.errors
import pytest

from harness.curl import curl
from harness.http2_target import Http2Target
from harness.http_target import HttpTarget, response
from harness.sluice import Sluice

SECRET = "target-token-nobody-may-see"

POLICY = """
[[redaction]]
name   = "personal"
detect = ["EMAIL_ADDRESS"]
mask   = "label"
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
type     = "http"
{way}
url      = "{scheme}://127.0.0.1:{port}"
{tls}
password = "env:WEB_SECRET"
key_header = "X-Key"
credential_header = "Authorization"
credential_scheme = "{credential}"
{user}
groups   = ["web"]
routes   = ["all"]
http_version = "{version}"
response_timeout_seconds = 3
{more}
"""

WAYS = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


def connection(name, port, way, version="2", scheme="http", credential="bearer", more=""):
    """One connection of the policy."""
    tls = 'tls = "require"' if scheme == "https" else ""
    user = 'username = "literal:bot"' if credential == "basic" else ""
    return CONNECTION.format(name=name, port=port, way=WAYS[way], version=version, scheme=scheme, tls=tls, credential=credential, user=user, more=more)


class Answers:
    """What the target answers next."""

    def __init__(self):
        self.answer = None

    def __call__(self, request):
        if self.answer is None:
            return 200, [("content-type", "text/plain")], request.path.encode()
        return self.answer(request) if callable(self.answer) else self.answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificate")
    key, pem = directory / "key.pem", directory / "cert.pem"
    import subprocess  # noqa: PLC0415

    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key), "-out", str(pem),
                    "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    return str(pem), str(key)


@pytest.fixture(scope="module")
def clear():
    target = Http2Target(Answers())
    yield target
    target.close()


@pytest.fixture(scope="module")
def secure(certificate):
    target = Http2Target(Answers(), certificate)
    yield target
    target.close()


@pytest.fixture(scope="module")
def old(certificate):
    target = HttpTarget(lambda request: response(body=b"old"), certificate)
    yield target
    target.close()


@pytest.fixture(scope="module")
def sluice(clear, secure, old):
    policy = POLICY
    for way in WAYS:
        policy += connection(f"clear-{way}", clear.port, way)
        policy += connection(f"basic-{way}", clear.port, way, credential="basic")
        policy += connection(f"auto-{way}", secure.port, way, "auto", "https")
        policy += connection(f"old-{way}", old.port, way, "auto", "https")
        policy += connection(f"h1-{way}", secure.port, way, "1.1", "https")
        policy += connection(f"must-{way}", old.port, way, "2", "https")
        policy += connection(f"red-{way}", clear.port, way, more='redact = ["personal"]')
    policy += connection("sock", clear.port, "direct", more="websocket = true")
    made = Sluice(policy, environment={"WEB_SECRET": SECRET})
    yield made
    made.close()


@pytest.fixture(autouse=True)
def plain(clear, secure):
    for target in (clear, secure):
        target.handler.answer = None
        target.requests.clear()


def ask(sluice, name, path="/", *arguments, **options):
    """A request of alice by path prefix."""
    return curl(f"http://{sluice.addresses['http']}/c/{name}{path}", "-H", f"X-Key: {sluice.token('alice')}", *arguments, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", [[], ["--http2-prior-knowledge"]], ids=["h1", "h2"])
def test_requests_reach_a_target_of_http2_with_the_credential_swapped(sluice, clear, way, client):
    answer = ask(sluice, f"clear-{way}", "/a%2Fb?x=1", "-H", "Authorization: Bearer stolen", *client)
    assert (answer.status, answer.body) == (200, b"/a%2Fb?x=1"), answer.body
    got = clear.last()
    assert got.all("authorization") == [f"Bearer {SECRET}"] and "stolen" not in got.text()
    assert got.get(":authority") == f"127.0.0.1:{clear.port}" and got.get("host") is None and got.get("x-key") is None
    assert SECRET not in answer.body.decode() + str(answer.headers)
    assert ask(sluice, f"basic-{way}").status == 200
    assert clear.last().all("authorization") == ["Basic Ym90OnRhcmdldC10b2tlbi1ub2JvZHktbWF5LXNlZQ=="]
    body = os.urandom(700_000)
    clear.handler.answer = lambda request: (200, [("content-type", "application/octet-stream")], request.body)
    for arguments in (["--data-binary", "@-"], ["-T", "-"]):
        answer = ask(sluice, f"clear-{way}", "/up", *client, *arguments, data=body)
        assert answer.status == 200 and answer.body == body, (arguments, answer.status, len(answer.body))
    clear.handler.answer = lambda request: (204, [], b"")
    assert ask(sluice, f"clear-{way}", "/", "-X", "POST", *client).status == 204


@pytest.mark.parametrize("way", WAYS)
def test_the_target_chooses_the_version_in_its_handshake(sluice, secure, old, way):
    secure.alpn_chosen.clear()
    assert ask(sluice, f"auto-{way}", "/x").body == b"/x"
    assert secure.alpn_chosen[-1] == "h2"
    assert ask(sluice, f"old-{way}").body == b"old", "a target that knows only HTTP/1.1"
    assert ask(sluice, f"h1-{way}").status == 502, "this target speaks HTTP/2 alone, and was not offered it"
    assert secure.alpn_chosen[-1] == "http/1.1"
    assert ask(sluice, f"must-{way}").status == 502, "a target that does not agree to HTTP/2"


@pytest.mark.parametrize("way", WAYS)
def test_many_requests_share_a_connection(sluice, clear, way):
    assert ask(sluice, f"clear-{way}").status == 200
    before = clear.connections
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: ask(sluice, f"clear-{way}", f"/{n}").body, range(40)))
    assert answers == [b"/%d" % n for n in range(40)]
    assert clear.connections - before <= 1
    assert sorted(int(r.path[1:]) for r in clear.requests[-40:]) == list(range(40))


def test_trailers_and_interim_answers_pass(sluice, clear):
    def hints(request):
        def answer(peer, stream):
            peer.state.send_headers(stream, [(":status", "103"), ("link", "</a.css>; rel=preload")])
            peer.state.send_headers(stream, [(":status", "200")])
            peer.state.send_data(stream, b"hello")
            peer.state.send_headers(stream, [("x-sum", "17"), ("content-length", "3")], end_stream=True)
        return answer

    clear.handler.answer = hints
    answer = ask(sluice, "clear-direct", "/", "--raw")
    assert answer.body.endswith(b"5\r\nhello\r\n0\r\nx-sum: 17\r\n\r\n"), answer.body
    answer = ask(sluice, "red-direct", "/", "--raw")
    assert answer.body.endswith(b"0\r\n\r\n") and b"x-sum" not in answer.body


def test_answers_of_http2_are_redacted(sluice, clear):
    clear.handler.answer = lambda request: (200, [("content-type", "application/json"), ("content-length", "29")], b'{"mail":"alice@example.com" }')
    for way in WAYS:
        answer = ask(sluice, f"red-{way}")
        assert answer.status == 200 and b"alice@" not in answer.body and b"EMAIL" in answer.body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", [[], ["--http2-prior-knowledge"]], ids=["h1", "h2"])
def test_an_answer_that_breaks_off_is_no_success(sluice, clear, way, client):
    def reset(peer, stream):
        peer.state.send_headers(stream, [(":status", "200")])
        peer.state.send_data(stream, b"hello")
        peer.state.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def close(peer, stream):
        peer.state.send_headers(stream, [(":status", "200")])
        peer.state.send_data(stream, b"hello")
        return "close"

    def short(peer, stream):
        peer.state.send_headers(stream, [(":status", "200"), ("content-length", "10")])
        peer.flush()
        peer.sock.sendall(b"\0\0\x05\0\x01" + stream.to_bytes(4, "big") + b"hello")

    for broken in (reset, close, short):
        clear.handler.answer = lambda request, broken=broken: broken
        answer = ask(sluice, f"clear-{way}", "/", *client)
        assert answer.code != 0, (broken.__name__, answer.body)
    clear.handler.answer = None
    assert ask(sluice, f"clear-{way}").status == 200


@pytest.mark.parametrize("way", WAYS)
def test_requests_that_were_not_processed_are_sent_again(sluice, clear, way):
    refused = threading.Event()

    def refuse_once(request):
        if not refused.is_set():
            refused.set()
            return lambda peer, stream: peer.state.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        return 200, [], b"second"

    clear.handler.answer = refuse_once
    answer = ask(sluice, f"clear-{way}", "/", "-X", "DELETE")
    assert (answer.status, answer.body) == (200, b"second"), "DELETE too: the target says that it did not look"

    gone = threading.Event()

    def go_away_once(request):
        if not gone.is_set():
            gone.set()
            return lambda peer, stream: peer.goaway(stream - 2)
        return 200, [], b"elsewhere"

    clear.handler.answer = go_away_once
    connections = clear.connections
    assert ask(sluice, f"clear-{way}", "/", "-X", "PATCH").body == b"elsewhere"
    assert clear.connections == connections + 1
    # A connection that dies without a word: only what is safe is sent again, and only once.
    clear.handler.answer = lambda request: lambda peer, stream: "close"
    clear.requests.clear()
    assert ask(sluice, f"clear-{way}", "/", "-X", "DELETE").status == 502
    assert len(clear.requests) == 1


def test_a_target_that_serves_others_is_waited_for_and_not_for_ever(sluice, clear):
    clear.handler.answer = lambda request: (lambda peer, stream: None) if request.path == "/never" else (200, [], b"ok")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, sluice, "clear-direct", "/never")
        assert ask(sluice, "clear-direct", "/other").body == b"ok", "streams do not wait for each other"
        assert slow.result().status == 504


def test_a_malformed_answer_of_http2_goes_nowhere(sluice, clear):
    def raw_block(block):
        def answer(peer, stream):
            peer.flush()
            peer.sock.sendall(len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block)
        return answer

    literal = lambda name, value: b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    for more in (literal(b"x", b"a\r\nset-cookie: b"), literal(b"connection", b"close"), literal(b"X", b"y"), literal(b":status", b"200"),
                 literal(b"transfer-encoding", b"chunked"), literal(b"content-length", b"5")):
        clear.handler.answer = lambda request, more=more: raw_block(b"\x88" + more)
        assert ask(sluice, "clear-direct").status == 502, more
    clear.handler.answer = None
    assert ask(sluice, "clear-direct").status == 200


def test_a_websocket_needs_a_target_of_http1(sluice, clear):
    upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Key: x", "-H", "Sec-WebSocket-Version: 13"]
    assert ask(sluice, "sock", "/ws", *upgrade).status == 503
    assert not clear.requests
