"""A TCP proxy that sends each connection to the next of several servers, and past those that do not answer."""

import contextlib
import itertools
import socket
import threading


class RoundRobin:
    """Listens from the constructor to `close`; `backends` is a list of ports that may change at any time."""

    def __init__(self, backends):
        self.backends = backends
        self._turn = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()
        self.drop()

    def drop(self):
        """Breaks what is open."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _dial(self):
        first = next(self._turn)
        ports = list(self.backends)
        for offset in range(len(ports)):
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", ports[(first + offset) % len(ports)]), 1)
        return None

    def _carry(self, client):
        server = self._dial()
        if server is None:
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(each)
        other = threading.Thread(target=self._pump, args=(client, server), daemon=True)
        other.start()
        self._pump(server, client)
        other.join()
        for each in (client, server):
            self._open.discard(each)
            each.close()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
        # Each direction ends by itself, as it does without a proxy; one that broke ends both.
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
