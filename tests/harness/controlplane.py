"""A control plane that lies: it has the installation's TLS keys and pushes what a test gives it.

Just enough of HTTP/2 (RFC 9113) and gRPC to be the server of `DataPlane/Sync`: no header is decoded, the first stream that
the data plane opens is the one for snapshots, and whatever else it opens is answered and left alone.
"""

import contextlib
import os
import queue
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

PREFACE_BYTES = 24
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
ACK = 1
SYNC_STREAM = 1
# `:status: 200` from the static table, and `content-type` as a literal (RFC 7541, appendix A and section 6.2.2).
RESPONSE = b"\x88\x0f\x10\x10application/grpc"


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def fields(message):
    """The fields of a protobuf message by number; the last one wins."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            size = number()
            found[key >> 3] = message[at : at + size]
            at += size
    return found


def signed(snapshot, signature):
    """A SignedSnapshot out of its parts."""
    return b"\x0a" + varint(len(snapshot)) + snapshot + b"\x12" + varint(len(signature)) + signature


class LyingControlPlane:
    """Listens on `port` with a certificate of the authority in `pki`; `push` sends a SignedSnapshot, `answers` holds what came back."""

    def __init__(self, pki, port):
        self.answers = queue.Queue()
        self.connected = threading.Event()
        self._peer = None
        with tempfile.TemporaryDirectory(prefix="sluice-lies-") as folder:
            context = self._context(pki, folder)
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, args=(context,), daemon=True).start()

    @staticmethod
    def _context(pki, folder):
        key, request, leaf, chain = (os.path.join(folder, name) for name in ("key", "request", "leaf", "chain"))
        extensions = os.path.join(folder, "extensions")
        with open(extensions, "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:controlplane.sluice.internal\nextendedKeyUsage=serverAuth\n")
        for command in (
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=lies", "-keyout", key, "-out", request],
            ["x509", "-req", "-in", request, "-CA", f"{pki}/ca.pem", "-CAkey", f"{pki}/ca.key", "-days", "2", "-extfile", extensions, "-out", leaf],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        with open(chain, "w", encoding="ascii") as out:
            for part in (leaf, f"{pki}/ca.pem"):
                with open(part, encoding="ascii") as file:
                    out.write(file.read())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        context.set_alpn_protocols(["h2"])
        return context

    def push(self, message):
        """Sends the bytes of a SignedSnapshot."""
        reply = b"\x0a" + varint(len(message)) + message
        body = b"\0" + struct.pack(">I", len(reply)) + reply
        for at in range(0, len(body), 16_000):
            self._send(DATA, 0, SYNC_STREAM, body[at : at + 16_000])

    def refusal(self, seconds=10):
        """The next NACK: generation, generation in force, reason."""
        while True:
            kind, message = self.answers.get(timeout=seconds)
            if kind == "nack":
                return message.get(1, 0), message.get(2, 0), message.get(3, b"").decode()
            assert kind != "ack", "the data plane has put it in force"

    def close(self):
        self._listener.close()
        if self._peer:
            # Closing alone would wait for whoever still reads from it.
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)
            self._peer.close()

    def _send(self, kind, flags, stream, payload):
        self._peer.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def _serve(self, context):
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._peer = context.wrap_socket(raw, server_side=True)
                self._converse(self._peer.makefile("rb"))
            except (OSError, ValueError):
                continue

    def _converse(self, received):
        if len(received.read(PREFACE_BYTES)) < PREFACE_BYTES:
            return
        self._send(SETTINGS, 0, 0, b"")
        self._send(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24))
        held = b""
        while len(head := received.read(9)) == 9:
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = received.read(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self._send(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                self._send(PING, ACK, 0, payload)
            elif kind == HEADERS:
                self._send(HEADERS, 4, stream, RESPONSE)
                if stream == SYNC_STREAM:
                    self.connected.set()
            elif kind == DATA and stream == SYNC_STREAM:
                held = self._take(held + payload)

    def _take(self, held):
        while len(held) >= 5 and len(held) >= 5 + (size := struct.unpack(">I", held[1:5])[0]):
            for number, message in fields(held[5 : 5 + size]).items():
                self.answers.put(({1: "hello", 2: "ack", 3: "nack", 4: "presence"}.get(number, "?"), fields(message)))
            held = held[5 + size :]
        return held
