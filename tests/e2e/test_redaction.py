"""Personal data is hidden from those who are not to see it, and from nobody else."""

import asyncio
import subprocess

import asyncpg
import psycopg
import pytest

SECRETS = ["ada.wanderer@example.com", "bo.lindqvist@example.org", "4111111111111111", "DE89370400440532013000", "536-22-8726", "bo@work.example.net"]
NAMES = ["Ada Wanderer", "Bo Lindqvist", "Chidi Okonkwo"]
QUERY = "SELECT * FROM customers ORDER BY id"


def directly(target):
    return subprocess.run(["psql", "-X", "-At", target.url("shop"), "-c", QUERY], capture_output=True, text=True, check=True).stdout


def test_text_rows_are_masked(target, psql, shop):
    plain = directly(target)
    for secret in SECRETS + NAMES:
        assert secret in plain, "the direct connection shows it, so that hiding it means something"
    masked = psql(shop, QUERY).stdout
    for secret in SECRETS + NAMES:
        assert secret not in masked
    assert "no personal data here" in masked
    assert "call back on Monday" in masked


def test_labels_keep_the_length(target, psql, shop):
    plain = [line.split("|") for line in directly(target).splitlines()]
    masked = [line.split("|") for line in psql(shop, QUERY).stdout.splitlines()]
    assert [[len(cell) for cell in row] for row in plain] == [[len(cell) for cell in row] for row in masked]
    assert [row[0] for row in masked] == ["1", "2", "3"]


def test_excepted_group_sees_everything(target, psql, shop):
    assert psql(shop, QUERY, user="dana").stdout == directly(target)


def test_column_rule_follows_the_column_not_its_alias(psql, shop):
    masked = psql(shop, "SELECT name AS id, id AS name FROM customers ORDER BY 2").stdout
    for name in NAMES:
        assert name not in masked
    assert [line.split("|")[1] for line in masked.splitlines()] == ["1", "2", "3"]


def test_column_rule_follows_a_prepared_statement_to_the_table_that_it_reads_now(sluice, target, shop):
    # Of the same shape; the server looks names up again when the path changes.
    target.sql(
        "CREATE SCHEMA IF NOT EXISTS decoy",
        "CREATE TABLE IF NOT EXISTS decoy.customers (LIKE public.customers)",
        "GRANT USAGE ON SCHEMA decoy TO PUBLIC",
        "GRANT SELECT ON decoy.customers TO PUBLIC",
        database="shop",
    )

    async def read(**where):
        link = await asyncpg.connect(host="127.0.0.1", ssl=False, **where)
        try:
            await link.execute("SET search_path = decoy")
            statement = await link.prepare("SELECT name FROM customers ORDER BY id")
            assert await statement.fetch() == []
            await link.execute("SET search_path = public")
            return [row[0] for row in await statement.fetch()]
        finally:
            await link.close()

    assert asyncio.run(read(port=target.port, user="postgres", database="shop")) == NAMES
    masked = asyncio.run(read(port=sluice.port, user="alice", password=sluice.token("alice"), database=shop))
    assert len(masked) == len(NAMES)
    assert not set(masked) & set(NAMES)


@pytest.mark.parametrize("binary", [False, True])
def test_extended_protocol_rows_are_masked(connect, shop, binary):
    rows = connect(shop).execute("SELECT email, note FROM customers WHERE id = %s", [2], binary=binary).fetchall()
    assert len(rows) == 1
    assert "bo.lindqvist" not in rows[0][0] and "bo@work" not in rows[0][1]
    assert rows[0][1].startswith("wrote from ")


def test_copy_out_is_masked(connect, shop):
    with connect(shop).cursor().copy("COPY customers (id, email) TO STDOUT") as copy:
        data = b"".join(bytes(piece) for piece in copy)
    assert data.count(b"\n") == 3
    assert b"example.com" not in data and b"example.org" not in data


def test_error_messages_are_masked(connect, shop):
    with pytest.raises(psycopg.Error) as error:
        connect(shop).execute("SELECT 'ada.wanderer@example.com'::int")
    # The rest of the exception's text is the client's own: it quotes the statement that it sent.
    assert error.value.diag.message_primary.startswith("invalid input syntax")
    assert "ada.wanderer" not in error.value.diag.message_primary
    assert error.value.sqlstate == "22P02"


def test_notices_are_masked(connect, shop):
    seen = []
    open_connection = connect(shop)
    open_connection.add_notice_handler(lambda notice: seen.append(notice.message_primary))
    open_connection.execute("DO $$ BEGIN RAISE NOTICE 'mail ada.wanderer@example.com'; END $$")
    assert len(seen) == 1 and seen[0].startswith("mail ") and "ada.wanderer" not in seen[0]


def test_values_without_personal_data_pass_unchanged(target, psql, shop):
    query = "SELECT n, md5(n::text), repeat('x', n), n * 1.5 FROM generate_series(1, 2000) AS n"
    plain = subprocess.run(["psql", "-X", "-At", target.url("shop"), "-c", query], capture_output=True, text=True, check=True).stdout
    assert psql(shop, query).stdout == plain
