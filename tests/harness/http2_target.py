"""A target that speaks HTTP/2, in clear or behind a TLS handshake: records requests, and misbehaves where it is told to."""

import contextlib
import json
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings


class H2Request:
    """One request: pseudo-headers, fields in order, body."""

    def __init__(self, headers, connection_number):
        self.headers = [(name.decode(), value.decode("latin1")) for name, value in headers]
        self.connection_number = connection_number
        self.body = b""

    def all(self, name):
        """Every value of a field."""
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name):
        """The first value of a field."""
        return next(iter(self.all(name)), None)

    @property
    def path(self):
        """Path and query."""
        return self.get(":path")

    def text(self):
        """Everything that arrived, for searching."""
        return "\n".join(f"{key}: {value}" for key, value in self.headers) + "\n\n" + self.body.decode("latin1")


class H2Peer:
    """One connection to the target, for answers that need more than a status and a body."""

    def __init__(self, sock, state):
        self.sock, self.state = sock, state

    def flush(self):
        """Writes what waits."""
        self.sock.sendall(self.state.data_to_send())

    def goaway(self, last):
        """Says that no stream above `last` is served, and goes on with the others."""
        frame = (8).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + last.to_bytes(4, "big") + bytes(4)
        self.flush()
        self.sock.sendall(frame)


class Http2Target:
    """`handler(request)` gives (status, fields, body) or (status, fields, body, trailers), or a function of (peer, stream)."""

    def __init__(self, handler=None, certificate=None, alpn=("h2", "http/1.1")):
        self.handler = handler or (lambda request: (200, [], json.dumps({"path": request.path}).encode()))
        self.requests = []
        self.connections = 0
        self.alpn_chosen = []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            self.context.set_alpn_protocols(list(alpn))
        self.server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.server.getsockname()[1]
        self.open = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.server.accept()
                self.connections += 1
                self.open.add(sock)
                threading.Thread(target=self.serve, args=(sock, self.connections), daemon=True).start()

    def serve(self, sock, number):
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.alpn_chosen.append(sock.selected_alpn_protocol())
            self.speak(sock, number)
        sock.close()

    def speak(self, sock, number):
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        state = h2.connection.H2Connection(config)
        state.initiate_connection()
        sock.sendall(state.data_to_send())
        peer = H2Peer(sock, state)
        running, waiting = {}, {}
        while data := sock.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    running[event.stream_id] = H2Request(event.headers, number)
                elif isinstance(event, h2.events.DataReceived):
                    if event.stream_id in running:
                        running[event.stream_id].body += event.data
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id in running:
                    request = running.pop(event.stream_id)
                    self.requests.append(request)
                    answer = self.handler(request)
                    if callable(answer):
                        if answer(peer, event.stream_id) == "close":
                            peer.flush()
                            return
                    else:
                        status, fields, body, *trailers = answer
                        state.send_headers(event.stream_id, [(":status", str(status)), *fields], end_stream=not body and not trailers)
                        if body or trailers:
                            waiting[event.stream_id] = [body, trailers[0] if trailers else None]
                elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    waiting.pop(getattr(event, "stream_id", None), None)
            self.pump(state, waiting)
            sock.sendall(state.data_to_send())

    @staticmethod
    def pump(state, waiting):
        """As much of the waiting bodies as the windows let through."""
        for stream, (body, trailers) in list(waiting.items()):
            while body:
                room = min(state.local_flow_control_window(stream), state.max_outbound_frame_size, len(body))
                if room <= 0:
                    break
                state.send_data(stream, body[:room], end_stream=room == len(body) and trailers is None)
                body = body[room:]
            waiting[stream][0] = body
            if not body:
                if trailers is not None:
                    state.send_headers(stream, trailers, end_stream=True)
                del waiting[stream]

    def last(self):
        """The request that came last."""
        return self.requests[-1]

    def close(self):
        """Stops listening and drops everybody."""
        self.server.close()
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
