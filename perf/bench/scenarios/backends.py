"""Row 11: our two back ends, on the same load."""

from ..common import bulk, ours, query_figures, servers, settle, warm
from ..lab import Missing
from ..result import Result, rounds

NAME = "backends"
ROWS = [11]
HELP = "io_uring back end against our epoll back end: CPU per query at 1, 16, 64 and 100 clients, CPU per GB"
DEFAULTS = {"clients": [1, 16, 64, 100], "server": "replayed"}
STATEMENT = "SELECT * FROM perf_typed_100"


def run(lab, options):
    result = Result(NAME, ROWS)
    reason = lab.no_uring()
    if reason:
        raise Missing(f"io_uring cannot be used here: {reason}")
    for server, port in servers(lab, options, ["perf_typed_100"]).items():
        peers = []
        for backend in ("uring", "epoll"):
            options.backend = backend
            variants = {f"{backend} direct": {}, f"{backend} direct, redaction off": {"redact": False}, f"{backend} through agent": {"agent": True}}
            peers += ours(lab, options, port, variants)[1]
        result.does |= {peer.name: peer.does for peer in peers}
        for clients in options.clients:
            queries(lab, result, options, server, peers, clients)
        case = f"{server} server, SELECT 100 MB of typed rows"
        for peer in peers:
            bulk(lab, peer, STATEMENT)
        rounds(options, peers, lambda peer: result.add(case, peer.name, **bulk(lab, peer, STATEMENT, 4)))
        judge(result, case, "cpu_s_per_gb", "CPU per GB", 1.03)
    return result


def queries(lab, result, options, server, peers, clients):
    case = f"{server} server, {clients} clients"
    some = [peer for peer in peers if "redaction off" not in peer.name]
    warm(lab, some, clients)

    def measure(peer):
        settle()
        result.add(case, peer.name, **query_figures(lab, peer, clients, options.seconds))

    rounds(options, some, measure)
    judge(result, case, "cpu_us_per_query", "CPU per query", 0.85 if clients >= 64 else 1.03)


def judge(result, case, metric, what, limit):
    for way in ("direct", "direct, redaction off", "through agent"):
        if result.values((case, f"uring {way}", metric)):
            result.goal(11, f"{what}, uring : epoll, {way}, {case}", (case, f"uring {way}", metric), (case, f"epoll {way}", metric), "<=", limit)
