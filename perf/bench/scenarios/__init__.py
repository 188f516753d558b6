"""One module per scenario: `NAME`, `ROWS` of the goals' table, `HELP`, and `run(lab, options)`, which returns a `Result`."""

import importlib

NAMES = [
    "smoke", "queries", "tunnel", "bulk", "audit", "fairness", "idle", "logins", "links", "backends", "syscalls", "latency",
    "policy", "search", "http", "runtimes", "matcher", "scaling", "instructions", "soak",
]


def find(name):
    """The module of a scenario."""
    return importlib.import_module(f"bench.scenarios.{name}")
