"""The benchmark harness judges by pairs, renders what it measured, and generates what it says."""

import base64
import hashlib
import hmac
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import types
import xml.dom.minidom

import pytest

PERF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "perf")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, PERF)
    try:
        yield types.SimpleNamespace(
            result=importlib.import_module("bench.result"), peers=importlib.import_module("bench.peers"), plot=importlib.import_module("bench.plot"),
            scenarios=importlib.import_module("bench.scenarios"), main=importlib.import_module("bench.main"),
        )
    finally:
        sys.path.remove(PERF)


def script(name):
    """A program without an ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(PERF, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def judged(bench, ours, theirs, compare, limit):
    result = bench.result.Result("test", [1])
    for mine, other in zip(ours, theirs):
        result.add("case", "ours", figure=mine)
        result.add("case", "theirs", figure=other)
    result.goal(1, "a goal", ("case", "ours", "figure"), ("case", "theirs", "figure"), compare, limit)
    return result.goals[0]


def test_goals_are_judged_by_pairs_of_one_round(bench):
    # The second round was slow for both: absolute figures overlap, the ratio of every round does not.
    goal = judged(bench, [8, 80, 8.2], [10, 100, 10], "<=", 0.85)
    assert goal["verdict"] == "reached" and goal["pairs"] == 3
    assert goal["median"] == pytest.approx(0.8)
    assert judged(bench, [9, 9, 9], [10, 10, 10], "<=", 0.85)["verdict"] == "not reached"
    assert judged(bench, [8, 9, 8], [10, 10, 10], "<=", 0.85)["verdict"] == "reached, range spans the goal"
    assert judged(bench, [], [], "<=", 0.85)["verdict"] == "not measured"


def test_rounds_alternate(bench):
    seen = []
    bench.result.rounds(types.SimpleNamespace(rounds=4), ["a", "b"], seen.append)
    assert "".join(seen) == "abbaabba"


def test_every_scenario_is_complete(bench):
    for name in bench.scenarios.NAMES:
        module = bench.scenarios.find(name)
        assert module.NAME == name and module.HELP and callable(module.run)
    measured = {row for name in bench.scenarios.NAMES for row in bench.scenarios.find(name).ROWS}
    assert measured == set(range(1, 17))


def test_stored_scram_keys_accept_the_proof_of_rfc_7677(bench):
    # The exchange of RFC 7677 section 3.
    salt, nonce = "W22ZaJ0SNY7soEsUEjb6gQ==", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    auth = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}"
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    stored = base64.b64decode(bench.peers.scram_secret("pencil", base64.b64decode(salt)).split("$")[2].split(":")[0])
    signature = hmac.digest(stored, auth.encode(), "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature))
    assert hashlib.sha256(client_key).digest() == stored


def test_plots_are_well_formed_and_escape_names(bench):
    text = bench.plot.bars("a < b", "µs", [("case & co", [("Sluice direct", 2.0, 1.0, 3.0), ("haproxy", 4.0, 4.0, 4.0)])])
    assert xml.dom.minidom.parseString(text).documentElement.tagName == "svg"


def test_the_page_is_rendered_from_results(bench, tmp_path):
    result = bench.result.Result("smoke", [1])
    result.add("16 clients", "pgbouncer", cpu_us_per_query=10.0)
    result.add("16 clients", "Sluice direct", cpu_us_per_query=8.0)
    result.goal(1, "ours : pgbouncer", ("16 clients", "Sluice direct", "cpu_us_per_query"), ("16 clients", "pgbouncer", "cpu_us_per_query"), "<=", 0.85)
    bench.result.save([result], types.SimpleNamespace(out=str(tmp_path), rounds=1))
    subprocess.run([sys.executable, os.path.join(PERF, "report"), str(tmp_path)], check=True, capture_output=True)
    page = (tmp_path / "README.md").read_text()
    assert "| 1 | ours : pgbouncer | 0.8 (0.8–0.8) | ≤ 0.85 | reached |" in page
    assert (tmp_path / "plots" / "smoke-cpu-us-per-query.svg").exists()
    assert "plots/smoke-cpu-us-per-query.svg" in page


def test_a_scenario_that_runs_again_replaces_its_run_of_the_day(bench, tmp_path):
    options = types.SimpleNamespace(out=str(tmp_path), rounds=1)
    for figure in (1.0, 2.0):
        result = bench.result.Result("smoke", [1])
        result.add("case", "peer", figure=figure)
        path = bench.result.save([result], options)
    bench.result.save([bench.result.Result("bulk", [3])], options)
    with open(path, encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    assert [run["scenario"] for run in runs] == ["smoke", "bulk"]
    assert runs[0]["cases"]["case"]["peer"]["figure"] == [2.0]


def test_instruction_counts_fail_on_growth_on_new_cases_and_on_lost_ones(bench):
    judge = bench.scenarios.find("instructions").judge
    known = {"a": 1000, "b": 1000, "gone": 5}
    grown = judge(bench.result.Result("instructions", []), known, {"a": 1050, "b": 1051, "new": 7})
    assert grown == ["b", "gone", "new"]


def test_corpora_are_distinct_and_valid():
    corpora = script("corpora")
    lines = b"".join(corpora.pieces("dense", 200_000)).decode().splitlines()
    assert len(set(lines)) == len(lines) > 500
    cells = lines[0].split("\t")
    digits = [int(digit) for digit in cells[10].replace(" ", "")]
    doubled = [digit * 2 - 9 * (digit > 4) if at % 2 == 0 else digit for at, digit in enumerate(digits)]
    assert sum(doubled) % 10 == 0
    moved = cells[12][4:] + cells[12][:4]
    assert int("".join(str(int(character, 36)) for character in moved)) % 97 == 1
    assert b"".join(corpora.pieces("rows", 10_000)) == b"".join(corpora.pieces("rows", 10_000))
