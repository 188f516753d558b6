"""Row 14: what one hop adds to one client's query at half load."""

from ..common import direct, ours, servers, settle, small_queries, third_parties
from ..result import Result, number, rounds

NAME = "latency"
ROWS = [14]
HELP = "one client at half of the slowest peer's rate: p50, p99, p99.9 from schedule, and what each hop adds to direct"
DEFAULTS = {"server": "replayed"}
PEERS = ["haproxy", "nginx 64 KiB", "pgbouncer", "rathole"]
LIMITS = {"Sluice direct": 20, "Sluice through agent": 55}


def run(lab, options):
    result = Result(NAME, ROWS)
    for server, port in servers(lab, options).items():
        peers = [direct(port), *third_parties(lab, options, PEERS, port)]
        peers += ours(lab, options, port, {"Sluice direct": {}, "Sluice through agent": {"agent": True}})[1]
        result.does |= {peer.name: peer.does for peer in peers}
        most = {peer.name: small_queries(lab, peer, 1, min(options.seconds, 2))["per_second"] for peer in peers}
        rate = min(most.values()) / 2
        result.facts[f"{server}: most queries/s of one client"] = {name: round(value) for name, value in most.items()}
        case = f"{server} server, one client"
        result.notes.append(f"{case}: {number(rate)} queries/s, half of what the slowest peer can")
        baseline = {}

        def measure(peer):
            settle()
            seen = small_queries(lab, peer, 1, options.seconds, rate)["latency_us"]
            baseline.setdefault(peer.name, []).append(seen["p50"])
            result.add(case, peer.name, p50_us=seen["p50"], p99_us=seen["p99"], p99_9_us=seen["p99_9"])

        rounds(options, peers, measure)
        for name, values in baseline.items():
            if name != "direct":
                for value, base in zip(values, baseline["direct"]):
                    result.cases[case][name].setdefault("added_p50_us", []).append(value - base)
        for name, limit in LIMITS.items():
            result.goal(14, f"µs added to p50, {name}, {case}", (case, name, "added_p50_us"), None, "<=", limit)
    return result
