"""A scenario's outcome: every round of every figure, the goals judged by pairs of the same round, and the file they are kept in."""

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

from .lab import ROOT

RESULTS = os.path.join(ROOT, "bench-results")
COMPARE = {"<=": lambda value, limit: value <= limit, ">=": lambda value, limit: value >= limit, "<": lambda value, limit: value < limit}


class Result:
    """Figures by case, peer and metric; each is a list with one value per round."""

    def __init__(self, scenario, rows):
        self.scenario, self.rows = scenario, rows
        self.cases, self.does, self.goals, self.notes, self.facts = {}, {}, [], [], {}
        self.backend = "not noted"
        self.started = datetime.datetime.now(datetime.timezone.utc)

    def add(self, case, peer, **metrics):
        """One round's figures of one peer."""
        figures = self.cases.setdefault(case, {}).setdefault(peer, {})
        for metric, value in metrics.items():
            figures.setdefault(metric, []).append(value)
        shown = ", ".join(f"{metric} {number(value)}" for metric, value in metrics.items())
        print(f"  {case} | {peer}: {shown}", flush=True)

    def values(self, place):
        """All rounds of `(case, peer, metric)`; empty when it was not measured."""
        case, peer, metric = place
        return self.cases.get(case, {}).get(peer, {}).get(metric, [])

    def goal(self, row, text, ours, theirs, compare, limit):
        """Judges the ratio of two figures, round by round; without `theirs` the figure itself."""
        mine = self.values(ours)
        others = self.values(theirs) if theirs else [1.0] * len(mine)
        pairs = [a / b for a, b in zip(mine, others) if b]
        goal = {"row": row, "text": text, "ours": ours, "theirs": theirs, "compare": compare, "limit": limit}
        if not pairs:
            goal["verdict"] = "not measured"
        else:
            middle = statistics.median(pairs)
            met = COMPARE[compare](middle, limit)
            all_same = all(COMPARE[compare](value, limit) == met for value in pairs)
            goal |= {"median": middle, "min": min(pairs), "max": max(pairs), "pairs": len(pairs)}
            goal["verdict"] = ("reached" if met else "not reached") + ("" if all_same else ", range spans the goal")
        self.goals.append(goal)

    def to_json(self, options):
        spent = datetime.datetime.now(datetime.timezone.utc) - self.started
        return {
            "scenario": self.scenario, "rows": self.rows, "commit": commit(), "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(spent.total_seconds()), "command": f"perf/run {self.scenario}{shown_options()}", "rounds": options.rounds, "machine": {**machine(), "backend": self.backend},
            "cases": self.cases, "does": self.does, "goals": self.goals, "facts": self.facts, "notes": self.notes,
        }

    def print(self):
        """Tables of medians and ranges, then the goals."""
        for case, by_peer in self.cases.items():
            print(f"\n{self.scenario}: {case}")
            metrics = list(dict.fromkeys(metric for figures in by_peer.values() for metric in figures))
            print(f"  {'':<28}" + "".join(f"{metric:>30}" for metric in metrics))
            for peer, figures in by_peer.items():
                cells = [spread(figures[metric]) if metric in figures else "-" for metric in metrics]
                print(f"  {peer:<28}" + "".join(f"{cell:>30}" for cell in cells))
        for goal in self.goals:
            if "median" in goal:
                figure = f"{goal['median']:.3f} ({goal['min']:.3f}–{goal['max']:.3f})"
                print(f"goal {goal['row']}: {goal['text']}: {figure} {goal['compare']} {goal['limit']}: {goal['verdict']}")
            else:
                print(f"goal {goal['row']}: {goal['text']}: {goal['verdict']}")
        for note in self.notes:
            print(f"note: {note}")


def shown_options():
    """What was asked for on the command line that changes what is measured: no names of scenarios, no places on this machine."""
    words, out = iter(sys.argv[1:]), []
    keep = False
    for word in words:
        if word.startswith("--"):
            keep = word not in ("--bin-dir", "--out", "--debug", "--no-save")
        if keep:
            out.append(word)
    return "".join(f" {word}" for word in out)


def rounds(options, peers, measure):
    """Measures every peer once per round, in alternating order (A B B A …)."""
    for index in range(options.rounds):
        print(f" round {index + 1} of {options.rounds}", flush=True)
        for peer in peers if index % 2 == 0 else peers[::-1]:
            measure(peer)


def spread(values):
    """Median (range)."""
    middle = statistics.median(values)
    if len(values) == 1:
        return number(middle)
    return f"{number(middle)} ({number(min(values))}–{number(max(values))})"


def number(value):
    """Three or four significant digits."""
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{2 if size >= 10 else 3}f}".rstrip("0").rstrip(".") if size >= 0.001 else f"{value:.2g}"


def commit():
    """The commit of the tree, marked when something is changed."""
    run = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return run("rev-parse", "--short", "HEAD") + (" + changes" if run("status", "--porcelain", "--untracked-files=no") else "")


def machine():
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        info = file.read()
    field = lambda name: next(iter(re.findall(rf"^{name}\s*: (.*)$", info, re.MULTILINE)), "unknown")
    flags = field("flags").split()
    vector = next((level for level, flag in (("avx512", "avx512vbmi"), ("avx2", "avx2")) if flag in flags), "scalar")
    return {
        "kernel": platform.release(), "cpu": field("model name"), "family": f"family {field('cpu family')} model {field('model')}",
        "cores": os.cpu_count(), "vector": vector, "virtual": "hypervisor" in flags,
        "load_before": round(os.getloadavg()[0], 2),
    }


def save(results, options):
    """Adds the results to today's file of this machine; returns its path."""
    about = machine()
    name = re.sub(r"[^a-z0-9]+", "-", f"{about['cpu']} {about['cores']} cores".lower()).strip("-")
    directory = options.out or RESULTS
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"{datetime.date.today()}-{name}.json")
    kept = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)["runs"]
    # A scenario that was run again on the same day replaces its earlier run.
    again = {result.scenario for result in results}
    kept = [run for run in kept if run["scenario"] not in again]
    runs = kept + [result.to_json(options) for result in results]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"runs": runs}, file, indent=1, ensure_ascii=False)
        file.write("\n")
    return path
