"""Whether a difference between a run directly and one with redaction on is nothing but masked values."""

import difflib
import os
import re

from harness.sluice import ROOT


def on_by_default():
    """Name of each detector that is on by default, and the label that stands for its values, from their catalogue."""
    with open(os.path.join(ROOT, "dataplane", "scan", "src", "detector.rs"), encoding="utf-8") as catalogue:
        found = re.findall(r'^    entry\(Detector::\w+, "(\w+)", "(\w+)", Standing::DefaultOn\),', catalogue.read(), re.M)
    assert found, "the catalogue of detectors is written differently now"
    return found


MASK = re.compile(r"\[(?:" + "|".join(label for _, label in on_by_default()) + r")(?:\]|\*)")


def explains(direct, masked):
    """Whether the text of a test in a column with redaction differs from its text directly only where values are masked.

    A test of a driver fails with one error, which names the value that it did not expect. Output of psql is compared line by line: each
    line that is new has a mask, and is otherwise the line that it stands for.
    """
    if direct is None or not direct.strip() or "\n" not in direct.strip():
        return bool(MASK.search(masked or ""))
    before, after = direct.splitlines(), masked.splitlines()
    changed = [op for op in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if op[0] != "equal"]
    if all(b - a == d - c and all(MASK.search(line) for line in after[c:d]) for _, a, b, c, d in changed):
        return bool(changed)
    return False
