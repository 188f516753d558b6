"""Real curl, and raw sockets for what curl refuses to send."""

import json
import socket
import subprocess


class Answer:
    """What curl got."""

    def __init__(self, status, headers, body, code):
        self.status, self.headers, self.body, self.code = status, headers, body, code

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def get(self, name):
        """A header of the answer."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def curl(url, *arguments, seconds=20, data=None):
    """Runs curl and takes its output apart."""
    command = ["curl", "-sS", "--path-as-is", "-m", str(seconds), "-D", "/dev/stderr", *arguments, url]
    done = subprocess.run(command, capture_output=True, check=False, input=data)
    heads = done.stderr.decode("latin1").replace("\r\n", "\n").split("\n\n")
    heads = [head for head in heads if head.startswith("HTTP/")]
    head = heads[-1].splitlines() if heads else ["HTTP/1.1 0"]
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in head[1:] if ":" in line]
    return Answer(int(head[0].split()[1]), headers, done.stdout, done.returncode)


def raw(address, request, seconds=15):
    """Sends bytes and reads until the peer closes or says nothing more for a while."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), seconds) as connection:
        connection.sendall(request)
        connection.settimeout(seconds)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionResetError):
            pass
    return received
