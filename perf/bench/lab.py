"""Everything that a scenario starts: servers, peers, Sluice, load generators; all on free ports, all stopped at the end."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from harness.postgres import Postgres
from harness.process import as_user, descendants, free_port, stop, wait_for_port
from harness.sluice import Sluice

from . import peers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSWORD = "target-secret"
SERVER_SETTINGS = {"log_statement": "'none'", "shared_buffers": "'1GB'", "autovacuum": "off", "max_connections": "400"}
PGBENCH_SCALE = "10"


class Missing(Exception):
    """A scenario cannot run here; the text says what is missing."""


class Target:
    """Where a load generator logs in: a peer or a server, and the processes whose CPU counts."""

    def __init__(self, name, port, user="postgres", password="", database="bench", pids=(), does="", programs=None):
        self.name, self.port, self.user, self.password, self.database = name, port, user, password, database
        self.pids, self.does, self.programs = list(pids), does, programs or {}

    def arguments(self):
        """For `sluice-perf`."""
        found = ["--address", f"127.0.0.1:{self.port}", "--user", self.user, "--database", self.database]
        return [*found, "--password", self.password] if self.password else found

    def environment(self):
        """For libpq."""
        found = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.database, "PGSSLMODE": "disable"}
        return {**os.environ, **found, **({"PGPASSWORD": self.password} if self.password else {})}


class Lab:
    """Starts things and stops them again, newest first."""

    def __init__(self, options):
        self.options = options
        self.cleanup = contextlib.ExitStack()
        self.programs = options.bin_dir
        self.directory = tempfile.mkdtemp(prefix="sluice-perf-")
        os.chmod(self.directory, 0o755)
        # The first lines of an error say what happened; a trace would push them out of what is shown.
        os.environ["RUST_BACKTRACE"] = "0"
        self.cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        raise_open_files()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    @property
    def bin(self):
        """Where the programs are; builds them when a scenario asks for the first time."""
        self.programs = self.programs or build()
        return self.programs

    # Servers

    def replayed(self, password=PASSWORD, warm=(), threads=1):
        """A replayed PostgreSQL; its port."""
        command = [self.tool(), "server", "--threads", str(threads), *(part for table in warm for part in ("--warm", table))]
        if password:
            command += ["--password", password]
        process = self.start(command, stdout=subprocess.PIPE, text=True, cpus=self.options.load_cpus)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the replayed server did not start")
        return int(json.loads(line)["listening"].rsplit(":", 1)[1])

    def postgres(self, tables=()):
        """A real PostgreSQL with pgbench's tables and `perf_KIND_N` ones; trusts its local user `postgres`."""
        server = Postgres(settings=SERVER_SETTINGS)
        self.cleanup.callback(server.close)
        self.pin(server.process.pid, self.options.load_cpus)
        server.create_database("bench")
        subprocess.run(["pgbench", "-i", "-q", "-s", PGBENCH_SCALE, server.url("bench")], check=True, capture_output=True)
        for table in tables:
            self.fill(server, table)
        return server

    def fill(self, server, table):
        """A table of generated rows; its name says their kind and megabytes."""
        kind, megabytes = table.split("_")[1:]
        names = ["id", "token", "created", "amount", "active", "kind", "name", "city", "note", "contact"]
        types = ["int8", "uuid", "timestamptz", "numeric", "bool", "int4", "text", "text", "text", "text"]
        columns = ", ".join(f"{name} {kind_type if kind == 'typed' else 'text'}" for name, kind_type in zip(names, types))
        server.sql(f"CREATE TABLE {table} ({columns})", database="bench")
        rows = subprocess.Popen([self.tool(), "rows", "--megabytes", megabytes], stdout=subprocess.PIPE)
        load = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"COPY {table} FROM STDIN", server.url("bench")]
        subprocess.run(load, stdin=rows.stdout, check=True, capture_output=True)
        if rows.wait() != 0:
            raise RuntimeError("rows were not generated")
        server.sql(f"VACUUM (FREEZE, ANALYZE) {table}", database="bench")

    # Peers and Sluice

    def peer(self, name, routes, **settings):
        """A running peer with one listener per route, as `{route: Target}`. `routes` is `{name: port of the server}`."""
        return peers.start(self, name, routes, **settings)

    def sluice(self, policy, backend=None, cores="0", environment=None):
        """A running Sluice."""
        os.environ["SLUICE_DATAPLANE_CORES"] = cores
        found = Sluice(policy, profile="release", backend=backend, environment=environment, bin_dir=self.bin)
        self.cleanup.callback(found.close)
        for pid in found.pids().values():
            self.pin(pid, self.options.proxy_cpus)
        return found

    def ours(self, sluice, connection, name=None, agent=False, does="parses, judges, redacts, records"):
        """How a client reaches a connection; the CPU of the data plane counts, and that of the agent when it goes through it."""
        pids = sluice.pids()
        programs = {program: pids[program] for program in (["dataplane", "agent"] if agent else ["dataplane"])}
        return Target(name or connection, sluice.port, "alice", sluice.token("alice"), connection, programs.values(), does, programs)

    # Load

    def load(self, command, target, *arguments, check=True):
        """Runs a load generator to its end; what it printed last."""
        done = subprocess.run(
            self.pinned([self.tool(), command, *target.arguments(), *map(str, arguments)], self.options.load_cpus),
            capture_output=True, text=True, check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{command} on {target.name}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None

    @contextlib.contextmanager
    def background(self, command, target, *arguments, ready=True):
        """A load generator that runs until the `with` ends; yields its process, and its first line as `first`."""
        line = [self.tool(), command, *(target.arguments() if target else []), *map(str, arguments)]
        process = subprocess.Popen(
            self.pinned(line, self.options.load_cpus), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        process.first = None
        try:
            if ready:
                text = process.stdout.readline()
                if not text:
                    raise RuntimeError(f"{command}: {process.stderr.read()[-2000:]}")
                process.first = json.loads(text)
            yield process
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
            stop(process)

    # Processes

    def no_uring(self):
        """Why the data plane cannot use io_uring here; `None` when it can."""
        probe = subprocess.run([os.path.join(self.bin, "sluice-dataplane"), "--probe", "--json"], capture_output=True, text=True, check=False)
        found = json.loads(probe.stdout)
        return None if found.get("uring") else found.get("reason", "no reason given")

    def backend(self):
        """The back end that our data plane takes under these options; nothing when no program was needed."""
        if self.programs is None:
            return "none"
        chosen = self.options.backend
        return ("epoll" if self.no_uring() else "uring") if chosen == "auto" else chosen

    def tool(self):
        """Path of `sluice-perf`."""
        return os.path.join(self.bin, "sluice-perf")

    def start(self, command, user=None, cpus=None, **settings):
        """Starts a process that ends with the lab."""
        command = self.pinned(as_user(user, command) if user else command, cpus)
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        log = tempfile.TemporaryFile(mode="w+", dir=self.directory)
        process = subprocess.Popen(command, env=environment, **{"stdout": log, "stderr": log, **settings})
        process.log = log
        self.cleanup.callback(stop, process)
        return process

    @staticmethod
    def pinned(command, cpus):
        """The command on a set of CPUs."""
        return ["taskset", "-c", cpus, *command] if cpus else command

    @staticmethod
    def pin(pid, cpus):
        """Moves a running process, its children and all their threads to a set of CPUs."""
        if cpus:
            for each in descendants(pid):
                subprocess.run(["taskset", "-a", "-p", "-c", cpus, str(each)], check=True, stdout=subprocess.DEVNULL)

    def wait(self, port, process):
        """Waits until a process listens; tells what it said when it does not."""
        try:
            wait_for_port(port, process=process)
        except (RuntimeError, TimeoutError) as error:
            process.log.seek(0)
            raise RuntimeError(f"{error}: {process.log.read()[-1000:].strip()}") from None

    port = staticmethod(free_port)
    descendants = staticmethod(descendants)


def build():
    """Builds the programs and the load generators; where they are."""
    print("building (release)", flush=True)
    packages = ["dataplane", "agent", "controlplane", "cli", "perf"]
    subprocess.run(["cargo", "build", "--release", "--locked", *(part for name in packages for part in ("-p", name))], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")


def build_apart(name):
    """Builds a crate of `perf/` that is a workspace of its own; path of its program, which has the crate's name."""
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), name)
    # Not --locked: some depend on our own crates, and a new dependency of those is no reason to measure nothing.
    command = ["cargo", "build", "--release"]
    subprocess.run(command, cwd=os.path.join(ROOT, "perf", name), check=True, env={**os.environ, "CARGO_TARGET_DIR": target})
    return os.path.join(target, "release", name)


def need(program, package):
    """Installs a Debian package when its program is missing."""
    if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        print(f"installing {package}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "-qq", *package.split()]
        if shutil.which("apt-get") is None or subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            raise Missing(f"{program} is missing: run `apt-get install {package}` as root")


def cache_dir(name):
    """Where what is built once is kept, outside of the repository."""
    base = os.environ.get("SLUICE_PERF_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "sluice-perf")
    path = os.path.join(base, name)
    os.makedirs(path, exist_ok=True)
    return path


def raise_open_files():
    """Nine thousand sessions need descriptors on both sides of every proxy."""
    wanted = 200_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, wanted), max(hard, wanted)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 20_000:
        print(f"warning: at most {hard} open files; scenarios with many sessions will fail", file=sys.stderr)


def settle(seconds=0.2):
    """Lets what the last load left end."""
    time.sleep(seconds)
