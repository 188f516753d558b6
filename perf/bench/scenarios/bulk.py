"""Rows 3, 4 and 5: large results of typed and of all-text rows, as SELECT and as COPY, redaction on and off."""

from ..common import bulk, direct, ours, servers, third_parties
from ..result import Result, rounds

NAME = "bulk"
ROWS = [3, 4, 5]
HELP = "large results (SELECT and COPY, typed and text rows): CPU s per GB and MB/s, redaction on and off"
PEERS = ["haproxy", "haproxy 64 KiB", "nginx 64 KiB", "pgbouncer", "pgbouncer 64 KiB", "rathole"]
ON, OFF, AGENT = "Sluice direct, redaction on", "Sluice direct, redaction off", "Sluice through agent, redaction on"
OURS = {ON: {}, OFF: {"redact": False}, AGENT: {"agent": True}}
# Results of this many megabytes in one measurement, so that ticks of CPU time do not show.
MEASURED_MB = 400


def run(lab, options):
    result = Result(NAME, ROWS)
    tables = [f"perf_{kind}_{size}" for kind in ("typed", "text") for size in options.megabytes]
    found = servers(lab, options, tables if options.server == "replayed" else [table for table in tables if int(table.split("_")[2]) <= 100])
    for server, port in found.items():
        peers = [direct(port), *third_parties(lab, options, PEERS, port), *ours(lab, options, port, OURS)[1]]
        result.does |= {peer.name: peer.does for peer in peers}
        if server == "replayed":
            check(lab, peers, result)
        for table in tables:
            if server == "real" and int(table.split("_")[2]) > 100:
                continue
            for shape, statement in (("SELECT", f"SELECT * FROM {table}"), ("COPY", f"COPY {table} TO STDOUT")):
                compare(lab, result, options, server, peers, table, shape, statement)
    return result


def check(lab, peers, result):
    """What comes out is looked at once, untimed: the same rows everywhere, and no address left where redaction is on."""
    rows = {}
    for peer in peers:
        for statement in ("SELECT * FROM perf_typed_1", "SELECT * FROM perf_text_1", "COPY perf_typed_1 TO STDOUT"):
            seen = lab.load("bulk", peer, "--statement", statement, "--verify")
            if rows.setdefault(statement, seen["rows"]) != seen["rows"]:
                raise RuntimeError(f"{peer.name}: {seen['rows']} rows of {statement}, not {rows[statement]}")
            masked = "redaction on" in peer.name
            if masked != (seen["addresses"] == 0):
                raise RuntimeError(f"{peer.name}: {seen['addresses']} addresses are left in {statement}")
    result.notes.append("every peer delivered all rows; addresses were left nowhere where redaction is on, and everywhere else")


def compare(lab, result, options, server, peers, table, shape, statement):
    kind, size = table.split("_")[1:]
    case = f"{server} server, {shape} {size} MB of {kind} rows"
    repeat = max(1, MEASURED_MB // int(size)) if options.rounds > 1 else 1
    for peer in peers:
        bulk(lab, peer, statement)
    rounds(options, peers, lambda peer: result.add(case, peer.name, **bulk(lab, peer, statement, repeat)))
    cpu, speed = (lambda peer: (case, peer, "cpu_s_per_gb")), (lambda peer: (case, peer, "mb_per_second"))
    if kind == "typed":
        result.goal(3, f"CPU per GB, redaction on : pgbouncer, {case}", cpu(ON), cpu("pgbouncer"), "<=", 0.30)
        result.goal(3, f"CPU per GB, redaction on : pgbouncer 64 KiB, {case}", cpu(ON), cpu("pgbouncer 64 KiB"), "<=", 1.2)
        for peer in ("haproxy 64 KiB", "pgbouncer 64 KiB"):
            result.goal(3, f"CPU per GB, redaction off : {peer}, {case}", cpu(OFF), cpu(peer), "<=", 0.9)
        result.goal(4, f"throughput, redaction on : haproxy 64 KiB, {case}", speed(ON), speed("haproxy 64 KiB"), ">=", 1.0)
        result.goal(4, f"throughput, redaction off : haproxy 64 KiB, {case}", speed(OFF), speed("haproxy 64 KiB"), ">=", 1.15)
    if shape == "SELECT":
        result.goal(5, f"throughput, redaction on : off, {case}", speed(ON), speed(OFF), ">=", 0.90 if kind == "typed" else 0.75)
