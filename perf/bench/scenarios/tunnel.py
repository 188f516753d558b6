"""Row 2: small queries through both of our programs, against a tunnel that looks at nothing."""

from ..common import direct, ours, pgbench, servers, settle, third_parties, warm
from ..measure import Spent
from ..result import Result, rounds

NAME = "tunnel"
ROWS = [2]
HELP = "small prepared queries through the agent, both programs together, against rathole's two ends: CPU per query"
DEFAULTS = {"clients": [16, 100]}


def run(lab, options):
    result = Result(NAME, ROWS)
    for server, port in servers(lab, options).items():
        peers = [direct(port), *third_parties(lab, options, ["rathole"], port)]
        peers += ours(lab, options, port, {"Sluice through agent": {"agent": True}})[1]
        result.does |= {peer.name: peer.does for peer in peers}
        for clients in options.clients:
            compare(result, options, server, peers, clients)
    return result


def compare(result, options, server, peers, clients):
    case = f"{server} server, {clients} clients"
    warm(peers, clients)

    def measure(peer):
        settle()
        alone = {program: Spent([pid]) for program, pid in peer.programs.items()}
        for spent in alone.values():
            spent.__enter__()
        done = pgbench(peer, clients, options.seconds)
        queries = done["per_second"] * max(1, round(options.seconds))
        shares = {}
        for program, spent in alone.items():
            spent.__exit__()
            shares[f"{program}_us"] = spent.seconds * 1e6 / queries
        cpu = {"cpu_us_per_query": done["cpu_us_per_query"]} if peer.pids else {}
        result.add(case, peer.name, **cpu, per_second=done["per_second"], **shares)

    rounds(options, peers, measure)
    place = lambda peer: (case, peer, "cpu_us_per_query")
    result.goal(2, f"CPU per query, Sluice through agent : rathole, {case}", place("Sluice through agent"), place("rathole"), "<=", 0.6)
