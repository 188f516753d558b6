"""Row 2: small queries through both of our programs, against a tunnel that looks at nothing."""

from ..common import direct, ours, query_figures, servers, settle, third_parties, warm
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
    result.goal(2, f"CPU per query, Sluice through agent : rathole, {case}", place("Sluice through agent"), place("rathole"), "<=", 0.6)
