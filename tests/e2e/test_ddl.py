"""Column rules follow tables that are made, renamed and replaced while sessions run."""

import time

import psycopg
import pytest

from conftest import PASSWORD, ROUTES, connection, policy
from harness.sluice import Sluice

SECRET = "Ada Wanderer"
# Longer than a session goes on with what it knows (dataplane/session/src/limits.rs, COLUMNS_FRESH_TIME_MAX).
STALE_SECONDS = 5.5

RULES = """
[[redaction]]
name    = "columns-alone"
columns = ["{schema}.people.name"]

[[redaction]]
name         = "strict"
columns      = ["{schema}.people.name"]
unattributed = "mask"
"""


def text(port, schema, more=()):
    """Connections with rules on columns alone: no detector helps."""
    names = ", ".join(f'"{each}"' for each in (f"{schema}.people.name", *more))
    found = RULES.format(schema=schema).replace(f'["{schema}.people.name"]', f"[{names}]")
    for via in ROUTES:
        bare = {"port": port, "via": via, "database": "ddl", "guardrails": "[]"}
        found += connection(f"plain-{via}", **bare).replace('["personal-data"]', '["columns-alone"]')
        found += connection(f"strict-{via}", **bare).replace('["personal-data"]', '["strict"]')
    return policy(found)


@pytest.fixture(scope="module")
def gateway(target):
    if "ddl" not in target.sql("SELECT datname FROM pg_database"):
        target.create_database("ddl")
    sluice = Sluice(text(target.port, "public"), environment={"SHOP_PASSWORD": PASSWORD})
    yield sluice
    assert sluice.close() == 0


@pytest.fixture(params=sorted(ROUTES))
def via(request):
    return request.param


@pytest.fixture
def fresh(target):
    """The table as the rules know it, and another that looks like it."""
    target.sql(
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public",
        "GRANT ALL ON SCHEMA public TO PUBLIC",
        "SET ROLE scram_user",
        f"CREATE TABLE people (id int, name text); INSERT INTO people VALUES (1, '{SECRET}')",
        f"CREATE TABLE staging (id int, name text); INSERT INTO staging VALUES (1, '{SECRET}')",
        database="ddl",
    )


@pytest.fixture
def opened(gateway, via, fresh):
    links = []

    def run(name="plain", **options):
        links.append(psycopg.connect(gateway.url(f"{name}-{via}", "alice"), autocommit=True, **options))
        return links[-1]

    yield run
    for link in links:
        link.close()


def one(link, query, **options):
    return link.execute(query, **options).fetchone()[0]


def elsewhere(target, *statements):
    target.sql("SET ROLE scram_user", *statements, database="ddl")


def test_what_holds_before_anything_changes(opened):
    link = opened()
    assert one(link, "SELECT name FROM people") == "[NAME]******"
    assert one(link, "SELECT name FROM staging") == SECRET


@pytest.mark.parametrize("prepared", [False, True], ids=["simple", "prepared"])
def test_a_view_under_another_name_in_the_same_session(opened, prepared):
    link = opened()
    link.execute("CREATE VIEW v AS SELECT name AS x FROM people")
    assert one(link, "SELECT x FROM v", prepare=prepared) == "[NAME]******"
    link.execute("CREATE VIEW w AS SELECT x AS y FROM v")
    assert one(link, "SELECT y FROM w", prepare=prepared) == "[NAME]******"


def test_a_view_inside_a_transaction_and_after_it(opened):
    link = opened()
    link.execute("BEGIN")
    link.execute("CREATE VIEW v AS SELECT name AS x FROM people")
    assert one(link, "SELECT x FROM v") == "[NAME]******"
    link.execute("ROLLBACK")
    link.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    link.execute("SET TRANSACTION READ ONLY")
    assert one(link, "SELECT name FROM people") == "[NAME]******"
    link.execute("COMMIT")


def test_a_table_that_was_dropped_in_a_transaction_that_was_undone(opened):
    link = opened()
    link.execute("BEGIN")
    link.execute("DROP TABLE people")
    assert one(link, "SELECT 1") == 1
    link.execute("ROLLBACK")
    assert one(link, "SELECT name FROM people") == "[NAME]******"


def test_a_new_table_under_the_old_name(opened):
    link = opened()
    link.execute("DROP TABLE people")
    link.execute(f"CREATE TABLE people (extra int, name text); INSERT INTO people VALUES (1, '{SECRET}')")
    assert one(link, "SELECT name AS x FROM people") == "[NAME]******"


def test_tables_that_change_places_in_the_same_session(opened):
    link = opened()
    link.execute("ALTER TABLE people RENAME TO people_old")
    link.execute("ALTER TABLE staging RENAME TO people")
    assert one(link, "SELECT name AS x FROM people") == "[NAME]******"
    assert one(link, "SELECT name AS x FROM people_old") == "[NAME]******", "it is the same column as before"


def test_a_column_that_is_renamed_and_made_anew(opened):
    link = opened()
    link.execute("ALTER TABLE people RENAME COLUMN name TO called")
    assert one(link, "SELECT called FROM people") == "[NAME]******"
    link.execute("ALTER TABLE people ADD COLUMN name text")
    link.execute(f"UPDATE people SET name = '{SECRET}'")
    assert one(link, "SELECT name AS x FROM people") == "[NAME]******"


def test_what_code_on_the_server_does(opened):
    link = opened()
    link.execute("DO $$ BEGIN EXECUTE 'CREATE VIEW v AS SELECT name AS x FROM people'; END $$")
    assert one(link, "SELECT x FROM v") == "[NAME]******"


def test_what_another_session_does_is_seen_in_time(opened, target):
    link = opened()
    assert one(link, "SELECT 1") == 1
    elsewhere(target, "ALTER TABLE people RENAME TO people_old", "ALTER TABLE staging RENAME TO people", "CREATE VIEW v AS SELECT name AS x FROM people")
    time.sleep(STALE_SECONDS)
    assert one(link, "SELECT name AS x FROM people") == "[NAME]******"
    assert one(link, "SELECT x FROM v") == "[NAME]******"


def test_an_unknown_relation_is_no_source_that_is_trusted(opened, target):
    """Where text of unknown origin is masked, so is that of a relation that nobody has looked at: within one message, nobody could."""
    link = opened("strict")
    batch = f"CREATE TABLE young (x text); INSERT INTO young VALUES ('{SECRET}'); SELECT x FROM young"
    cursor = link.execute(batch)
    while cursor.description is None:
        assert cursor.nextset()
    assert SECRET not in cursor.fetchone()[0]
    # Looked at, it is a table like any other.
    assert one(link, "SELECT x FROM young") == SECRET


def test_pipelines_and_unnamed_statements_are_not_disturbed(opened):
    link = opened()
    with link.pipeline():
        link.execute("CREATE VIEW v AS SELECT name AS x FROM people")
        first = link.execute("SELECT x FROM v")
        second = link.execute("SELECT name FROM people")
    assert "[NAME]******" in second.fetchone() and first.fetchone() is not None
    # A Query between Parse and Bind would end the unnamed statement.
    link.execute("CREATE TABLE t (a int)")
    assert one(link, "SELECT %s::int", params=[7]) == 7
    assert link.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'sluice%'").fetchone()[0] == 0


def test_a_target_that_refuses_to_be_asked_is_asked_again(opened):
    link = opened()
    link.execute("CREATE VIEW v AS SELECT name AS x FROM people; SET statement_timeout = 1")
    for _ in range(3):
        try:
            assert one(link, "SELECT name FROM people") == "[NAME]******"
        except psycopg.errors.QueryCanceled:
            continue
    link.execute("SET statement_timeout = 0")
    time.sleep(1.1)
    assert one(link, "SELECT x FROM v") == "[NAME]******"


def test_rules_that_name_other_columns_reach_live_sessions(gateway, opened, target):
    link = opened()
    assert one(link, "SELECT name FROM staging") == SECRET
    try:
        gateway.apply(text(target.port, "public", more=["public.aaa.bbb", "public.staging.name"]))
        assert one(link, "SELECT name AS x FROM staging") != SECRET
        assert one(link, "SELECT name AS x FROM people") == "[NAME]******"
        assert one(link, "SELECT 'x'::text") == "x"
    finally:
        gateway.apply(text(target.port, "public"))
    assert one(link, "SELECT name FROM staging") == SECRET


def test_the_record_and_the_server_agree(gateway, opened, target):
    link = opened()
    link.execute("CREATE VIEW v AS SELECT name AS x FROM people")
    link.execute("SELECT x FROM v")
    link.close()
    wanted = ["CREATE VIEW v AS SELECT name AS x FROM people", "SELECT x FROM v"]
    deadline = time.monotonic() + 20
    found = []
    while wanted not in found:
        assert time.monotonic() < deadline, found
        found = [[each["text"] for each in gateway.session(session["id"])["statements"]] for session in gateway.sessions()[:3]]
