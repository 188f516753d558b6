"""A Sluice of its own: `sluice up` on free ports with a data directory that goes away."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

from . import store
from .process import descendants, stop

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def target_dir(profile="debug"):
    """Where cargo puts the binaries of a profile."""
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), profile)


class Sluice:
    """Started by the constructor with a policy (TOML text), stopped and removed by `close`."""

    def __init__(self, policy, backend=None, profile="debug", environment=None, data_dir=None, bin_dir=None, sqlite=False):
        # `sqlite`: the test looks into the control plane's file.
        self.bin = bin_dir or target_dir(profile)
        self.owns_dir = data_dir is None
        self.dir = data_dir or tempfile.mkdtemp(prefix="sluice-up-")
        self.policy_path = os.path.join(self.dir, "policy.toml")
        self.env = {
            **os.environ,
            "SLUICE_CONTROLPLANE_LISTEN_API": "127.0.0.1:0",
            "SLUICE_CONTROLPLANE_LISTEN_CONTROL": "127.0.0.1:0",
            "SLUICE_DATAPLANE_LISTEN_POSTGRES": "127.0.0.1:0",
            "SLUICE_DATAPLANE_LISTEN_HTTP": "127.0.0.1:0",
            "SLUICE_DATAPLANE_LISTEN_LINKS": "127.0.0.1:0",
            "SLUICE_DATAPLANE_LISTEN_METRICS": "127.0.0.1:0",
            "SLUICE_DATAPLANE_DRAIN_TIMEOUT_SECONDS": "2",
            **({"SLUICE_DATAPLANE_BACKEND": backend} if backend else {}),
            **({} if sqlite else store.environment()),
            **(environment or {}),
        }
        self.tokens = {}
        self._write_policy(policy)
        self._start()

    def _start(self):
        self.log_path = os.path.join(self.dir, "up.log")
        command = [os.path.join(self.bin, "sluice"), "up", "--data-dir", self.dir, "--policy", self.policy_path]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.env, text=True)
        ready = threading.Event()

        def watch():
            for line in self.process.stdout:
                if line.strip() == "ready":
                    ready.set()

        threading.Thread(target=watch, daemon=True).start()
        deadline = time.monotonic() + 60
        while not ready.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sluice up is not ready:\n{self.log()[-4000:]}")
        with open(os.path.join(self.dir, "addresses.json"), encoding="utf-8") as addresses:
            self.addresses = json.load(addresses)
        with open(os.path.join(self.dir, "admin.token"), encoding="utf-8") as token:
            self.cli_env = {**os.environ, "SLUICE_URL": self.addresses["api"], "SLUICE_TOKEN": token.read().strip()}

    def _write_policy(self, policy):
        with open(self.policy_path, "w", encoding="utf-8") as file:
            file.write(policy)

    def cli(self, *arguments, check=True, **options):
        """Runs `sluice …` as the administrator."""
        command = [os.path.join(self.bin, "sluice"), *arguments]
        done = subprocess.run(command, env=self.cli_env, capture_output=True, text=True, check=False, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments):
        """What `sluice … --json` prints."""
        return json.loads(self.cli(*arguments, "--json").stdout)

    def apply(self, policy):
        """Applies a policy and waits until the data plane enforces it."""
        self._write_policy(policy)
        applied = self.json("apply", "-f", self.policy_path)
        self.wait_enforced(applied["generation"])
        return applied

    def wait_enforced(self, generation, seconds=10):
        """Waits until every core of the data plane has a generation in force."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.metrics()
            found = [int(line.split()[1]) for line in text.splitlines() if line.startswith("sluice_policy_generation{")]
            if found and min(found) >= generation:
                return
            time.sleep(0.01)
        raise TimeoutError(f"generation {generation} is not enforced: {found}")

    def metrics(self):
        """The data plane's metrics text."""
        import urllib.request

        with urllib.request.urlopen(f"http://{self.addresses['metrics']}/metrics", timeout=5) as response:
            return response.read().decode()

    def token(self, user):
        """An access token of the user, made once."""
        if user not in self.tokens:
            made = self.json("token", "create", "--user", user)
            self.tokens[user] = made["token"]
            if "generation" in made:
                self.wait_enforced(made["generation"])
        return self.tokens[user]

    @property
    def port(self):
        """Port for stock PostgreSQL clients."""
        return int(self.addresses["postgres"].rsplit(":", 1)[1])

    def url(self, connection, user="alice", extra=""):
        """Connection string through the gateway."""
        return f"host=127.0.0.1 port={self.port} user={user} dbname={connection} password={self.token(user)} {extra}".strip()

    def pids(self):
        """Process ids by program: controlplane, dataplane, agent."""
        found = {}
        for pid, name in descendants(self.process.pid).items():
            if name.startswith("sluice-"):
                # The kernel cuts command names at 15 characters.
                full = next(each for each in ("controlplane", "dataplane", "agent") if f"sluice-{each}".startswith(name))
                found[full] = pid
        return found

    def sessions(self, **filters):
        """Sessions as `sluice sessions list` shows them, newest first."""
        arguments = [part for key, value in filters.items() for part in (f"--{key}", str(value))]
        listed = self.json("sessions", "list", *arguments)
        return listed["items"] if isinstance(listed, dict) else listed

    def session(self, id):
        """One session with its statements."""
        return self.json("sessions", "show", id)

    def session_when(self, id, ready):
        """One session, as soon as the record has what `ready` asks for: it gets to the control plane a moment later."""
        deadline = time.monotonic() + 20
        while True:
            try:
                found = self.session(id)
            except RuntimeError:
                found = None
            if found is not None and ready(found):
                return found
            assert time.monotonic() < deadline, f"the record of session {id} is not complete: {found}"
            time.sleep(0.05)

    def log(self):
        """What the three programs have logged."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def close(self):
        """Stops everything and removes the data directory."""
        code = stop(self.process, 30)
        if self.owns_dir:
            shutil.rmtree(self.dir, ignore_errors=True)
        return code
