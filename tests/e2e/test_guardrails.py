"""What a guardrail denies does not reach the target, and the session goes on."""

import os

import psycopg
import pytest

from harness.sluice import ROOT

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


# Statements with what they do; lines that begin with `!` are refused by the server's grammar.
CORPUS = os.path.join(ROOT, "codecs", "src", "wire", "sql", "tests", "corpus.txt")
SYNTAX = ("syntax error", "unterminated", "invalid Unicode")


def corpus():
    """Effects, text, and whether the server's grammar takes it."""
    with open(CORPUS, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                effects, _, text = line.rstrip("\n").partition(" | ")
                plain = text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")
                yield effects.removeprefix("! "), plain, not effects.startswith("!")


def test_the_corpus_is_what_the_server_takes_it_for(target):
    """Parse alone: grammar and names are checked, nothing runs."""
    wrong = []
    with psycopg.connect(target.url("shop"), autocommit=True) as link:
        for effects, text, accepted in corpus():
            result = link.pgconn.prepare(b"", text.encode())
            message = (result.error_message or b"").decode().removeprefix("ERROR:  ")
            if accepted == message.startswith(SYNTAX):
                wrong.append((text, message))
    assert not wrong, wrong


def test_where_everything_is_denied_nothing_of_the_corpus_arrives(target, connect):
    link = connect("guarded", autocommit=True)
    begins = len(target.log())
    passed = []
    for effects, text, _ in corpus():
        # With the simple protocol, then with the extended one.
        results = [link.pgconn.exec_(text.encode()), link.pgconn.exec_params(text.encode(), [])]
        if any(result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) != b"42501" for result in results):
            passed.append((effects, text, [result.error_message for result in results]))
    assert not passed, passed
    seen = target.log()[begins:]
    assert not [text for _, text, _ in corpus() if len(text) > 16 and text.strip() in seen]


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
