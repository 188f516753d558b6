"""Row 7, and line 3 of issue 3: the matcher against the matchers of others, on the same corpora in the same run."""

import json
import os
import subprocess
import sys

from ..lab import ROOT, Missing, build_apart, cache_dir, need
from ..result import Result, rounds

NAME = "matcher"
ROWS = [7]
HELP = "one core: our matcher, Vectorscan, regex-automata, aho-corasick, Presidio on generated rows, dense rows, prose, JSON"
DEFAULTS = {"megabytes": [16]}
QUICK = {"megabytes": [1]}
CORPORA = ["rows", "dense", "prose", "json"]
GOALS = {"rows": 9000, "dense": 2200, "prose": 9000, "json": 9000}
PEERS = os.path.join(ROOT, "perf", "peers")
# Presidio takes seconds per megabyte: a piece is enough.
PRESIDIO_BYTES = 100_000
DOES = {
    "Sluice": "20-odd default detectors, exact spans, checksums; 64 KiB pieces",
    "Sluice, cell by cell": "the same, one call per piece with the cells of its rows apart, packing included",
    "Vectorscan, 24 patterns, ends only": "end offsets only, every possible end, no checksums: not enough to redact",
    "Vectorscan, 17 patterns, with starts": "start offsets on the set that compiles with them, no checksums",
    "regex-automata": "24 patterns in one meta engine, leftmost non-overlapping spans, no checksums",
    "aho-corasick": "20 literals only, no patterns: a bound, not a rival",
    "Presidio": "pattern recognizers only, with checksums and context; no language model",
}


def run(lab, options):
    result = Result(NAME, ROWS)
    size = options.megabytes[0]
    corpora = os.path.join(cache_dir("corpora"), f"{size}")
    if not os.path.exists(os.path.join(corpora, "done")):
        subprocess.run([sys.executable, os.path.join(ROOT, "perf", "corpora"), corpora, "--megabytes", str(size)], check=True)
        open(os.path.join(corpora, "done"), "w").close()
    engines = available(lab)
    result.does = {name: DOES[name] for name in engines}
    for corpus in CORPORA:
        path = os.path.join(corpora, f"{corpus}.txt")

        def measure(name):
            seen = engines[name](path)
            result.add(corpus, name, mb_per_second=seen["mb_per_second"], matches=seen["matches"])

        rounds(options, list(engines), measure)
        result.goal(7, f"MB/s on {corpus}", (corpus, "Sluice", "mb_per_second"), None, ">=", GOALS[corpus])
    spans = [name for name in engines if name in ("Vectorscan, 17 patterns, with starts", "regex-automata", "Presidio")]
    middle = lambda name: sorted(result.values(("rows", name, "mb_per_second")))[options.rounds // 2]
    if spans:
        best = max(spans, key=middle)
        result.goal(7, f"rows, ours : best peer that tells spans ({best})", ("rows", "Sluice", "mb_per_second"), ("rows", best, "mb_per_second"), ">=", 15)
    result.notes.append(f"corpora of {size} MB each by perf/corpora; speed is of CPU time of the thread; the sets of patterns are in perf/peers")
    return result


def available(lab):
    """Engines that run here; says which do not."""
    matchers = build_apart("matchers")
    full, trimmed = (os.path.join(PEERS, f"patterns-{name}.txt") for name in ("full", "trimmed"))
    found = {
        "Sluice": lambda path: call([matchers, "sluice", path, "10"]),
        "Sluice, cell by cell": lambda path: call([matchers, "sluice-cells", path, "10"]),
        "regex-automata": lambda path: call([matchers, "regex-automata", path, "1", full]),
        "aho-corasick": lambda path: call([matchers, "aho-corasick", path, "4"]),
    }
    try:
        vectorscan = build_vectorscan(lab)
        found["Vectorscan, 24 patterns, ends only"] = lambda path: call([vectorscan, full, path, "1", "end"])
        found["Vectorscan, 17 patterns, with starts"] = lambda path: call([vectorscan, trimmed, path, "1", "start"])
    except Missing as missing:
        print(f"without Vectorscan: {missing}", flush=True)
    try:
        python = install_presidio()
        found["Presidio"] = lambda path: call([python, os.path.join(PEERS, "presidio.py"), path, str(PRESIDIO_BYTES)])
    except Missing as missing:
        print(f"without Presidio: {missing}", flush=True)
    return found


def call(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout)


def build_vectorscan(lab):
    if not os.path.exists("/usr/include/hs/hs.h") and not installed("libvectorscan-dev"):
        raise Missing("run `apt-get install libvectorscan-dev` as root")
    need("cc", "gcc libc6-dev")
    program = os.path.join(lab.directory, "vectorscan")
    done = subprocess.run(["cc", "-O2", "-o", program, os.path.join(PEERS, "vectorscan.c"), "-lhs"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"it does not compile: {done.stderr[-300:]}")
    return program


def installed(package):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", package]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def install_presidio():
    """Into an environment of its own, in the cache."""
    where = cache_dir("presidio")
    python = os.path.join(where, "bin", "python")
    probe = [python, "-c", "import presidio_analyzer"]
    if os.path.exists(python) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return python
    print(f"installing presidio-analyzer into {where}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", where], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "-q", "presidio-analyzer"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        raise Missing(f"presidio-analyzer cannot be installed: {done.stderr.strip()[-300:]}")
    return python
