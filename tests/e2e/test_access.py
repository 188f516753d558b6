"""Who gets in, to what, and what the others are told."""

import os
import subprocess
import time

import psycopg
import pytest

# What the documentation promises while the data plane is connected to the control plane.
REVOCATION_SECONDS_MAX = 1


def refusal(sluice, user, connection, password):
    """SQLSTATE-free text that a refused login shows, without the names in it."""
    with pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(host="127.0.0.1", port=sluice.port, user=user, dbname=connection, password=password)
    return str(error.value).replace(user, "USER").replace(connection, "CONNECTION")


def test_every_refused_login_reads_the_same(sluice):
    token = sluice.token("alice")
    told = {
        refusal(sluice, "alice", "shop-agent", "slu_wrong"),
        refusal(sluice, "nobody", "shop-agent", token),
        refusal(sluice, "alice", "nothing", token),
        refusal(sluice, "eve", "shop-agent", sluice.token("eve")),
    }
    assert len(told) == 1, told


@pytest.mark.parametrize("login", ["login-md5", "login-clear", "login-plain", "login-tls"])
def test_every_login_method_of_the_target_works(connect, login):
    assert connect(login).execute("SELECT count(*) FROM customers").fetchone() == (3,)


def test_target_leg_is_encrypted_when_asked(connect):
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert connect("login-tls").execute(query).fetchone() == (True,)
    assert connect("login-plain").execute(query).fetchone() == (False,)


def test_revoked_token_opens_no_session(sluice, shop):
    made = sluice.json("token", "create", "--user", "alice")
    url = {"host": "127.0.0.1", "port": sluice.port, "user": "alice", "dbname": shop, "password": made["token"]}
    if "generation" in made:
        sluice.wait_enforced(made["generation"])
    psycopg.connect(**url).close()
    sluice.cli("token", "revoke", made["id"])
    revoked = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        while time.monotonic() < revoked + REVOCATION_SECONDS_MAX:
            psycopg.connect(**url).close()
            time.sleep(0.02)


def test_ctrl_c_cancels(sluice, shop):
    command = ["psql", "-X", sluice.url(shop), "-c", "SELECT pg_sleep(60)"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PGAPPNAME": "cancelled"})
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(2)
    _, errors = process.communicate(timeout=20)
    assert "canceling statement due to user request" in errors
