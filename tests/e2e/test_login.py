"""Logins: through identity providers, honest and hostile, by browser, command line and device."""

import json
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from harness.browser import Browser
from harness.idp import Idp, b64
from harness.plane import Plane
from harness.process import free_port, stop
from harness.sluice import ROOT, target_dir

POLICY = """
[[user]]
name = "alice"
email = "alice@example.com"
groups = ["engineering"]
[[user]]
name = "ada"
roles = ["admin"]
email = "ada@example.com"
[[connection]]
name = "orders"
type = "postgres"
via = "direct"
host = "db.internal"
username = "env:ORDERS_USER"
groups = ["engineering"]
"""
PASSWORD = "correct horse battery"
CLIENT = "sluice-test"


@pytest.fixture(scope="module")
def idp():
    provider = Idp()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def plane(idp):
    started = Plane(POLICY, IDP_ISSUER=idp.issuer, IDP_CLIENT_ID=CLIENT, IDP_CLIENT_SECRET="s3cret/+",
                    SLUICE_CONTROLPLANE_OIDC_RECHECK_SECONDS="1")
    started.call("PUT", "/api/users/alice/password", body={"password": PASSWORD})
    yield started
    started.close()


@pytest.fixture(autouse=True)
def honest(idp):
    idp.reset()
    idp.keys = [idp.key]


def log_in(plane, browser=None):
    """Through the provider: where the browser ends."""
    browser = browser or Browser()
    return browser, browser.get(f"{plane.url}/api/login?next=/reviews")


def token_of(plane, browser):
    """What the browser has of us, used as a program would."""
    return browser.cookies[plane.url.removeprefix("http://")].get("sluice_login")


def test_a_person_of_the_provider_becomes_a_user_with_its_groups(plane, idp):
    browser, page = log_in(plane)
    assert (page.status, page.url) == (200, f"{plane.url}/reviews"), page.text
    asked = idp.asked[-1]
    assert asked["code_challenge_method"] == "S256" and len(asked["state"]) >= 43 and len(asked["nonce"]) >= 43
    assert asked["scope"].split()[0] == "openid"
    status, me = plane.call("GET", "/api/userinfo", token_of(plane, browser))
    assert (status, me["name"], me["groups"], me["role"]) == (200, "carol", ["engineering"], "member")
    _, seen = plane.call("GET", "/api/connections", token_of(plane, browser))
    assert [each["name"] for each in seen["items"]] == ["orders"]
    _, user = plane.call("GET", "/api/users/carol")
    assert user["managed_by"] == "login"
    # Another login of the same person with another name is the same user, with the groups of now.
    idp.person |= {"preferred_username": "carola", "groups": []}
    browser, _ = log_in(plane)
    _, me = plane.call("GET", "/api/userinfo", token_of(plane, browser))
    assert (me["name"], me["groups"]) == ("carol", [])


def test_a_user_of_the_policy_is_found_by_a_checked_address_alone(plane, idp):
    idp.person = {"sub": "u-ada-false", "email": "ada@example.com", "email_verified": False, "preferred_username": "ada"}
    browser, _ = log_in(plane)
    _, me = plane.call("GET", "/api/userinfo", token_of(plane, browser))
    assert (me["name"], me["role"]) != ("ada", "admin"), "whoever may write any address would be the administrator"
    idp.person = {"sub": "u-ada", "email": "ada@example.com", "email_verified": True}
    browser, _ = log_in(plane)
    _, me = plane.call("GET", "/api/userinfo", token_of(plane, browser))
    assert (me["name"], me["role"]) == ("ada", "admin")


def refused(plane, reason):
    browser, page = log_in(plane)
    assert page.status == 401 and reason in page.text, page.text
    assert token_of(plane, browser) is None


@pytest.mark.parametrize("claims, reason", [
    ({"aud": "somebody-else"}, "audience"),
    ({"aud": None}, "lacks aud"),
    ({"aud": [CLIENT, "other"]}, "lacks azp"),
    ({"aud": [CLIENT, "other"], "azp": "other"}, "audience"),
    ({"iss": "https://evil.example"}, "another issuer"),
    ({"nonce": "of another login"}, "nonce"),
    ({"nonce": None}, "lacks nonce"),
    ({"exp": 1_000_000_000}, "expired"),
    ({"exp": None}, "lacks exp"),
    ({"iat": 4_000_000_000}, "future"),
    ({"nbf": 4_000_000_000}, "future"),
    ({"sub": None}, "lacks sub"),
])
def test_a_token_with_a_wrong_claim_is_refused(plane, idp, claims, reason):
    idp.claims = claims
    refused(plane, reason)


def test_clocks_may_be_a_minute_apart_and_no_more(plane, idp):
    now = int(time.time())
    idp.claims = {"exp": now - 45, "iat": now - 300}
    assert log_in(plane)[1].status == 200
    idp.claims = {"iat": now + 45, "nbf": now + 45, "exp": now + 300}
    assert log_in(plane)[1].status == 200
    idp.claims = {"exp": now - 75}
    refused(plane, "expired")
    idp.claims = {"iat": now + 90, "exp": now + 300}
    refused(plane, "future")


@pytest.mark.parametrize("signer, header, reason", [
    ("none", {}, "algorithm"),
    ("none", {"alg": "None"}, "algorithm"),
    ("HS256", {}, "algorithm"),
    ("RS256", {"alg": "RS512"}, "algorithm"),
    ("RS256", {"alg": "PS256"}, "key"),
    ("RS256", {"kid": "nobody's"}, "key"),
    ("RS256", {"crit": ["exp"]}, "extensions"),
    ("RS256", {"typ": "logout+jwt"}, "no JWT"),
])
def test_a_token_with_a_confused_header_is_refused(plane, idp, signer, header, reason):
    idp.signer, idp.header = signer, header
    refused(plane, reason)


def test_a_key_that_the_token_brings_along_is_nobodys(plane, idp):
    good = idp.key
    thief = idp.new_key("first", announced=False)
    idp.header = {"jwk": thief.jwk}
    refused(plane, "signature")
    idp.key = good


def test_keys_may_change_and_old_ones_count_no_more(plane, idp):
    old = idp.key
    time.sleep(2.1)  # A look for unknown keys is taken every two seconds at most.
    idp.new_key("second")
    assert log_in(plane)[1].status == 200
    idp.signer = old
    refused(plane, "key")


def test_an_answer_counts_once_in_the_browser_that_asked(plane, idp):
    browser = Browser()
    back = browser.get(f"{plane.url}/api/login?next=/reviews", stop=f"{plane.url}/api/callback")
    other = Browser()
    stolen = other.get(back.url)
    assert stolen.status == 401 and "not under way" in stolen.text
    # It was spent on the thief, who got nothing; the browser that asked begins again.
    assert browser.get(back.url).status == 401
    back = browser.get(f"{plane.url}/api/login?next=/reviews", stop=f"{plane.url}/api/callback")
    assert browser.get(back.url).status == 200
    assert browser.get(back.url).status == 401, "replayed"


def test_a_wrong_state_a_spent_code_and_a_denial_are_refused(plane, idp):
    idp.answer = {"state": b64(os.urandom(32))}
    refused(plane, "not under way")
    idp.answer = {"state": None}
    refused(plane, "not under way")
    idp.answer = {"code": "spent-or-made-up"}
    refused(plane, "invalid_grant")
    idp.answer = {"code": None, "error": "access_denied", "error_description": "<script>no</script>"}
    refused(plane, "access_denied &lt;script&gt;")
    idp.answer = {"iss": "https://evil.example"}
    refused(plane, "another issuer")


def test_whoever_the_provider_lets_go_is_out_soon(plane, idp):
    browser, _ = log_in(plane)
    token = token_of(plane, browser)
    idp.person["groups"] = ["engineering", "late"]
    time.sleep(1.2)
    plane.call("GET", "/api/userinfo", token)
    _, me = plane.call("GET", "/api/userinfo", token)
    assert me["groups"] == ["engineering", "late"]
    idp.refuses_refresh = True
    time.sleep(1.2)
    assert plane.call("GET", "/api/userinfo", token)[0] == 401


def test_after_a_login_one_stays_on_our_pages(plane, idp):
    page = Browser().get(f"{plane.url}/api/login?next=//evil.example/")
    assert page.url == f"{plane.url}/", page.url


def test_a_browser_logs_out_here_and_is_shown_the_way_out_there(plane, idp):
    browser, page = log_in(plane)
    token = token_of(plane, browser)
    page = browser.submit(browser.get(f"{plane.url}/"))
    link = re.search(r'href="([^"]*/logout[^"]*)"', page.text)[1]
    assert link.startswith(f"{idp.issuer}/logout?client_id={CLIENT}") and "id_token_hint=ey" in link
    assert token_of(plane, browser) is None
    assert plane.call("GET", "/api/userinfo", token)[0] == 401


def test_the_command_line_logs_in_by_browser(plane, idp, tmp_path):
    seen = tmp_path / "opened"
    opener = tmp_path / "browser"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}.new && mv {seen}.new {seen}\n')
    opener.chmod(0o755)
    result = {}

    def run():
        result["done"] = plane.cli("login", "--browser", config_home=str(tmp_path), environment={"BROWSER": str(opener)})

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    place = seen.read_text()
    browser = Browser()
    page = browser.get(place)
    # Not logged in yet: the login page leads to the provider and back to the question.
    link = re.search(r'href="(/api/login\?next=[^"]*)"', page.text)[1].replace("&amp;", "&")
    page = browser.get(plane.url + link)
    assert "act as <strong>carol</strong>" in page.text, page.text
    done = browser.submit(page)
    assert done.text.startswith("Logged in"), done.text
    thread.join(30)
    assert "carol (member)" in result["done"].stdout
    saved = tmp_path / "sluice" / "config.toml"
    assert oct(saved.stat().st_mode & 0o777) == "0o600"
    assert re.search(r'token = "sls_', saved.read_text())
    assert "carol" in plane.cli("whoami", config_home=str(tmp_path)).stdout
    token = re.search(r'token = "(sls_[^"]*)"', saved.read_text())[1]
    plane.cli("logout", config_home=str(tmp_path))
    assert "sls_" not in saved.read_text()
    assert plane.call("GET", "/api/userinfo", token)[0] == 401
    assert token not in plane.log() and idp.issuer  # No token in the log.


def password_login(plane, user="alice"):
    browser = Browser()
    page = browser.submit(browser.get(f"{plane.url}/login?next=/device"), user=user, password=PASSWORD)
    assert page.url == f"{plane.url}/device", page.text
    return browser, page


def test_a_device_without_a_browser_logs_in_by_a_code(plane, tmp_path):
    command = [os.path.join(plane.bin, "sluice"), "login", "--device"]
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "SLUICE_URL": plane.url}
    env.pop("SLUICE_TOKEN", None)
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    code = re.search(r"type the code (\S+)", line)[1]
    browser, page = password_login(plane)
    page = browser.submit(page, user_code="BBBB-BBBB", answer="allow")
    assert page.status == 404
    page = browser.submit(page, user_code=code.lower().replace("-", " "), answer="allow")
    assert "The device is logged in" in page.text
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "alice (member)" in out
    page = browser.submit(browser.get(f"{plane.url}/device"), user_code=code, answer="allow")
    assert page.status == 404, "a code counts once"


def test_device_codes_are_polled_as_the_rfc_says(plane):
    import urllib.error
    import urllib.parse
    import urllib.request

    def ask(device_code):
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code}
        try:
            with urllib.request.urlopen(f"{plane.url}/api/login/token", urllib.parse.urlencode(form).encode()) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    _, begun = plane.call("POST", "/api/login/device", body={})
    assert begun["interval"] == 5 and begun["expires_in"] == 600
    assert ask(begun["device_code"]) == {"error": "authorization_pending"}
    assert ask(begun["device_code"]) == {"error": "slow_down"}
    assert ask("made-up") == {"error": "expired_token"}
    browser, _ = password_login(plane)
    page = browser.get(begun["verification_uri_complete"])
    assert begun["user_code"] in page.text
    page = browser.submit(page, answer="deny")
    assert "was refused" in page.text
    assert ask(begun["device_code"]) == {"error": "access_denied"}
    assert ask(begun["device_code"]) == {"error": "expired_token"}


def test_a_code_of_the_loopback_port_needs_its_secret(plane, idp):
    import hashlib
    import urllib.error
    import urllib.parse
    import urllib.request

    def exchange(**form):
        form = {"grant_type": "authorization_code", **form}
        try:
            with urllib.request.urlopen(f"{plane.url}/api/login/token", urllib.parse.urlencode(form).encode()) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    browser, _ = password_login(plane)
    verifier = b64(os.urandom(32))
    query = {"redirect_uri": "http://127.0.0.1:1/callback", "state": "12345678", "code_challenge": b64(hashlib.sha256(verifier.encode()).digest())}

    def code():
        page = browser.get(f"{plane.url}/login/cli?{urllib.parse.urlencode(query)}")
        back = browser.submit(page, stop="http://127.0.0.1:1/")
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back.url).query))["code"]

    assert exchange(code=code(), code_verifier="guessed", redirect_uri=query["redirect_uri"]) == {"error": "invalid_grant"}
    assert exchange(code=code(), code_verifier=verifier, redirect_uri="http://127.0.0.1:2/callback") == {"error": "invalid_grant"}
    good = code()
    assert exchange(code=good, code_verifier=verifier, redirect_uri=query["redirect_uri"])["access_token"].startswith("sls_")
    assert exchange(code=good, code_verifier=verifier, redirect_uri=query["redirect_uri"]) == {"error": "invalid_grant"}
    elsewhere = browser.get(f"{plane.url}/login/cli?{urllib.parse.urlencode({**query, 'redirect_uri': 'http://evil.example/'})}")
    assert elsewhere.status == 400


# A provider of others.

def provider_modules():
    """The npm package, installed once beside what cargo builds."""
    folder = os.path.join(os.path.dirname(target_dir()), "tests-oidc-provider")
    wanted = "oidc-provider@9.13.3"
    done = os.path.join(folder, "ready-" + wanted)
    if not os.path.exists(done):
        if not shutil.which("npm"):
            pytest.skip("npm is not installed")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as package:
            package.write('{"private": true}\n')
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", wanted], cwd=folder, check=True, capture_output=True, timeout=240)
        open(done, "w", encoding="utf-8").close()
    shutil.copy(os.path.join(ROOT, "tests", "e2e", "oidc", "provider.mjs"), folder)
    return folder


def new_jwk(kid):
    """A private RSA key as node makes it."""
    script = ("const {generateKeyPairSync:g}=require('crypto');const k=g('rsa',{modulusLength:2048}).privateKey.export({format:'jwk'});"
              f"console.log(JSON.stringify({{...k,kid:'{kid}',use:'sig',alg:'RS256'}}))")
    return json.loads(subprocess.run(["node", "-e", script], check=True, capture_output=True, text=True).stdout)


class Provider:
    """oidc-provider in node, on a port that stays over restarts."""

    def __init__(self, redirect):
        self.folder, self.port, self.redirect, self.process = provider_modules(), free_port(), redirect, None
        self.issuer = f"http://127.0.0.1:{self.port}"

    def start(self, *keys):
        env = {**os.environ, "PORT": str(self.port), "CLIENT_ID": CLIENT, "CLIENT_SECRET": "s3cret", "REDIRECT": self.redirect,
               "JWKS": json.dumps({"keys": list(keys)})}
        self.process = subprocess.Popen(["node", "provider.mjs"], cwd=self.folder, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().strip() == "ready"

    def stop(self):
        if self.process:
            stop(self.process)
            self.process.stdout.close()


def test_login_through_a_provider_of_others_over_a_change_of_its_keys():
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}/api/callback")
    provider.start(new_jwk("one"))
    plane = None
    try:
        plane = Plane(POLICY, IDP_ISSUER=provider.issuer, IDP_CLIENT_ID=CLIENT, IDP_CLIENT_SECRET="s3cret",
                      IDP_CUSTOM_SCOPES="groups", SLUICE_CONTROLPLANE_LISTEN_API=f"127.0.0.1:{port}", API_URL=f"http://127.0.0.1:{port}")
        plane.url = f"http://127.0.0.1:{port}"

        def through():
            browser = Browser()
            page = browser.get(f"{plane.url}/login?next=/reviews")
            link = re.search(r'href="(/api/login\?next=[^"]*)"', page.text)[1]
            page = browser.get(plane.url + link)
            page = browser.submit(page, login="carol", password="anything")
            if "</form>" in page.text and page.url.startswith(provider.issuer):
                page = browser.submit(page)
            return browser, page

        browser, page = through()
        assert (page.status, page.url) == (200, f"{plane.url}/reviews"), page.text
        _, me = plane.call("GET", "/api/userinfo", token_of(plane, browser))
        assert (me["name"], me["groups"], me["email"]) == ("carol", ["engineering"], "carol@example.com")
        provider.stop()
        time.sleep(2.1)
        provider.start(new_jwk("two"))
        browser, page = through()
        assert (page.status, page.url) == (200, f"{plane.url}/reviews"), page.text
        assert plane.call("GET", "/api/userinfo", token_of(plane, browser))[1]["name"] == "carol"
    finally:
        if plane:
            plane.close()
        provider.stop()
