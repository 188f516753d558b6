"""Instruction counts of the hot path under callgrind, held against a committed baseline: +5 % fails."""

import json
import os
import re
import subprocess

from ..lab import ROOT, Missing, build_apart, need
from ..result import Result, commit

NAME = "instructions"
ROWS = []
HELP = "instructions of framer, inspector, session, HTTP/2 frames and matcher under callgrind; fails on +5 % (--update for a new baseline)"
DEFAULTS = {"rounds": 1}
BASELINE = os.path.join(ROOT, "perf", "instructions.json")
ALLOWED = 1.05
# Enough that what the loop itself costs does not show; callgrind is about fifty times slower than the machine.
RUNS = {"scan": 20, "session": 20, "codecs": 50, "tunnel": 200}


def run(_, options):
    result = Result(NAME, ROWS)
    try:
        need("valgrind", "valgrind")
    except Missing as missing:
        raise Missing(f"instructions were not counted: {missing}") from None
    program = build_apart("micro")
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split("\n")
    counts = {name: count(program, name) for name in names if name}
    about = {"toolchain": tool("rustc", "--version"), "valgrind": tool("valgrind", "--version"), "architecture": os.uname().machine}
    if options.update:
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump({**about, "commit": commit(), "instructions_per_run": counts}, file, indent=1)
            file.write("\n")
        print(f"wrote {BASELINE}", flush=True)
    if not os.path.exists(BASELINE):
        raise RuntimeError(f"there is no baseline: make one with --update and commit {os.path.relpath(BASELINE, ROOT)}")
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    if baseline["toolchain"] != about["toolchain"]:
        result.notes.append(f"the baseline is of {baseline['toolchain']}, this is {about['toolchain']}: make it anew with --update before judging")
    known = baseline["instructions_per_run"]
    grown = judge(result, known, counts)
    result.facts |= about | {"failed": grown}
    for name in grown:
        print(f"GREW {name}: {known.get(name, 0):,.0f} -> {counts.get(name, 0):,.0f} instructions per run", flush=True)
    return result


def judge(result, known, counts):
    """Notes every case; those that grew too much, are new without a baseline, or are gone."""
    grown = []
    for name in sorted({*known, *counts}):
        now, before = counts.get(name), known.get(name)
        if now is None or before is None:
            grown.append(name)
            continue
        result.add("instructions per run", name, now=now, baseline=before, ratio=now / before)
        result.goal("ratchet", f"instructions, {name}", ("instructions per run", name, "ratio"), None, "<=", ALLOWED)
        if now / before > ALLOWED:
            grown.append(name)
    return grown


def count(program, name):
    """Instructions of one run of a case."""
    runs = RUNS[name.split("/", maxsplit=1)[0]]
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*", program, name, str(runs)]
    # Fixed seeds of hash tables and a fixed environment keep the counts the same from run to run.
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(found.group(1)) == 0:
        raise RuntimeError(f"{name}: {done.stderr[-1000:]}")
    return round(int(found.group(1)) / runs)


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
