"""A plain TCP relay: the control column that shows what any process between client and server changes."""

import asyncio
import contextlib
import threading

PIECE_BYTES = 65536


class Relay:
    """Passes bytes from a free local port to another; runs in a thread of its own until `close`."""

    def __init__(self, port):
        self.target = port
        self.port = None
        ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self._listen(ready),), daemon=True)
        self.thread.start()
        ready.wait(10)

    async def _listen(self, ready):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.over.wait()
        server.close()

    async def _serve(self, client_reader, client_writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client_writer.close()
            return
        await asyncio.gather(pump(client_reader, server_writer), pump(server_reader, client_writer))

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)


async def pump(reader, writer):
    """One direction, until it ends; the end is passed on as well."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()
