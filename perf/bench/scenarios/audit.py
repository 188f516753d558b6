"""Row 6: what the record of every statement costs."""

from ..common import bulk, direct, ours, query_figures, servers, settle, warm
from ..result import Result, rounds

NAME = "audit"
ROWS = [6]
HELP = "statement audit on and off (record = statements, meta): queries per second and MB/s"
DEFAULTS = {"clients": [16]}
ON, OFF = "audit on", "audit off"


def run(lab, options):
    result = Result(NAME, ROWS)
    for server, port in servers(lab, options, ["perf_typed_100"]).items():
        both = ours(lab, options, port, {ON: {}, OFF: {"record": "meta"}})[1]
        peers = [direct(port), *both]
        result.does |= {peer.name: peer.does for peer in peers}
        for clients in options.clients:
            queries(lab, result, options, server, peers, clients)
        case = f"{server} server, SELECT 100 MB of typed rows"
        for peer in peers:
            bulk(lab, peer, "SELECT * FROM perf_typed_100")
        rounds(options, peers, lambda peer: result.add(case, peer.name, **bulk(lab, peer, "SELECT * FROM perf_typed_100", 4)))
        speed = lambda peer: (case, peer, "mb_per_second")
        result.goal(6, f"throughput, audit on : off, {case}", speed(ON), speed(OFF), ">=", 0.95)
    return result


def queries(lab, result, options, server, peers, clients):
    case = f"{server} server, small queries, {clients} clients"
    warm(lab, peers, clients)

    def measure(peer):
        settle()
        result.add(case, peer.name, **query_figures(lab, peer, clients, options.seconds))

    rounds(options, peers, measure)
    speed = lambda peer: (case, peer, "per_second")
    result.goal(6, f"throughput, audit on : off, {case}", speed(ON), speed(OFF), ">=", 0.95)
