"""Row 10: new sessions, one after another in sixteen workers: connect, prove by SCRAM, be ready, leave."""

from ..common import direct, ours, servers, settle
from .. import peers as third
from ..common import wanted
from ..lab import PASSWORD
from ..measure import Spent
from ..result import Result, rounds

NAME = "logins"
ROWS = [10]
HELP = "SCRAM logins, 16 workers: CPU per login and logins per second, against pgbouncer with stored keys and warm server sessions"
DEFAULTS = {"clients": [16]}
PEERS = ["haproxy", "pgbouncer", "rathole"]
WARM = 20


def run(lab, options):
    result = Result(NAME, ROWS)
    for server, port in servers(lab, options, password=PASSWORD).items():
        peers = [direct(port)]
        if server == "real":
            # The real server asks everybody for a proof in this scenario; its own superuser is trusted.
            peers[0].user, peers[0].password = "scram_user", PASSWORD
        for name in third.available(wanted(options, PEERS)):
            users = {peers[0].user: PASSWORD} if name == "pgbouncer" else None
            target = lab.peer(name, {"bench": port}, users=users, warm=WARM, server_password=PASSWORD)["bench"]
            target.user, target.password = peers[0].user, PASSWORD
            peers.append(target)
        peers += ours(lab, options, port, {"Sluice direct": {"user": peers[0].user}, "Sluice through agent": {"agent": True, "user": peers[0].user}})[1]
        result.does |= {peer.name: peer.does for peer in peers}
        compare(lab, result, options, server, peers)
    result.notes.append(
        "pgbouncer keeps 20 sessions at the server warm and gives a login none of them before its first query; every other row opens a session at the server for every login"
    )
    return result


def compare(lab, result, options, server, peers):
    case = f"{server} server, {options.clients[0]} workers"
    for peer in peers:
        lab.load("logins", peer, "--workers", 2, "--seconds", 0.5)

    def measure(peer):
        settle(0.5)
        with Spent(peer.pids) as spent:
            done = lab.load("logins", peer, "--workers", options.clients[0], "--seconds", options.seconds)
        if done["failed"]:
            raise RuntimeError(f"{peer.name}: {done['failed']} logins failed: {done['failure']}")
        cpu = {"cpu_us_per_login": spent.seconds * 1e6 / done["logins"]} if peer.pids else {}
        result.add(case, peer.name, **cpu, per_second=done["per_second"], p99_us=done["latency_us"]["p99"])

    rounds(options, peers, measure)
    if server == "replayed":
        for metric, compare_as in (("cpu_us_per_login", "<="), ("per_second", ">=")):
            place = lambda peer: (case, peer, metric)
            what = "CPU per login" if compare_as == "<=" else "logins per second"
            result.goal(10, f"{what}, Sluice direct : pgbouncer, {case}", place("Sluice direct"), place("pgbouncer"), compare_as, 1.0)
