"""A control plane alone: the program with its own directory, no data plane and no agent."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from .process import free_port, stop
from .sluice import target_dir


class Plane:
    """Started by the constructor with variables, stopped and removed by `close`."""

    def __init__(self, policy="", **environment):
        self.dir = tempfile.mkdtemp(prefix="sluice-plane-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.bin = target_dir()
        self.env = {
            **os.environ, "SLUICE_CONTROLPLANE_LISTEN_API": f"127.0.0.1:{self.port}", "SLUICE_CONTROLPLANE_LISTEN_CONTROL": "127.0.0.1:0",
            "API_URL": self.url, **environment,
        }
        self.policy_path = os.path.join(self.dir, "policy.toml")
        with open(self.policy_path, "w", encoding="utf-8") as file:
            file.write(policy)
        self._start()

    def _start(self):
        self.log_path = os.path.join(self.dir, "log")
        command = [os.path.join(self.bin, "sluice-controlplane"), "--data-dir", os.path.join(self.dir, "data"), "--policy", self.policy_path]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.env, text=True)
        deadline = time.monotonic() + 60
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            assert time.monotonic() < deadline
        if self.process.poll() is not None:
            raise RuntimeError(f"the control plane is not ready:\n{self.log()[-4000:]}")
        with open(os.path.join(self.dir, "data", "admin.token"), encoding="utf-8") as token:
            self.admin = token.read().strip()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def call(self, method, path, token=None, body=None):
        """Status and JSON of one request; the administrator's without a token."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("authorization", f"Bearer {token or self.admin}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=20) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read().decode() or "null")

    def cli(self, *arguments, config_home, check=True, **options):
        """Runs `sluice …` with settings of its own and no token but what it has saved."""
        env = {**os.environ, "XDG_CONFIG_HOME": config_home, "SLUICE_URL": self.url, **options.pop("environment", {})}
        env.pop("SLUICE_TOKEN", None)
        done = subprocess.run([os.path.join(self.bin, "sluice"), *arguments], env=env, capture_output=True, text=True, check=False, timeout=60, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def close(self):
        stop(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)
