"""The peers: how each is installed, configured at its best documented settings, and started."""

import glob
import hashlib
import hmac
import base64
import os
import re
import resource
import shutil
import subprocess

PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")
RATHOLE_VERSION = "0.5.0"

# What each does with the bytes that pass, for the table beside the figures.
DOES = {
    "direct": "no proxy",
    "haproxy": "copies bytes, 16 KiB buffers",
    "haproxy 64 KiB": "copies bytes, 64 KiB buffers",
    "nginx 64 KiB": "copies bytes, 64 KiB buffers",
    "pgbouncer": "parses message headers, 4 KiB buffers; passwords; one server session per client session",
    "pgbouncer 64 KiB": "parses message headers, 64 KiB buffers; passwords; one server session per client session",
    "rathole": "copies bytes through a tunnel of two programs, plain TCP between them",
}


def install(name):
    """Makes sure that a peer can be started; raises `Missing`."""
    from .lab import Missing, cache_dir, need

    if name.startswith("haproxy"):
        need("haproxy", "haproxy")
    elif name.startswith("pgbouncer"):
        need("pgbouncer", "pgbouncer")
    elif name.startswith("nginx"):
        need("nginx", "nginx libnginx-mod-stream")
        if not glob.glob("/usr/lib/nginx/modules/ngx_stream_module.so"):
            raise Missing("nginx has no stream module: run `apt-get install libnginx-mod-stream` as root")
    elif name == "rathole" and not rathole():
        root = cache_dir("rathole")
        print(f"installing rathole {RATHOLE_VERSION} into {root}", flush=True)
        # Its lock file pins a `time` that compilers since 1.80 refuse, so that --locked cannot be asked for.
        command = ["cargo", "install", "rathole", "--version", RATHOLE_VERSION, "--root", root, "--no-default-features", "--features", "server,client"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "CARGO_TARGET_DIR": os.path.join(root, "target")})
        if done.returncode != 0:
            raise Missing(f"rathole cannot be built: {done.stderr.strip()[-300:]}")
        shutil.rmtree(os.path.join(root, "target"), ignore_errors=True)


def rathole():
    """Path of the program, if it is installed."""
    from .lab import cache_dir

    kept = os.path.join(cache_dir("rathole"), "bin", "rathole")
    return kept if os.path.exists(kept) else shutil.which("rathole")


def available(names):
    """Those of the names that can be started; says which cannot, and why."""
    from .lab import Missing

    found = []
    for name in names:
        try:
            install(name)
            found.append(name)
        except Missing as missing:
            print(f"without {name}: {missing}", flush=True)
    return found


def start(lab, name, routes, **settings):
    """Starts a peer; `{route: Target}`."""
    install(name)
    starter = {"haproxy": haproxy, "nginx": nginx, "pgbouncer": pgbouncer, "rathole": start_rathole}[name.split()[0]]
    return starter(lab, name, routes, **settings)


def haproxy(lab, name, routes, threads=1, **_):
    ports = {route: lab.port() for route in routes}
    buffers = "tune.bufsize 65536" if "64" in name else ""
    config = write(lab, name, "haproxy.cfg", routes, ports, THREADS=threads, BUFFERS=buffers)
    process = lab.start(["haproxy", "-db", "-f", config], user="postgres", cpus=lab.options.proxy_cpus)
    return targets(lab, name, ports, process)


def nginx(lab, name, routes, threads=1, **_):
    ports = {route: lab.port() for route in routes}
    directory = own_directory(lab, name)
    config = write(lab, name, "nginx.conf", routes, ports, THREADS=threads, DIR=directory, MODULES="/usr/lib/nginx/modules")
    process = lab.start(["nginx", "-p", directory, "-e", os.path.join(directory, "nginx.error.log"), "-c", config], user="postgres", cpus=lab.options.proxy_cpus)
    return targets(lab, name, ports, process)


def pgbouncer(lab, name, routes, threads=1, users=None, server_password="", warm=0, tls=None, **_):
    """One process per thread, sharing the port, as its manual says for more than one core."""
    port = lab.port()
    directory = own_directory(lab, name)
    with open(os.path.join(directory, "users.txt"), "w", encoding="utf-8") as file:
        file.writelines(f'"{user}" "{scram_secret(password)}"\n' for user, password in (users or {}).items())
    server = f"password={server_password}" if server_password else ""
    if warm:
        server += f" pool_size={warm} min_pool_size={warm}"
    tls_lines = f"client_tls_sslmode = allow\nclient_tls_key_file = {tls[0]}\nclient_tls_cert_file = {tls[1]}" if tls else ""
    values = {
        "LISTEN": port, "SERVER": server, "AUTH": "scram-sha-256" if users else "any", "DIR": directory,
        "PKTBUF": 65536 if "64" in name else 4096, "REUSEPORT": int(threads > 1), "TLS": tls_lines,
    }
    # A database is chosen by its name, so that one listener serves all routes.
    config = write(lab, name, "pgbouncer.ini", routes, {}, **values)
    processes = [lab.start(["pgbouncer", config], user="postgres", cpus=lab.options.proxy_cpus) for _ in range(threads)]
    found = targets(lab, name, {route: port for route in routes}, *processes)
    for route, target in found.items():
        target.database = route
        if users:
            target.user, target.password = next(iter(users.items()))
    return found


def start_rathole(lab, name, routes, **_):
    control, ports = lab.port(), {route: lab.port() for route in routes}
    server = write(lab, name, "rathole-server.toml", routes, ports, CONTROL=control)
    client = write(lab, name, "rathole-client.toml", routes, ports, CONTROL=control)
    programs = [lab.start([rathole(), config], cpus=lab.options.proxy_cpus) for config in (server, client)]
    found = targets(lab, name, ports, *programs)
    for target in found.values():
        wait_until_answered(target)
    return found


def targets(lab, name, ports, *processes):
    from .lab import Target

    for port in set(ports.values()):
        lab.wait(port, processes[0])
    pids = [pid for process in processes for pid in lab.descendants(process.pid)]
    return {route: Target(name, port, pids=pids, does=DOES[name]) for route, port in ports.items()}


def wait_until_answered(target):
    """rathole listens before its other end is there: waits until a server's first byte comes through."""
    import socket
    import struct
    import time

    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", target.port), 1) as probe:
                probe.settimeout(1)
                probe.sendall(struct.pack("!ii", 8, 80877103))
                if probe.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{target.name} does not reach its server")


def own_directory(lab, name):
    """A directory that the peer's user may write to."""
    import pwd

    path = os.path.join(lab.directory, re.sub(r"\W+", "-", name) + f"-{lab.port()}")
    os.makedirs(path)
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def write(lab, name, template, routes, ports, **values):
    """Fills a template of `perf/peers` in; lines between `#each` and `#end` are repeated for every route."""
    with open(os.path.join(PEERS, template), encoding="utf-8") as file:
        text = file.read()
    # Two sockets for a session, and some for the rest.
    sockets = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300
    values = {"CONNECTIONS": min(40_000, sockets // 2), "SOCKETS": min(80_000, sockets), **values}
    head, each, tail = re.split(r"^#each\n|^#end\n", text, flags=re.MULTILINE)
    for route, port in routes.items():
        head += fill(each, NAME=route, TARGET=port, **({"LISTEN": ports[route]} if ports else {}), **values)
    path = os.path.join(own_directory(lab, name), template)
    with open(path, "w", encoding="utf-8") as file:
        file.write(fill(head + tail, **values))
    return path


def fill(text, **values):
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def scram_secret(password, salt=b"replayed-server!", iterations=4096):
    """What PostgreSQL and pgbouncer store (RFC 5802 section 3); the salt is fixed, so that runs can be compared."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"
