"""The columns: the same server reached directly, through a plain relay, and through gateways."""

import contextlib
import json

from harness.postgres import Postgres
from harness.sluice import Sluice
from suites import witness
from suites.masked import on_by_default
from suites.relay import Relay

# The superuser of the target. The gateway's user has the same name, so that a suite is started with the same words everywhere.
USER = "postgres"
# What every suite works in, made anew for each column.
DATABASE = "suite"
BACKENDS = ("uring", "epoll")
# Without rules; with rules that match nothing; with the redaction rule that is on by default.
RULES = ("plain", "rules", "redact")
# Other users whose logins suites test: of the server directly, of the gateway through it.
LOGINS = ("pass_user", "md5_user", "scram_user")
COLUMNS = ("direct", "relay", *(f"{backend}-{rules}" for backend in BACKENDS for rules in RULES))

SETTINGS = {
    "max_prepared_transactions": "20",
    "max_connections": "200",
    "wal_level": "logical",
}

# Rules that look at everything and match nothing.
POLICY = """
[[redaction]]
name    = "matches-nothing"
detect  = ["UK_NATIONAL_HEALTH_SERVICE_NUMBER"]
custom  = [{{ name = "NEVER", regex = "sluice-never-[0-9]{{12}}-seen" }}]
columns = ["public.no_such_relation.no_such_column"]
context = "required"
mask    = "label"

[[redaction]]
name   = "default"
detect = {detect}

[[guardrail]]
name  = "matches-nothing"
rules = [{{ deny_pattern = "sluice never reads this" }}]

[[group]]
name = "suites"
{users}
{connections}
"""

A_USER = """
[[user]]
name   = "{user}"
groups = ["suites"]
"""

CONNECTION = """
[[connection]]
name       = "{name}"
type       = "postgres"
{route}
host       = "127.0.0.1"
port       = {port}
database   = "postgres"
tls        = "prefer"
username   = "literal:{user}"
password   = "literal:{password}"
groups     = ["suites"]
redact     = {redact}
guardrails = {guardrails}
listen     = "127.0.0.1:0"
"""

ROUTES = {"agent": 'pool = "local"', "direct": 'via = "direct"'}
# Until the first token is known nobody logs in to the target by password.
TARGET_PASSWORD = "suite-target-secret"


class Column:
    """Where a suite connects to: host 127.0.0.1, this port, USER, this password."""

    # What the password of a user of the server itself is made.
    own_password = "password"

    def __init__(self, name, port, password, gateway=None):
        self.name, self.port, self.password, self.gateway = name, port, password, gateway

    def password_of(self, login):
        """The password by which one of `LOGINS` comes in."""
        return self.gateway.token(login) if self.gateway else self.own_password

    def environment(self):
        """What libpq and everything that follows it reads."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": self.password,
            "PGDATABASE": DATABASE,
        }


class Target:
    """A private server for one suite."""

    def __init__(self):
        self.server = Postgres(settings={**SETTINGS, **witness.SETTINGS}, tls=True)
        # The superuser comes by password too, as it does through a gateway.
        self.server.require_password(TARGET_PASSWORD)

    def reset(self):
        """The server as it was at the beginning: no databases, roles or objects of an earlier run."""
        self.server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        names = self.server.sql("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'").split()
        for name in names:
            self.server.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        roles = self.server.sql("SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname NOT LIKE '%\\_user'").split()
        for name in roles:
            self.server.sql(f'DROP OWNED BY "{name}" CASCADE', f'DROP ROLE "{name}"')
        self.server.sql("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public", "GRANT ALL ON SCHEMA public TO PUBLIC")
        for name in self.server.sql("SELECT gid FROM pg_prepared_xacts").split():
            self.server.sql(f"ROLLBACK PREPARED '{name}'")
        self.server.sql(f'CREATE DATABASE "{DATABASE}"')

    def close(self):
        self.server.close()


@contextlib.contextmanager
def column(name, target, via="direct"):
    """A column of that name, while it is open."""
    port = target.server.port
    if name == "direct":
        yield Column(name, port, TARGET_PASSWORD)
    elif name == "relay":
        relay = Relay(port)
        try:
            yield Column(name, relay.port, TARGET_PASSWORD)
        finally:
            relay.close()
    else:
        backend, rules = name.split("-")
        gateway = Sluice(policy(port, rules, via), backend=backend)
        try:
            own = gateway.addresses["connections"]["suite"].rsplit(":", 1)[1]
            yield Column(name, int(own), gateway.token(USER), gateway)
        finally:
            gateway.close()


def policy(port, rules, via):
    """One connection to the target, with or without rules."""
    redact = {"plain": "[]", "rules": '["matches-nothing"]', "redact": '["default"]'}[rules]
    guardrails = '["matches-nothing"]' if rules == "rules" else "[]"
    connection = CONNECTION.format(
        name="suite", route=ROUTES[via], port=port, user=USER, password=TARGET_PASSWORD, redact=redact, guardrails=guardrails
    )
    users = "".join(A_USER.format(user=user) for user in (USER, *LOGINS))
    detect = json.dumps([name for name, _ in on_by_default()])
    return POLICY.format(users=users, connections=connection, detect=detect)
