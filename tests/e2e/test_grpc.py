"""gRPC through connections of type http: all four kinds of calls, trailers, and what callers hear when the gateway says no."""

import concurrent.futures
import time

import grpc
import pytest

from harness.sluice import Sluice

POLICY = """
[[redaction]]
name   = "personal"
detect = ["EMAIL_ADDRESS"]
[[routes]]
name  = "echo"
allow = ["POST /test.Echo/{method}"]
[[user]]
name = "alice"
groups = ["web"]
"""

CONNECTION = """
[[connection]]
name     = "{name}"
type     = "http"
{way}
url      = "http://127.0.0.1:{port}"
http_version = "2"
password = "literal:target-secret"
key_header = "x-key"
credential_header = "authorization"
groups   = ["web"]
routes   = ["echo"]
listen   = "127.0.0.1:0"
{more}
"""

WAYS = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


class Echo(grpc.GenericRpcHandler):
    """Answers with what it gets, and keeps the metadata."""

    def __init__(self):
        self.metadata = {}

    def service(self, details):
        kind = details.method.rsplit("/", 1)[1]
        self.metadata = dict(details.invocation_metadata)
        if kind == "Unary":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if kind == "ServerStream":
            return grpc.unary_stream_rpc_method_handler(lambda request, context: (request + bytes([n]) for n in range(request[0])))
        if kind == "ClientStream":
            return grpc.stream_unary_rpc_method_handler(lambda requests, context: b"+".join(requests))
        if kind == "Both":
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: (request.upper() for request in requests))
        if kind == "Fails":
            return grpc.unary_unary_rpc_method_handler(self.fails)
        return None

    @staticmethod
    def unary(request, context):
        context.set_trailing_metadata((("x-seen", "yes"),))
        return request

    @staticmethod
    def fails(request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: ä%")


@pytest.fixture(scope="module")
def echo():
    handler = Echo()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), handlers=(handler,))
    handler.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler
    server.stop(None)


@pytest.fixture(scope="module")
def sluice(echo):
    policy = POLICY
    for name, way in WAYS.items():
        policy += CONNECTION.format(name=name, way=way, port=echo.port, more="")
    policy += CONNECTION.format(name="red", way=WAYS["direct"], port=echo.port, more='redact = ["personal"]')
    policy += CONNECTION.format(name="findings", way=WAYS["direct"], port=echo.port, more='refuse_findings = ["EMAIL_ADDRESS"]')
    policy += CONNECTION.format(name="nobody", way=WAYS["direct"], port=1, more="")
    made = Sluice(policy)
    yield made
    made.close()


class Caller:
    """A channel to a connection's own port, with alice's token."""

    def __init__(self, sluice, name, token=None):
        self.channel = grpc.insecure_channel(sluice.addresses["connections"][name])
        self.metadata = (("x-key", token or sluice.token("alice")),)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, kind, method, argument, service="test.Echo"):
        """One call by its kind."""
        return getattr(self.channel, kind)(f"/{service}/{method}")(argument, metadata=self.metadata, timeout=20)


@pytest.mark.parametrize("way", WAYS)
def test_all_kinds_of_calls_pass(sluice, echo, way):
    with Caller(sluice, way) as caller:
        for size in (0, 1, 100_000, 3_000_000):
            assert caller.call("unary_unary", "Unary", b"x" * size) == b"x" * size
        assert echo.metadata["authorization"] == "Bearer target-secret" and "x-key" not in echo.metadata
        _, call = caller.channel.unary_unary("/test.Echo/Unary").with_call(b"a", metadata=caller.metadata)
        assert ("x-seen", "yes") in call.trailing_metadata() and call.code() == grpc.StatusCode.OK
        assert list(caller.call("unary_stream", "ServerStream", b"\x50abc")) == [b"\x50abc" + bytes([n]) for n in range(80)]
        assert caller.call("stream_unary", "ClientStream", iter([b"a", b"b", b"c"])) == b"a+b+c"
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(lambda n: caller.call("unary_unary", "Unary", b"%d" % n) == b"%d" % n, range(200)))


@pytest.mark.parametrize("way", WAYS)
def test_messages_pass_while_both_sides_speak(sluice, way):
    """Each question is asked only after the answer to the one before: nothing waits for an end."""
    answers = []

    def questions():
        for n in range(5):
            while len(answers) < n:
                time.sleep(0.005)
            yield b"q%d" % n

    with Caller(sluice, way) as caller:
        for answer in caller.call("stream_stream", "Both", questions()):
            answers.append(answer)
    assert answers == [b"Q%d" % n for n in range(5)]


def test_errors_of_the_target_pass(sluice):
    with Caller(sluice, "agent") as caller, pytest.raises(grpc.RpcError) as raised:
        caller.call("unary_unary", "Fails", b"")
    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION and raised.value.details() == "not today: ä%"


@pytest.mark.parametrize("name, method, token, code", [
    ("direct", "Unary", "wrong", grpc.StatusCode.UNAUTHENTICATED),
    ("direct", "a/b", None, grpc.StatusCode.PERMISSION_DENIED),
    ("nobody", "Unary", None, grpc.StatusCode.UNAVAILABLE),
    ("red", "Unary", None, grpc.StatusCode.PERMISSION_DENIED),
    ("findings", "Unary", None, grpc.StatusCode.PERMISSION_DENIED),
])
def test_what_the_gateway_refuses_is_a_status_of_grpc(sluice, echo, name, method, token, code):
    echo.metadata = None
    with Caller(sluice, name, token) as caller, pytest.raises(grpc.RpcError) as raised:
        caller.call("unary_unary", method, b"x")
    assert raised.value.code() == code, raised.value.details()
    assert echo.metadata is None, "the target was not asked"
