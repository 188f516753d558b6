"""The guides "PostgreSQL" and "backup and restore", word by word: their files and commands, on other paths and ports."""

import contextlib
import os
import re
import subprocess
import urllib.request

import pytest

from harness import store
from harness.postgres import Postgres
from harness.process import free_port, stop, wait_for_port
from harness.sluice import ROOT, target_dir


def blocks(guide):
    """Text by name of every block that has one, in a guide."""
    with open(os.path.join(ROOT, "docs", "guides", guide), encoding="utf-8") as file:
        return dict(re.findall(r"^```\w+ (\w+)\n(.*?)^```", file.read(), re.M | re.S))


class Followed:
    """Runs blocks of a guide with the paths and ports of a test in place of the guide's."""

    def __init__(self, guide, words, environment):
        self.blocks, self.words = blocks(guide), words
        self.env = {**os.environ, **environment, "PATH": f"{target_dir()}:{os.environ['PATH']}"}
        self.left = set(self.blocks)

    def text(self, name):
        text = self.blocks[name]
        self.left.discard(name)
        for word, value in sorted(self.words.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(word, value)
        return text

    def run(self, name, environment=None):
        done = subprocess.run(["sh", "-euc", self.text(name)], env={**self.env, **(environment or {})}, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def serving(self, command, port):
        """A control plane that a block, or a command, starts."""
        with subprocess.Popen(["sh", "-euc", f"exec {command}"], env=self.env, stdout=subprocess.DEVNULL) as process:
            try:
                wait_for_port(port, process=process)
                yield
            finally:
                stop(process)


def answers(port, token, path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def test_postgresql_and_several_control_planes(tmp_path):
    server = Postgres()
    try:
        ports = {port: str(free_port()) for port in ("8009", "8011", "8019", "8021")}
        words = {
            **ports,
            "127.0.0.1:5432": f"127.0.0.1:{server.port}",
            "/etc/sluice": str(tmp_path),
            "/var/lib": str(tmp_path),
        }
        follow = Followed("postgresql.md", words, {"PGHOST": server.root, "PGPORT": str(server.port)})
        follow.run("database")
        for name in ("first", "second"):
            # Both blocks of a name: the file comes first in the guide, and the command that reads it after it.
            with open(os.path.join(ROOT, "docs", "guides", "postgresql.md"), encoding="utf-8") as file:
                (toml,) = re.findall(rf"^```toml {name}\n(.*?)^```", file.read(), re.M | re.S)
            for word, value in sorted(words.items(), key=lambda pair: -len(pair[0])):
                toml = toml.replace(word, value)
            (tmp_path / f"{name}.toml").write_text(toml, encoding="utf-8")
        with follow.serving(follow.text("first"), int(ports["8009"])), follow.serving(follow.text("second"), int(ports["8019"])):
            assert read(tmp_path / "sluice-first" / "admin.token") == read(tmp_path / "sluice-second" / "admin.token")
            assert "alice" in follow.run("both")
        assert not follow.left, follow.left
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_backup_and_restore(tmp_path, kind):
    for folder in ("lib/sluice", "backups", "root"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/sluice").chmod(0o700)
    words = {"/var/lib": str(tmp_path / "lib"), "/var/backups": str(tmp_path / "backups"), "/root": str(tmp_path / "root")}
    port = free_port()
    environment = {"SLUICE_CONTROLPLANE_LISTEN_API": f"127.0.0.1:{port}", "SLUICE_CONTROLPLANE_LISTEN_CONTROL": "127.0.0.1:0"}
    fresh = lambda: {"SLUICE_CONTROLPLANE_DATABASE_URL": store.fresh_database()} if kind == "postgres" else {}
    follow = Followed("backup.md", words, {**environment, **fresh()})
    serve = lambda name: follow.serving(f"sluice-controlplane --data-dir {tmp_path}/lib/{name}", port)
    with serve("sluice"):
        token = read(tmp_path / "lib/sluice/admin.token")
        client = {"SLUICE_URL": f"http://127.0.0.1:{port}", "SLUICE_TOKEN": token}
        subprocess.run(["sluice", "users", "create", "alice"], env={**follow.env, **client}, check=True, capture_output=True)
        follow.run("backup")
        follow.run("key")
        subprocess.run(["sluice", "users", "create", "later"], env={**follow.env, **client}, check=True, capture_output=True)
        assert "0 broken" in follow.run("verify", client)
    follow.run("change")
    with serve("sluice"):
        assert "later" in answers(port, token, "/api/users"), "it starts with the new key"
    follow.env |= fresh()
    follow.run("restore")
    with serve("sluice-restored"):
        assert read(tmp_path / "lib/sluice-restored/admin.token") == token
        users = answers(port, token, "/api/users")
        assert "alice" in users and "later" not in users, "it is as it was at the backup"
    assert not follow.left, follow.left
