"""A target that speaks HTTP and records exactly what it got, byte for byte; and a GitLab as far as its clients look."""

import json
import socket
import socketserver
import ssl
import threading


class Request:
    """One request as it arrived."""

    def __init__(self, method, target, version, headers, body):
        self.method, self.target, self.version, self.headers, self.body = method, target, version, headers, body

    def all(self, name):
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        """The first value of a header."""
        return next(iter(self.all(name)), None)

    def text(self):
        """Everything that arrived, for searching."""
        lines = [f"{self.method} {self.target} {self.version}", *(f"{key}: {value}" for key, value in self.headers)]
        return "\n".join(lines) + "\n\n" + self.body.decode("latin1")


def response(status=200, headers=(), body=b"", length=True):
    """A whole answer."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), *headers]
    head = [f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in headers)]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(pieces, status=200, headers=(), trailers=()):
    """A chunked answer, piece by piece."""
    head = [f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in headers), "Transfer-Encoding: chunked"]
    yield "\r\n".join(head).encode() + b"\r\n\r\n"
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n" + "".join(f"{key}: {value}\r\n" for key, value in trailers).encode() + b"\r\n"


class HttpTarget:
    """Answers with what `handler(request)` gives: bytes, or pieces of bytes. `None` closes without an answer."""

    def __init__(self, handler=None, certificate=None):
        self.handler = handler or (lambda request: response(body={"path": request.target}))
        self.requests = []
        self.raw = []
        self.connections = 0
        target = self

        class Serve(socketserver.BaseRequestHandler):
            def handle(self):
                target.connections += 1
                target.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 512

        self.server = Server(("127.0.0.1", 0), Serve)
        self.port = self.server.server_address[1]
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            stream = connection.makefile("rb")
            while request := self.read(stream):
                self.requests.append(request)
                answer = self.handler(request)
                if callable(answer):
                    answer(connection, stream)
                    return
                if answer is None:
                    return
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    if piece is None:
                        return
                    connection.sendall(piece)
        except (OSError, ValueError):
            pass

    def read(self, stream):
        line = stream.readline(65536)
        if not line:
            return None
        raw = [line]
        method, target, version = line.decode("latin1").rstrip("\r\n").split(" ")
        headers = []
        while (line := stream.readline(65536)) not in (b"\r\n", b""):
            raw.append(line)
            key, _, value = line.decode("latin1").rstrip("\r\n").partition(":")
            headers.append((key, value.strip()))
        self.raw.append(b"".join(raw))
        request = Request(method, target, version, headers, b"")
        if length := request.get("Content-Length"):
            request.body = stream.read(int(length))
        elif request.get("Transfer-Encoding"):
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
            request.body = body
        return request

    def last(self):
        """The request that came last."""
        return self.requests[-1]

    def close(self):
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()


TOKEN = "glpat-real-token-of-the-company"
PROJECT = {"id": 1, "path_with_namespace": "g/p", "name": "p", "web_url": "https://gitlab.example.com/g/p"}


class FakeGitLab(HttpTarget):
    """The endpoints that readers of GitLab use. Refuses everybody without the real token."""

    def __init__(self, **options):
        super().__init__(self.answer, **options)

    def answer(self, request):
        if request.get("PRIVATE-TOKEN") != TOKEN:
            return response(401, body={"message": "401 Unauthorized"})
        path, _, query = request.target.partition("?")
        parameters = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
        here = f"http://127.0.0.1:{self.port}"
        if path == "/api/v4/user":
            return response(body={"id": 7, "username": "bot", "email": "bot@example.com"})
        if path in ("/api/v4/projects/1", "/api/v4/projects/g%2Fp"):
            return response(body=PROJECT)
        if path.endswith("/members") or path.endswith("/members/all"):
            page = int(parameters.get("page", "1"))
            members = [{"id": 3 * page + i, "username": f"u{3 * page + i}", "state": "active"} for i in range(3)]
            links = [f'<{here}{path}?page={n}&per_page=3>; rel="{rel}"' for n, rel in
                     ((page + 1, "next"), (1, "first"), (3, "last")) if n <= 3]
            headers = [("Link", ", ".join(links)), ("X-Page", page), ("X-Total", 9), ("X-Total-Pages", 3), ("X-Per-Page", 3)]
            if page < 3:
                headers.append(("X-Next-Page", page + 1))
            return response(headers=headers, body=members)
        if path.endswith("/merge_requests/3"):
            return response(body={"id": 33, "iid": 3, "project_id": 1, "title": "t", "labels": ["a"]})
        if path.endswith("/merge_requests"):
            return response(body=[{"id": 33, "iid": 3, "project_id": 1, "title": "t"}])
        if path.startswith("/api/v4/groups/1"):
            return response(body={"id": 1, "name": "g", "path": "g", "full_path": "g"})
        return response(body={"path": request.target, "method": request.method})
