"""Notifications as others receive them: a mail server, the official library for signed webhooks, a chat; each event once."""

import email
import email.policy
import hashlib
import hmac
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import standardwebhooks
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from conftest import connection, policy
from harness.sluice import Sluice
from test_reviews import as_user, call, wait_for

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
MAIL = {"user": "sluice@example.com", "password": "made-up"}
PEOPLE = """
[[user]]
name = "bob"
email = "bob@example.com"
groups = ["dba"]
[[user]]
name = "carl"
groups = ["dba"]
"""
TARGETS = """
[[notification]]
name   = "ops"
type   = "webhook"
url    = "http://127.0.0.1:{port}/hook"
secret = "env:HOOK_SECRET"

[[notification]]
name      = "mail"
type      = "email"
to        = ["dba-team@example.com"]
to_people = true
events    = ["review.created", "review.rejected"]

[[notification]]
name           = "chat"
type           = "slack"
url            = "literal:http://127.0.0.1:{port}/services/T1/B1/made-up"
signing_secret = "env:SLACK_SIGNING_SECRET"
people         = {{ U0BOB = "bob" }}
connections    = ["chatty"]
events         = ["review.created"]
"""


class Receiver:
    """An HTTP server that keeps every request; `down` closes its port, `up` opens the same one again."""

    def __init__(self):
        self.requests, self.server, self.port = [], None, 0
        self.up()

    def up(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def down(self):
        self.server.shutdown()
        self.server.server_close()

    def events(self, path="/hook"):
        """What was received, each verified by the official library, which fails when a signature is wrong or too old."""
        library = standardwebhooks.Webhook(SECRET)
        return [(headers, library.verify(body, headers)) for at, headers, body in list(self.requests) if at == path]


class Mailbox:
    """Keeps mails; wants a login."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        assert session.authenticated
        self.mails.append((sorted(envelope.rcpt_tos), email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login.decode(), data.password.decode()) == (MAIL["user"], MAIL["password"]))


@pytest.fixture(scope="module")
def receiver():
    it = Receiver()
    yield it
    it.down()


@pytest.fixture(scope="module")
def mailbox():
    it = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        it.port = free.getsockname()[1]
    controller = Controller(it, hostname="127.0.0.1", port=it.port, authenticator=login, auth_require_tls=False, auth_required=True)
    controller.start()
    yield it
    controller.stop()


@pytest.fixture(scope="module")
def gateway(target, receiver, mailbox, tmp_path_factory):
    clock = tmp_path_factory.mktemp("clock") / "ahead"
    clock.write_text("0")
    jit = '{ reviewers = ["dba"], max_seconds = 3600 }'
    connections = [connection(name, target.port, "direct", access_review=jit) for name in ("quiet", "chatty")]
    own = Sluice(
        policy(*connections) + PEOPLE + TARGETS.format(port=receiver.port),
        environment={
            "SHOP_PASSWORD": "unused",
            "HOOK_SECRET": SECRET,
            "SLACK_SIGNING_SECRET": SIGNING,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
            "SMTP_USER": MAIL["user"],
            "SMTP_PASS": MAIL["password"],
            "SLUICE_CONTROLPLANE_SMTP_TLS": "none",
            "SLUICE_CONTROLPLANE_DEV_CLOCK_FILE": str(clock),
        },
    )
    own.clock = clock
    try:
        yield own
    finally:
        own.close()


def request(gateway, name, reason="ticket 7"):
    asked = as_user(gateway, "alice", "reviews", "request", name, "--reason", reason, "--json")
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)["id"]


def test_the_mail_reaches_those_who_decide_and_then_who_asked(gateway, mailbox):
    id = request(gateway, "quiet", "the month's end <b>ü</b>")
    to, mail = wait_for(lambda: mailbox.mails)[0]
    assert to == ["bob@example.com", "dba-team@example.com"]
    assert mail["subject"] == "[Sluice] Review needed: access of alice to quiet"
    text = mail.get_content()
    assert "Reason: the month's end <b>ü</b>" in text and f"/reviews/{id}" in text
    assert "bob@example.com" not in str(mail), "nobody reads who else was told"
    assert as_user(gateway, "bob", "reviews", "reject", id, "--comment", "not now").returncode == 0
    to, mail = wait_for(lambda: mailbox.mails[1:])[0]
    assert to == ["alice@example.com", "dba-team@example.com"]
    assert "rejected by bob: not now" in mail.get_content()


def test_the_official_library_verifies_what_is_sent_and_refuses_what_is_not(gateway, receiver):
    before = len(receiver.events())
    id = request(gateway, "quiet")
    headers, event = wait_for(lambda: receiver.events()[before:])[0]
    assert (event["type"], event["data"]["id"], event["data"]["reason"]) == ("review.created", id, "ticket 7")
    path, headers, body = next(each for each in receiver.requests if each[0] == "/hook")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(body.replace(b"alice", b"mallo"), headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook("whsec_" + "A" * 32).verify(body, headers)
    assert as_user(gateway, "alice", "reviews", "withdraw", id).returncode == 0
    assert wait_for(lambda: receiver.events()[before + 1 :])[0][1]["type"] == "review.withdrawn"


def test_a_receiver_that_was_down_for_an_hour_gets_each_event_once_and_in_order(gateway, receiver):
    before = len(receiver.events())
    receiver.down()
    ids = []
    for _ in range(3):
        ids.append(request(gateway, "quiet"))
        assert as_user(gateway, "bob", "reviews", "reject", ids[-1]).returncode == 0

    def hook(state):
        return gateway.json("notifications", "deliveries", "--target", "ops", "--state", state)

    for minutes in range(0, 61, 4):
        gateway.clock.write_text(str(minutes * 60))
        time.sleep(0.6)
        assert len(hook("waiting")) == 6
    assert all("not reachable" in each["error"] for each in hook("waiting") if each["attempts"])
    assert hook("waiting")[-1]["attempts"] > 3
    # Whoever waits with the receiver's return for the control plane to be killed loses nothing.
    os.kill(gateway.pids()["controlplane"], 9)
    receiver.up()
    gateway.clock.write_text(str(61 * 60 + 900))
    wait_for(lambda: gateway.cli("whoami", check=False).returncode == 0, 30)
    wait_for(lambda: not hook("waiting"), 30)
    got = receiver.events()[before:]
    assert [(event["type"], event["data"]["id"]) for _, event in got] == [
        (kind, id) for id in ids for kind in ("review.created", "review.rejected")
    ]
    assert len({headers["webhook-id"] for headers, _ in got}) == 6


def press(gateway, id, secret=SIGNING, age=0, person="U0BOB"):
    payload = {"type": "block_actions", "user": {"id": person}, "actions": [{"action_id": "sluice_approve", "value": id}]}
    body = urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()
    seconds = str(int(time.time()) - age)
    signature = hmac.new(secret.encode(), b"v0:" + seconds.encode() + b":" + body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(gateway.addresses["api"] + "/api/notifications/chat/slack", body, method="POST")
    request.add_header("x-slack-request-timestamp", seconds)
    request.add_header("x-slack-signature", "v0=" + signature)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_button_in_the_chat_approves(gateway, receiver):
    id = request(gateway, "chatty")
    (sent,) = wait_for(lambda: [json.loads(body) for path, _, body in receiver.requests if path.startswith("/services/")])
    assert "sluice_approve" in json.dumps(sent) and id in json.dumps(sent)
    assert press(gateway, id, secret="wrong")[0] == 401
    assert press(gateway, id, age=600)[0] == 401
    assert "no user of Sluice" in press(gateway, id, person="U0EVE")[1]["text"]
    status, answer = press(gateway, id)
    assert status == 200 and answer["text"] == "bob approved it: APPROVED"
    assert call(gateway, "alice", "GET", f"/api/reviews/{id}")[1]["status"] == "APPROVED"
    assert "already" in press(gateway, id)[1]["text"] or "over" in press(gateway, id)[1]["text"]


def test_targets_are_tried_out_and_secrets_are_never_shown(gateway, receiver):
    made = gateway.json("notifications", "test", "ops")
    wait_for(lambda: gateway.json("notifications", "delivery", made["id"])["state"] == "delivered")
    assert receiver.events()[-1][1]["type"] == "notification.test"
    shown = gateway.cli("notifications", "list", "--json").stdout + gateway.cli("export").stdout
    assert "made-up" not in shown and "literal:***" in shown and SECRET not in shown + gateway.log()
    assert call(gateway, "bob", "GET", "/api/deliveries")[0] == 403
