"""Row 12: from a policy edit to its enforcement on every core, with ten thousand connections and five thousand users."""

import json
import time
import urllib.request

from ..common import settle
from ..policy import connection, policy
from ..result import Result

NAME = "policy"
ROWS = [12]
HELP = "from an edit of one connection to its enforcement on every core, snapshot of 10,000 connections and 5,000 users"
DEFAULTS = {"rounds": 1, "clients": [10_000]}
QUICK = {"clients": [200]}
EDITS = 60
POLL_SECONDS = 0.002
READ_ONLY = ("id", "managed_by", "created_at", "updated_at", "agents")


def run(lab, options):
    result = Result(NAME, ROWS)
    port = lab.replayed()
    connections = options.clients[0]
    users = connections // 2
    extra = "".join(f'[[user]]\nname = "user{index}"\ngroups = ["engineering"]\n' for index in range(users))
    text = policy(*(connection(f"c{index}", port) for index in range(connections)), extra=extra)
    begun = time.monotonic()
    sluice = lab.sluice(text, backend=None if options.backend == "auto" else options.backend)
    result.facts["start with this policy, s"] = round(time.monotonic() - begun, 1)
    target = lab.ours(sluice, "c0")
    case = f"{connections} connections, {users} users"
    calm = lab.load("queries", target, "--clients", 16, "--rate", 1000, "--seconds", 2)
    edits = []
    with lab.background("queries", target, "--clients", 16, "--rate", 1000, "--seconds", max(5, EDITS * 0.3), ready=False) as load:
        settle(0.5)
        edit_until(load, sluice, edits)
        out, errors = load.communicate(timeout=300)
    if load.returncode != 0:
        raise RuntimeError(f"sessions were disturbed: {errors[-500:]}")
    if not edits:
        raise RuntimeError("no edit was made while the load ran")
    edits.sort()
    at = lambda share: edits[min(len(edits) - 1, int(len(edits) * share))] * 1000
    result.add(case, "edit to enforced", edits=len(edits), p50_ms=at(0.5), p99_ms=at(0.99), max_ms=edits[-1] * 1000)
    result.add(case, "sessions without edits", p99_us=calm["latency_us"]["p99"], failed=0)
    result.add(case, "sessions during edits", p99_us=json.loads(out)["latency_us"]["p99"], failed=0)
    result.goal(12, "p99 ms from edit to enforced on every core", (case, "edit to enforced", "p99_ms"), None, "<=", 100)
    result.notes.append("the clock starts when the edit is sent and stops when the metrics page shows the new generation on every core")
    return result


def edit_until(load, sluice, edits):
    """Edits one connection again and again while the load runs."""
    # The connection is the policy file's, so an edit by hand has to be insisted on.
    url = sluice.addresses["api"] + "/api/connections/c1?force=true"
    headers = {"Authorization": f"Bearer {sluice.cli_env['SLUICE_TOKEN']}", "Content-Type": "application/json"}
    call = lambda method, body=None: json.load(
        urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers, data=json.dumps(body).encode() if body else None), timeout=30)
    )
    body = {field: value for field, value in call("GET").items() if field not in READ_ONLY and value is not None}
    generation = lambda: min(int(line.split()[1]) for line in sluice.metrics().splitlines() if line.startswith("sluice_policy_generation{"))
    for index in range(EDITS):
        if load.poll() is not None:
            return
        before = generation()
        body["record"] = "meta" if index % 2 == 0 else "statements"
        begun = time.monotonic()
        call("PUT", body)
        while generation() <= before:
            if time.monotonic() - begun > 30:
                raise RuntimeError("an edit was not enforced within 30 s")
            time.sleep(POLL_SECONDS)
        edits.append(time.monotonic() - begun)
        time.sleep(0.05)
