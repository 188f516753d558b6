"""What the end-to-end tests share: a private PostgreSQL, a Sluice per back end, stock clients."""

import os
import subprocess

import psycopg
import pytest

from harness.postgres import PASSWORD, Postgres
from harness.process import io_uring_allowed
from harness.sluice import Sluice

HERE = os.path.dirname(os.path.abspath(__file__))

# People: alice is an analyst, dana sees personal data, eve may connect to nothing.
POLICY = """
[[redaction]]
name          = "personal-data"
detect        = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER", "US_SOCIAL_SECURITY_NUMBER", "IBAN_CODE"]
columns       = ["public.customers.name"]
mask          = "label"
except_groups = ["dpo"]

[[guardrail]]
name  = "no-accidents"
rules = [
  {{ deny = "delete-without-where", message = "name the rows that are to go" }},
  {{ deny = "update-without-where" }},
  {{ deny = ["drop", "truncate"], message = "ask #dba" }},
]

[[guardrail]]
name  = "nothing-at-all"
rules = [{{ deny = ["select", "ddl", "write", "copy", "call", "do", "execute", "prepare", "set", "set-role", "transaction", "lock", "vacuum",
  "listen", "notify", "cursor", "explain", "show", "maintenance", "load", "deallocate", "unknown"] }}]

[[group]]
name = "analysts"
[[group]]
name = "dpo"

[[user]]
name = "alice"
email = "alice@example.com"
groups = ["analysts"]
[[user]]
name = "dana"
email = "dana@example.com"
groups = ["dpo"]
[[user]]
name = "eve"
email = "eve@example.com"
groups = []
{connections}
"""

CONNECTION = """
[[connection]]
name       = "{name}"
type       = "postgres"
{route}
host       = "127.0.0.1"
port       = {port}
database   = "{database}"
tls        = "{tls}"
username   = "literal:{user}"
password   = "env:SHOP_PASSWORD"
groups     = ["analysts", "dpo"]
redact     = ["personal-data"]
guardrails = {guardrails}
record     = "{record}"
"""

ROUTES = {"agent": 'pool = "local"', "direct": 'via = "direct"'}


def connection(name, port, via="agent", tls="prefer", user="scram_user", database="shop", guardrails='["no-accidents"]', record="statements", **more):
    """A connection of the policy as text; `more` are further keys, already as TOML values."""
    text = CONNECTION.format(name=name, port=port, route=ROUTES[via], tls=tls, user=user, database=database, guardrails=guardrails, record=record)
    return text + "".join(f"{key} = {value}\n" for key, value in more.items())


def policy(*connections):
    """The tests' policy with these connections."""
    return POLICY.format(connections="".join(connections))


@pytest.fixture(scope="session")
def target():
    """A private PostgreSQL with TLS, the database `shop` with personal data, and `lab` to work in."""
    server = Postgres(tls=True)
    try:
        with open(os.path.join(HERE, "seed.sql"), encoding="utf-8") as seed:
            server.create_database("shop", seed.read())
        server.create_database("lab")
        subprocess.run(["pgbench", "-i", "-q", "-s", "1", server.url("lab")], check=True, capture_output=True)
        server.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC", "GRANT CREATE ON DATABASE lab TO PUBLIC", database="lab")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session", params=["uring", "epoll"])
def sluice(request, target):
    """`sluice up` on each back end, with the connections `shop-agent` and `shop-direct` and one per password method."""
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    connections = [connection(f"shop-{via}", target.port, via) for via in ROUTES]
    connections += [connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES]
    connections += [connection(f"bare-{via}", target.port, via, guardrails="[]") for via in ROUTES]
    connections += [
        connection("recorded", target.port, record="full"),
        connection("guarded", target.port, via="direct", guardrails='["nothing-at-all"]'),
        connection("own-port", target.port, via="direct", listen='"127.0.0.1:0"'),
        connection("login-md5", target.port, user="md5_user"),
        connection("login-clear", target.port, user="clear_user"),
        connection("login-plain", target.port, tls="disable"),
        connection("login-tls", target.port, tls="require"),
    ]
    gateway = Sluice(policy(*connections), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield gateway
    finally:
        code = gateway.close()
    assert code == 0, "sluice up did not end cleanly"


@pytest.fixture(params=sorted(ROUTES))
def shop(request):
    """Name of the connection to `shop`, through the agent and direct."""
    return f"shop-{request.param}"


@pytest.fixture(params=sorted(ROUTES))
def lab(request):
    """Name of the connection to `lab`, a database to work in, through the agent and direct."""
    return f"lab-{request.param}"


@pytest.fixture
def psql(sluice):
    """Runs stock psql through the gateway: `psql(connection, *statements, user=…)`; each statement is sent by itself."""

    def run(connection_name, *statements, user="alice", options=(), check=True, script=None):
        command = ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", *options, sluice.url(connection_name, user)]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, input=script, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}\n{sluice.log()[-2000:]}")
        return done

    return run


@pytest.fixture
def connect(sluice):
    """Opens psycopg connections through the gateway: `connect(connection, user=…)`; all are closed at the end."""
    opened = []

    def run(connection_name, user="alice", **options):
        opened.append(psycopg.connect(sluice.url(connection_name, user), **options))
        return opened[-1]

    yield run
    for each in opened:
        each.close()
