"""The guide for identity providers, its commands run as they stand there."""

import os
import pty
import re
import subprocess
import tempfile

import pytest

from harness.browser import Browser
from harness.idp import Idp
from harness.process import free_port, stop, wait_for_port
from harness.sluice import ROOT, target_dir


def blocks(words):
    """The guide's shell blocks with its words filled in."""
    with open(os.path.join(ROOT, "docs", "guides", "oidc.md"), encoding="utf-8") as guide:
        found = re.findall(r"^```sh\n(.*?)^```", guide.read(), re.M | re.S)
    for word, value in words.items():
        found = [re.sub(rf"(?<![A-Z_]){word}\b", value, block) for block in found]
    return found


@pytest.fixture
def idp():
    provider = Idp()
    provider.person |= {"groups": ["engineering", "security"]}
    yield provider
    provider.close()


def start_here(command, env):
    """Runs a line of the guide on a terminal; gives the process and its terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["sh", "-c", command], env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    return process, ours


def said_address(process):
    """The address that the command line shows."""
    for line in process.stderr:
        if found := re.search(r"\s(http\S+(?:/login/cli|/device)\S*\?\S+)", line):
            return found[1]
    raise AssertionError("no address was shown")


def allow(browser, url, place, **filled):
    page = browser.get(place)
    if link := re.search(r'href="(/api/login\?next=[^"]*)"', page.text):
        page = browser.get(url + link[1])
    return browser.submit(page, **filled)


def test_what_the_guide_says_logs_people_in(idp):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sluice-guide-") as folder:
        url = f"http://127.0.0.1:{port}"
        start, roles, logins = blocks({"PUBLIC_URL": url, "ISSUER": idp.issuer, "CLIENT_ID": "sluice", "CLIENT_SECRET": "s3cret",
                                       "DATA_DIR": os.path.join(folder, "data")})
        env = {**os.environ, "PATH": target_dir() + os.pathsep + os.environ["PATH"], "SLUICE_CONTROLPLANE_LISTEN_API": f"127.0.0.1:{port}",
               "SLUICE_CONTROLPLANE_LISTEN_CONTROL": "127.0.0.1:0", "XDG_CONFIG_HOME": folder, "BROWSER": "true"}
        for name in ("SLUICE_TOKEN", "SLUICE_URL"):
            env.pop(name, None)
        *exports, program = start.strip().splitlines()
        script = "\n".join([*exports, roles, "exec " + program])
        log = open(os.path.join(folder, "log"), "wb")
        plane = subprocess.Popen(["sh", "-c", script], env=env, stdout=log, stderr=log)
        try:
            wait_for_port(port, process=plane)
            by_browser, by_device, whoami = logins.strip().splitlines()
            process, terminal = start_here(by_browser, env)
            done = allow(Browser(), url, said_address(process))
            assert done.text.startswith("Logged in"), done.text
            out, error = process.communicate(timeout=30)
            os.close(terminal)
            assert process.returncode == 0 and "carol (auditor)" in out, (out, error)
            shown = subprocess.run(["sh", "-c", whoami], env=env, capture_output=True, text=True, check=True)
            assert "carol" in shown.stdout and "engineering" in shown.stdout
            subprocess.run(["sluice", "logout"], env=env, check=True)
            process, terminal = start_here(by_device, env)
            done = allow(Browser(), url, said_address(process), answer="allow")
            assert "The device is logged in" in done.text, done.text
            out, error = process.communicate(timeout=30)
            os.close(terminal)
            assert process.returncode == 0 and "carol (auditor)" in out, (out, error)
        finally:
            stop(plane)
            log.close()
