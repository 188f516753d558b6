"""Row 1: small queries, inspected, judged and recorded, against proxies that do none or less of it."""

from ..common import direct, ours, query_figures, servers, settle, third_parties, warm
from ..result import Result, rounds

NAME = "queries"
ROWS = [1]
HELP = "small prepared queries at 16 and 100 clients, direct mode, statement audit and redaction on: CPU per query"
DEFAULTS = {"clients": [16, 100]}
PEERS = ["haproxy", "nginx 64 KiB", "pgbouncer"]


def run(lab, options):
    result = Result(NAME, ROWS)
    for server, port in servers(lab, options).items():
        peers = [direct(port), *third_parties(lab, options, PEERS, port)]
        peers += ours(lab, options, port, {"Sluice direct": {}})[1]
        result.does |= {peer.name: peer.does for peer in peers}
        for clients in options.clients:
            compare(lab, result, options, server, peers, clients)
    return result


def compare(lab, result, options, server, peers, clients):
    case = f"{server} server, {clients} clients"
    warm(lab, peers, clients)

    def measure(peer):
        settle()
        result.add(case, peer.name, **query_figures(lab, peer, clients, options.seconds))

    rounds(options, peers, measure)
    place = lambda peer: (case, peer, "cpu_us_per_query")
    limit = 0.85 if clients < 64 else 0.75
    result.goal(1, f"CPU per query, Sluice direct : pgbouncer, {case}", place("Sluice direct"), place("pgbouncer"), "<=", limit)
