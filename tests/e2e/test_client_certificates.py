"""Certificates of clients: in the password's place, or beside it; those that are not for the user, have run out or are of another authority."""

import asyncio
import os
import ssl
import subprocess

import asyncpg
import psycopg
import pytest

from conftest import PASSWORD, ROUTES, connection, policy
from harness.sluice import Sluice


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Signs certificates of clients."""

    def __init__(self, folder, name):
        self.folder = folder
        self.key, self.certificate = str(folder / f"{name}.key"), str(folder / f"{name}.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.certificate)

    def sign(self, name, common, alternative=None, days=("-days", "7")):
        """Key and certificate of a client; libpq wants the key to be readable by its owner alone."""
        key, request, certificate = (str(self.folder / f"{name}.{kind}") for kind in ("ckey", "csr", "crt"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common}", "-keyout", key, "-out", request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("extendedKeyUsage=clientAuth\n" + (f"subjectAltName={alternative}\n" if alternative else ""))
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", *days, "-extfile", str(extensions), "-out", certificate)
        os.chmod(key, 0o600)
        return f"sslcert={certificate} sslkey={key} sslmode=require"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    ours, foreign = Authority(folder, "ours"), Authority(folder, "foreign")
    return {
        "ca": ours.certificate,
        "alice": ours.sign("alice", "alice"),
        "by-mail": ours.sign("by-mail", "somebody", "email:alice"),
        "dana": ours.sign("dana", "dana"),
        "stranger": ours.sign("stranger", "stranger"),
        "expired": ours.sign("expired", "alice", days=("-days", "-1")),
        "foreign": foreign.sign("foreign", "alice"),
    }


def start(target, certificates, login):
    text = "".join(connection(f"shop-{via}", target.port, via) for via in ROUTES)
    environment = {
        "SHOP_PASSWORD": PASSWORD,
        "SLUICE_DATAPLANE_CLIENT_TLS_CLIENT_CA": certificates["ca"],
        "SLUICE_DATAPLANE_CLIENT_TLS_LOGIN": login,
    }
    return Sluice(policy(text), environment=environment)


@pytest.fixture(scope="module")
def instead(target, certificates):
    sluice = start(target, certificates, "certificate-or-password")
    yield sluice
    assert sluice.close() == 0


@pytest.fixture(scope="module")
def beside(target, certificates):
    sluice = start(target, certificates, "certificate-and-password")
    yield sluice
    assert sluice.close() == 0


@pytest.fixture(params=sorted(ROUTES))
def shop(request):
    return f"shop-{request.param}"


def url(sluice, shop, user, extra, password=None):
    secret = f" password={password}" if password else ""
    return f"host=127.0.0.1 port={sluice.port} user={user} dbname={shop} {extra}{secret}"


def psql(link):
    environment = {key: value for key, value in os.environ.items() if key != "PGPASSWORD"}
    command = ["psql", "-X", "-At", "-w", link, "-c", "SELECT count(*) FROM customers"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_certificate_takes_the_passwords_place(instead, shop, certificates):
    for name in ("alice", "by-mail"):
        done = psql(url(instead, shop, "alice", certificates[name]))
        assert (done.stdout.strip(), done.returncode) == ("3", 0), f"{name}: {done.stderr}"
    with psycopg.connect(url(instead, shop, "alice", certificates["alice"])) as link:
        assert "Ada" not in link.execute("SELECT name FROM customers WHERE id = 1").fetchone()[0], "alice's rules apply"
    with psycopg.connect(url(instead, shop, "dana", certificates["dana"])) as link:
        assert link.execute("SELECT name FROM customers WHERE id = 1").fetchone()[0] == "Ada Wanderer"


def test_the_record_names_the_certificate(instead, certificates):
    with psycopg.connect(url(instead, "shop-direct", "alice", certificates["alice"])) as link:
        link.execute("SELECT 1")
    found = [session["token_id"] for session in instead.sessions() if session["user"] == "alice"]
    assert any(token.startswith("certificate:") and len(token) == 12 + 64 for token in found), found


def test_a_certificate_for_somebody_else_proves_nothing(instead, shop, certificates):
    for name in ("dana", "stranger"):
        done = psql(url(instead, shop, "alice", certificates[name]))
        assert done.returncode != 0 and "no password supplied" in done.stderr, done.stderr
    # As nobody, with a certificate of nobody.
    refused = psql(url(instead, shop, "stranger", certificates["stranger"]))
    assert refused.returncode != 0 and 'authentication failed for user "stranger"' in refused.stderr
    # The password still counts.
    done = psql(url(instead, shop, "alice", certificates["dana"], instead.token("alice")))
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr


@pytest.mark.parametrize(("name", "alert"), [("expired", "expired"), ("foreign", "unknown ca")])
def test_what_cannot_be_verified_ends_the_handshake(instead, beside, shop, certificates, name, alert):
    for sluice in (instead, beside):
        done = psql(url(sluice, shop, "alice", certificates[name], sluice.token("alice")))
        assert done.returncode != 0 and alert in done.stderr, done.stderr


def test_without_a_certificate_the_password_is_asked_for(instead, shop):
    done = psql(url(instead, shop, "alice", "sslmode=require", instead.token("alice")))
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr
    done = psql(url(instead, shop, "alice", "sslmode=disable", instead.token("alice")))
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr


def test_both_are_needed_where_the_setting_says_so(beside, shop, certificates):
    token = beside.token("alice")
    done = psql(url(beside, shop, "alice", certificates["alice"], token))
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr
    alone = psql(url(beside, shop, "alice", certificates["alice"]))
    assert alone.returncode != 0 and "no password supplied" in alone.stderr
    for extra in (certificates["dana"], "sslmode=require", "sslmode=disable"):
        refused = psql(url(beside, shop, "alice", extra, token))
        assert refused.returncode != 0 and 'certificate authentication failed for user "alice"' in refused.stderr, refused.stderr


def test_asyncpg_with_a_certificate(instead, certificates):
    words = dict(part.split("=") for part in certificates["alice"].split())
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(words["sslcert"], words["sslkey"])

    async def run():
        link = await asyncpg.connect(host="127.0.0.1", port=instead.port, user="alice", database="shop-direct", ssl=context)
        try:
            return await link.fetchval("SELECT count(*) FROM customers")
        finally:
            await link.close()

    assert asyncio.run(run()) == 3
