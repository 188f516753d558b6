"""Whether a difference between a run directly and one with redaction on is nothing but masked values."""

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


# What a mask of the same length may put in the place of a character: of a label, or a digit of a number.
PLACED = frozenset("[]*0_ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def stands_for(line, masked):
    """Whether a line is another one with masks over some of its characters."""
    if len(line) != len(masked):
        return False
    return all(one == other or other in PLACED for one, other in zip(line, masked))


def explains(direct, masked):
    """Whether the text of a test in a column with redaction differs from its text directly only where values are masked.

    A test of a driver fails with one error, which shows the value that it did not expect. Output of psql and of the isolation tester is
    compared line by line: each is the line that it stands for, but for masks.
    """
    if direct is None or "\n" not in direct.strip():
        return bool(MASK.search(masked or ""))
    before, after = direct.splitlines(), (masked or "").splitlines()
    return len(before) == len(after) and all(map(stands_for, before, after))
