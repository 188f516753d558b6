"""What a guardrail denies does not reach the target, and the session goes on."""

import psycopg
import pytest

DENIED = [
    "DELETE FROM orders",
    "delete/**/from/**/orders",
    "DELETE FROM orders -- WHERE id = 1",
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "PREPARE p AS DELETE FROM orders",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "DO $$ BEGIN EXECUTE 'DELETE ' || 'FROM orders'; END $$",
    "UPDATE orders SET total = 0",
    "SELECT 1; DELETE FROM orders; SELECT 2",
    "DROP TABLE orders",
    "TRUNCATE orders",
    "SELECT 'x\\'; DROP TABLE orders; --'",
]


def count(target):
    return target.sql("SELECT count(*), sum(total) FROM orders", database="shop").strip()


def test_delete_without_where_is_refused_with_the_message(target, psql, shop):
    before = count(target)
    done = psql(shop, "DELETE FROM orders", options=["-v", "VERBOSITY=verbose"], check=False)
    assert done.returncode != 0
    assert "42501" in done.stderr
    assert "name the rows that are to go" in done.stderr
    assert count(target) == before
    assert "DELETE FROM orders" not in [line.split("statement: ")[-1] for line in target.log().splitlines()]


@pytest.mark.parametrize("statement", DENIED)
def test_disguises_do_not_help(target, connect, shop, statement):
    before = count(target)
    connection = connect(shop, autocommit=True)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.cursor().execute(statement)
    assert count(target) == before
    assert connection.execute("SELECT 1").fetchone() == (1,), "the session goes on"


def test_extended_protocol_is_judged_too(target, connect, shop):
    before = count(target)
    connection = connect(shop, autocommit=True)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE orders SET total = %s", [0])
    assert count(target) == before
    assert connection.execute("SELECT %s::int", [1]).fetchone() == (1,)


def test_a_denied_statement_fails_its_transaction(target, connect, shop):
    before = count(target)
    connection = connect(shop)
    connection.execute("INSERT INTO orders VALUES (1000, 1, 1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM orders")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert count(target) == before


def test_what_is_allowed_works(target, connect, shop):
    with connect(shop) as connection:
        connection.execute("INSERT INTO orders VALUES (2000, 1, 5)")
        assert connection.execute("UPDATE orders SET total = 6 WHERE id = 2000").rowcount == 1
        assert connection.execute("DELETE FROM orders WHERE id = 2000 AND total = 6").rowcount == 1
        assert connection.execute("SELECT 'DELETE FROM orders'").fetchone() == ("DELETE FROM orders",)


def test_pipelined_statements_behind_a_denied_one_are_not_run(target, connect, shop):
    connection = connect(shop, autocommit=True)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.pipeline():
        connection.execute("INSERT INTO orders VALUES (3000, 1, 1)")
        connection.execute("DELETE FROM orders")
        connection.execute("INSERT INTO orders VALUES (3001, 1, 1)")
    assert target.sql("SELECT count(*) FROM orders WHERE id IN (3000, 3001)", database="shop").strip() == "0"


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN EXECUTE chr(68) || 'ROP TABLE IF EXISTS nothing'; END $$",
        "FROBNICATE TABLE orders",
    ],
)
def test_what_cannot_be_read_is_refused_where_effects_are_guarded(target, connect, shop, statement):
    before = len(target.log())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cannot be told"):
        connect(shop, autocommit=True).execute(statement)
    assert statement not in target.log()[before:]
