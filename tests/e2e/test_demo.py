"""The README's first command: it shows what it promises and stops everything."""

import os
import subprocess

from harness.sluice import ROOT


def test_the_demo_shows_what_it_promises():
    done = subprocess.run([os.path.join(ROOT, "deploy", "demo"), "--once"], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for shown in ("[EMAIL]", "ada", "refused by", "DELETE"):
        assert shown.lower() in done.stdout.lower(), f"{shown} is not in:\n{done.stdout[-6000:]}"
