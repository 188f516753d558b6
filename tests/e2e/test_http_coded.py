"""Answers with a content-encoding on connections that redact: decoded while they pass, sent without it, bombs stopped."""

import gzip
import json
import os
import random
import zlib

import brotli
import pytest
import zstandard

from harness.curl import curl
from harness.http_target import HttpTarget, chunked, response
from harness.sluice import Sluice

POLICY = """
[[redaction]]
name   = "personal"
detect = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER"]
csv    = ["name"]
[[routes]]
name  = "all"
allow = ["* /{{rest...}}", "* /"]
[[user]]
name = "alice"
groups = ["web"]
[[connection]]
name     = "agent"
pool     = "local"
{common}
redact   = ["personal"]
[[connection]]
name     = "direct"
via      = "direct"
{common}
redact   = ["personal"]
response_bytes_max = 200000000
[[connection]]
name     = "lenient"
via      = "direct"
{common}
redact   = ["lenient"]
[[connection]]
name     = "guard"
via      = "direct"
{common}
refuse_findings = ["CREDIT_CARD_NUMBER"]
[[redaction]]
name   = "lenient"
detect = ["EMAIL_ADDRESS"]
on_error = "pass"
"""

COMMON = """
type     = "http"
url      = "http://127.0.0.1:{port}"
key_header = "X-Key"
credential_scheme = "none"
groups   = ["web"]
routes   = ["all"]
"""


def raw_deflate(body):
    """DEFLATE without the wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CODINGS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
}


def zstd_stream(body):
    """A frame that does not say how long its content is, with a checksum."""
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return packer.compress(body) + packer.flush()


CODINGS["zstd stream"] = ("zstd", zstd_stream)


class Answer:
    """What the target answers next."""

    def __init__(self):
        self.now = None

    def __call__(self, request):
        return self.now(request) if callable(self.now) else self.now


@pytest.fixture(scope="module")
def target():
    server = HttpTarget(Answer())
    yield server
    server.close()


@pytest.fixture(scope="module")
def sluice(target):
    made = Sluice(POLICY.format(common=COMMON.format(port=target.port)))
    yield made
    made.close()


def ask(sluice, connection, *arguments, **options):
    """A request on a connection."""
    return curl(f"http://{sluice.addresses['http']}/c/{connection}/", "-H", f"X-Key: {sluice.token('alice')}", *arguments, **options)


@pytest.mark.parametrize("way", ["agent", "direct"])
@pytest.mark.parametrize("name", CODINGS)
def test_encoded_answers_are_decoded_redacted_and_sent_plain(sluice, target, name, way):
    coding, encode = CODINGS[name]
    document = {"to": "alice@example.com", "card": 4111111111111111, "filler": "lorem ipsum " * 3000, "n": 17}
    packed = encode(json.dumps(document).encode())
    headers = [("Content-Type", "application/json"), ("Content-Encoding", coding), ("ETag", '"v1"'), ("Vary", "Accept-Encoding"),
               ("Accept-Ranges", "bytes"), ("Content-MD5", "x")]
    seen = []
    for size in (1, 3, 1000, len(packed)):
        if size == 1 and len(packed) > 2000:
            size = 11
        pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
        target.handler.now = lambda request: chunked(pieces, headers=headers)
        for version in ([], ["--http2-prior-knowledge"]):
            answer = ask(sluice, way, "-H", "Accept-Encoding: gzip, br, zstd", *version)
            assert answer.status == 200 and answer.code == 0, (name, size)
            seen.append(answer.body)
            assert answer.get("Content-Encoding") is None and answer.get("ETag") is None and answer.get("Content-MD5") is None
            assert answer.get("Accept-Ranges") is None and answer.get("Vary") == "Accept-Encoding"
    target.handler.now = response(body=packed, headers=headers)
    seen.append(ask(sluice, way).body)
    assert len(set(seen)) == 1
    got = json.loads(seen[0])
    assert got["to"].startswith("[EMAIL]") and got["card"] == 0 and got["n"] == 17 and got["filler"] == document["filler"]
    assert target.last().get("Accept-Encoding") == "identity"
    head = ask(sluice, way, "-I")
    assert head.status == 200 and head.get("Content-Encoding") is None and head.get("Content-Length") is None


@pytest.mark.parametrize("name", CODINGS)
def test_broken_and_cut_codings_are_no_success(sluice, target, name):
    coding, encode = CODINGS[name]
    packed = encode(b"from alice@example.com " + os.urandom(3000).hex().encode())
    for broken in (packed[:-20], packed[:40], b"this is not encoded at all", packed + b"alice@example.com"):
        target.handler.now = response(body=broken, headers=[("Content-Encoding", coding)])
        answer = ask(sluice, "direct")
        assert answer.code != 0 or answer.status == 502, broken[-20:]
        assert b"alice@" not in answer.body
    target.handler.now = response(body=encode(b""), headers=[("Content-Encoding", coding)])
    answer = ask(sluice, "direct")
    assert (answer.status, answer.body, answer.code) == (200, b"", 0)


def test_codings_that_cannot_be_undone_are_refused_or_pass_where_the_rule_says_so(sluice, target):
    twice = gzip.compress(gzip.compress(b"alice@example.com"))
    cases = [[("Content-Encoding", "gzip, gzip")], [("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")], [("Content-Encoding", "compress")]]
    for headers in cases:
        target.handler.now = response(body=twice, headers=headers)
        assert ask(sluice, "direct").status == 502
        passed = ask(sluice, "lenient")
        assert passed.status == 200 and passed.body == twice and passed.get("Content-Encoding")
    # What can be decoded is redacted there too.
    target.handler.now = response(body=gzip.compress(b"alice@example.com"), headers=[("Content-Encoding", "gzip")])
    assert ask(sluice, "lenient").body.startswith(b"[EMAIL]")
    # Pictures are not looked at, so they stay as they are.
    target.handler.now = response(body=gzip.compress(b"pixels"), headers=[("Content-Encoding", "gzip"), ("Content-Type", "image/png")])
    answer = ask(sluice, "direct", "--compressed")
    assert answer.body == b"pixels" and answer.get("Content-Encoding") == "gzip"


def rss_kb(sluice):
    """Resident memory of the data plane."""
    with open(f"/proc/{sluice.pids()['dataplane']}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_bomb_ends_in_an_error_and_costs_no_memory(sluice, target, name):
    coding, encode = CODINGS[name]
    bomb = encode(bytes(60_000_000))
    target.handler.now = response(body=bomb, headers=[("Content-Encoding", coding), ("Content-Type", "text/plain")])
    before = rss_kb(sluice)
    answer = ask(sluice, "direct", "-o", "/dev/null")
    assert answer.code != 0, "cut off, not ended"
    assert rss_kb(sluice) - before < 40_000


def lines(megabytes, seed):
    """Rows of text, one in twenty with an address; what packs them makes about a quarter of them."""
    rng = random.Random(seed)
    words = [f"{rng.getrandbits(40):x}" for _ in range(4000)]
    made = 0
    while made < megabytes << 20:
        rows = []
        for _ in range(2000):
            row = " ".join(rng.choices(words, k=12))
            rows.append(f"{row} u{rng.randrange(10**6)}@example.com\n" if rng.random() < 0.05 else f"{row} plain\n")
        piece = "".join(rows).encode()
        made += len(piece)
        yield piece


# `SLUICE_LONG=1`: a gigabyte of each.
MEGABYTES = 1024 if os.environ.get("SLUICE_LONG") else 24


@pytest.mark.parametrize("name", ["identity", "gzip", "br", "zstd"])
def test_large_answers_are_redacted_in_bounded_memory(sluice, target, name):
    packers = {
        "identity": lambda: None,
        "gzip": lambda: zlib.compressobj(1, wbits=31),
        "br": lambda: brotli.Compressor(quality=1),
        "zstd": lambda: zstandard.ZstdCompressor(1).compressobj(),
    }

    def pieces():
        packer = packers[name]()
        for piece in lines(MEGABYTES, 7):
            piece = piece if packer is None else (packer.process(piece) if name == "br" else packer.compress(piece))
            if piece:
                yield piece
        if packer:
            yield packer.finish() if name == "br" else packer.flush()

    connection = "direct" if MEGABYTES < 190 else "agent"
    headers = [("Content-Type", "text/plain"), *([("Content-Encoding", name)] if name != "identity" else [])]
    target.handler.now = lambda request: chunked(pieces(), headers=headers)
    before = rss_kb(sluice)
    answer = ask(sluice, connection, seconds=600)
    after = rss_kb(sluice)
    assert answer.status == 200 and answer.code == 0
    assert len(answer.body) >= MEGABYTES << 20
    assert b"@example.com" not in answer.body and answer.body.count(b"[EMAIL]") > MEGABYTES * 300
    assert after - before < 48_000, (before, after)


def test_columns_of_csv_are_masked(sluice, target):
    body = b'id,name,mail\r\n1,"Smith, Al",alice@example.com\r\n2,Bo,none\r\n'
    target.handler.now = response(body=gzip.compress(body), headers=[("Content-Type", "text/csv; charset=utf-8"), ("Content-Encoding", "gzip")])
    answer = ask(sluice, "agent")
    assert answer.body == b'id,name,mail\r\n1,"[NAME]***",[EMAIL]**********\r\n2,[N,none\r\n'


def test_encoded_requests_are_inspected_and_go_on_as_they_came(sluice, target):
    target.handler.now = response()
    for _, (coding, encode) in CODINGS.items():
        target.requests.clear()
        bad = encode(b"card=4111111111111111")
        refused = ask(sluice, "guard", "-H", f"Content-Encoding: {coding}", "--data-binary", "@-", data=bad)
        assert refused.status == 403 and not target.requests
        good = encode(b"hello")
        assert ask(sluice, "guard", "-H", f"Content-Encoding: {coding}", "--data-binary", "@-", data=good).status == 200
        assert target.last().body == good and target.last().get("Content-Encoding") == coding
    assert ask(sluice, "guard", "-H", "Content-Encoding: gzip", "-d", "x").status == 422
    assert ask(sluice, "guard", "-H", "Content-Encoding: gzip, br", "-d", "x").status == 415
    bomb = gzip.compress(bytes(5_000_000))
    assert ask(sluice, "guard", "-H", "Content-Encoding: gzip", "--data-binary", "@-", data=bomb).status == 413
