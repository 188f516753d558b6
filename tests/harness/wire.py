"""A PostgreSQL client that says whatever it is told, byte by byte: for what no well-behaved driver sends."""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct

PROTOCOL_30 = 3 << 16
PROTOCOL_32 = 3 << 16 | 2
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
CANCEL_CODE = 80877102


def message(tag, body=b""):
    """A message with its length."""
    return tag + struct.pack("!i", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def parse(text, name=b""):
    return message(b"P", name + b"\0" + text.encode() + b"\0" + struct.pack("!h", 0))


def bind(portal=b"", statement=b"", values=()):
    body = portal + b"\0" + statement + b"\0" + struct.pack("!hh", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack("!h", 0))


def execute(portal=b"", rows=0):
    return message(b"E", portal + b"\0" + struct.pack("!i", rows))


SYNC = message(b"S")
FLUSH = message(b"H")
COPY_DONE = message(b"c")


def copy_data(data):
    return message(b"d", data)


def startup(protocol=PROTOCOL_30, **parameters):
    body = b"".join(key.encode() + b"\0" + value.encode() + b"\0" for key, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, protocol) + body


def cancel_request(pid, secret):
    return struct.pack("!iii", 12 + len(secret), CANCEL_CODE, pid) + secret


class Closed(Exception):
    """The other side closed."""


class Wire:
    """A socket that speaks in messages."""

    def __init__(self, port, seconds=30):
        self.raw = socket.create_connection(("127.0.0.1", port), seconds)
        self.raw.settimeout(seconds)
        self.buffer = b""
        self.parameters = {}
        self.key = None
        self.mechanisms = []
        self.negotiated = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def send(self, *pieces):
        self.raw.sendall(b"".join(pieces))

    def take(self, count):
        """So many bytes."""
        while len(self.buffer) < count:
            try:
                piece = self.raw.recv(1 << 20)
            except (ConnectionResetError, ssl.SSLEOFError):
                piece = b""
            if not piece:
                raise Closed(self.buffer)
            self.buffer += piece
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self):
        """Tag and body of the next message."""
        head = self.take(5)
        return head[:1], self.take(struct.unpack("!i", head[1:])[0] - 4)

    def until(self, tags):
        """Messages up to and with the first of these tags."""
        seen = []
        while not seen or seen[-1][0] not in tags:
            seen.append(self.receive())
        return seen

    def rest(self):
        """Messages until the other side closes."""
        seen = []
        try:
            while True:
                seen.append(self.receive())
        except Closed:
            return seen

    def start_tls(self, asked=True, alpn=None, channel=None):
        """TLS after an SSLRequest, or at once; certificates are not checked."""
        if asked:
            self.send(SSL_REQUEST)
            assert self.take(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        self.raw = context.wrap_socket(self.raw)

    def log_in(self, user, database, password, protocol=PROTOCOL_30, mechanism="SCRAM-SHA-256", binding=None, **parameters):
        """A login by SCRAM (RFC 5802); `binding`: channel binding data for -PLUS (RFC 5929)."""
        self.send(startup(protocol, user=user, database=database, **parameters))
        self.authenticate(password, mechanism, binding)

    def authenticate(self, password, mechanism="SCRAM-SHA-256", binding=None, header=None):
        tag, body = self.receive()
        if tag == b"v":
            self.negotiated = body
            tag, body = self.receive()
        assert tag == b"R", (tag, body)
        assert struct.unpack("!i", body[:4])[0] == 10, body
        self.mechanisms = [name.decode() for name in body[4:].split(b"\0") if name]
        header = header or ("p=tls-server-end-point,," if mechanism.endswith("-PLUS") else "n,,")
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={nonce}"
        data = (header + first).encode()
        self.send(message(b"p", mechanism.encode() + b"\0" + struct.pack("!i", len(data)) + data))
        tag, body = self.receive()
        assert tag == b"R" and struct.unpack("!i", body[:4])[0] == 11, (tag, body)
        server_first = body[4:].decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        channel = base64.b64encode(header.encode() + (binding or b"")).decode()
        without_proof = f"c={channel},r={fields['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        signature = hmac.digest(stored_key, ",".join([first, server_first, without_proof]).encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
        self.send(message(b"p", f"{without_proof},p={proof}".encode()))
        for tag, body in self.until(b"ZE"):
            if tag == b"S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif tag == b"K":
                self.key = struct.unpack("!i", body[:4])[0], body[4:]
            elif tag == b"E":
                raise PermissionError(body)


def error(body):
    """Fields of an ErrorResponse."""
    return {field[:1].decode(): field[1:].decode() for field in body.split(b"\0") if field}


def rows(seen):
    """Text values of the DataRows among messages."""
    found = []
    for tag, body in seen:
        if tag != b"D":
            continue
        values, at = [], 2
        for _ in range(struct.unpack("!h", body[:2])[0]):
            size = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            values.append(None if size < 0 else body[at:at + size].decode())
            at += max(size, 0)
        found.append(tuple(values))
    return found
