"""Odd ways to read a value: each shows it without the gateway, and none through it."""

import re

import psycopg
import pytest
from psycopg import pq

EMAIL = b"ada.wanderer@example.com"
CARD = b"4111111111111111"

SETUP = """
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS citext;
DROP SCHEMA IF EXISTS odd CASCADE;
CREATE SCHEMA odd;
CREATE TYPE odd.textrange AS RANGE (subtype = text);
CREATE DOMAIN odd.mail AS text;
CREATE DOMAIN odd.mails AS odd.mail[];
CREATE TYPE odd.pair AS (a int, b odd.mail);
CREATE TYPE odd.deep AS (p odd.pair, q odd.pair[]);
CREATE TABLE odd.t AS SELECT email, card FROM public.customers WHERE id = 1;
CREATE FUNCTION odd.tell() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE 'm %', (SELECT email FROM odd.t) USING DETAIL = (SELECT email FROM odd.t), HINT = (SELECT email FROM odd.t),
    COLUMN = (SELECT email FROM odd.t), CONSTRAINT = (SELECT email FROM odd.t), DATATYPE = (SELECT email FROM odd.t),
    TABLE = (SELECT email FROM odd.t), SCHEMA = (SELECT email FROM odd.t);
END $$;
CREATE FUNCTION odd.fail(x text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1/0 /* ' || x || ' */'; RETURN 1; END $$;
GRANT ALL ON SCHEMA odd TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA odd TO PUBLIC;
"""

# Name: what is asked, of a table with one e-mail address and one card number.
VALUES = {
    "array of arrays": "SELECT ARRAY[[email, 'x'], ['y', 'z']] FROM odd.t",
    "array with bounds": "SELECT ('[5:6]={' || email || ',x}')::text[] FROM odd.t",
    "domain": "SELECT email::odd.mail FROM odd.t",
    "array of a domain": "SELECT ARRAY[email]::odd.mail[] FROM odd.t",
    "domain over an array": "SELECT ARRAY[email]::odd.mails FROM odd.t",
    "composite": "SELECT ROW(1, email)::odd.pair FROM odd.t",
    "array of composites": "SELECT ARRAY[ROW(1, email)::odd.pair, ROW(2, 'x')::odd.pair] FROM odd.t",
    "composite of composites": "SELECT ROW(ROW(1, 'x')::odd.pair, ARRAY[ROW(1, email)::odd.pair])::odd.deep FROM odd.t",
    "anonymous record": "SELECT ROW(1, ROW(email, 'a \"quoted\" text')) FROM odd.t",
    "whole row": "SELECT t FROM odd.t",
    "range of text": "SELECT odd.textrange(email, 'z') FROM odd.t",
    "range of text, quoted": "SELECT odd.textrange('\"a, b\" ' || email, 'z') FROM odd.t",
    "multirange of text": "SELECT odd.textmultirange(odd.textrange(email, 'z')) FROM odd.t",
    "array of ranges": "SELECT ARRAY[odd.textrange(email, 'z')] FROM odd.t",
    "key of jsonb": "SELECT jsonb_build_object(email, 1) FROM odd.t",
    "key of json": "SELECT json_build_object(email, 1) FROM odd.t",
    "json in json": "SELECT to_jsonb(jsonb_build_object('a', email)::text) FROM odd.t",
    "array of jsonb": "SELECT ARRAY[jsonb_build_object('a', email)] FROM odd.t",
    "path of json": "SELECT ('$.\"' || email || '\"')::jsonpath FROM odd.t",
    "attribute of xml": "SELECT xmlelement(name a, xmlattributes(email AS b)) FROM odd.t",
    "text of xml": "SELECT xmlforest(email) FROM odd.t",
    "query to xml": "SELECT query_to_xml('SELECT email FROM odd.t', true, false, '')",
    "hstore value": "SELECT hstore('k', email) FROM odd.t",
    "hstore key": "SELECT hstore(email, 'v') FROM odd.t",
    "array of hstore": "SELECT ARRAY[hstore('k', email)] FROM odd.t",
    "citext": "SELECT email::citext FROM odd.t",
    "name": "SELECT email::name FROM odd.t",
    "array of names": "SELECT ARRAY[email::name] FROM odd.t",
    "padded": "SELECT email::char(60) FROM odd.t",
    "text search vector": "SELECT ('''' || email || '''')::tsvector FROM odd.t",
    "text search query": "SELECT ('''' || email || '''')::tsquery FROM odd.t",
    "bytea": "SELECT email::bytea FROM odd.t",
    "array of bytea": "SELECT ARRAY[email::bytea] FROM odd.t",
    "text of bytea": "SELECT email::bytea::text FROM odd.t",
    "quoted literal": "SELECT quote_literal(email || '''') FROM odd.t",
    "quoted identifier": "SELECT quote_ident(email) FROM odd.t",
    "void": "SELECT NULL::void, email FROM odd.t",
    "unknown": "SELECT current_setting('my.mail') FROM set_config('my.mail', (SELECT email FROM odd.t), false)",
    "refcursor": "SELECT email::refcursor FROM odd.t",
    "regex": "SELECT regexp_matches(email, '.*') FROM odd.t",
    "explain": "EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM odd.t WHERE email = 'ada.wanderer@example.com'",
    "statement of another session": "SELECT query FROM pg_stat_activity WHERE query LIKE '%ada.wanderer@example.com%' LIMIT 1",
    "statistics": "SELECT most_common_vals FROM pg_stats WHERE false UNION ALL SELECT ARRAY[email]::text[]::anyarray FROM odd.t WHERE false UNION ALL SELECT NULL",
}
VALUES.pop("statistics")
NUMBERS = {
    "numeric": "SELECT card::numeric FROM odd.t",
    "numeric with a fraction": "SELECT card::numeric(20, 2) FROM odd.t",
    "array of numerics": "SELECT ARRAY[card::numeric, 7] FROM odd.t",
    "array of arrays of bigints": "SELECT ARRAY[[card::bigint], [7]] FROM odd.t",
    "composite with a bigint": "SELECT ROW(card::bigint, 'x') FROM odd.t",
    "range of bigints": "SELECT int8range(card::bigint, card::bigint + 10) FROM odd.t",
    "json number": "SELECT jsonb_build_object('n', card::bigint) FROM odd.t",
    "number formatted": "SELECT to_char(card::bigint, '9999 9999 9999 9999') FROM odd.t",
}
COPIES = {
    "delimiter @": "COPY odd.t TO STDOUT (DELIMITER '@')",
    "delimiter .": "COPY (SELECT email, 1 FROM odd.t) TO STDOUT (FORMAT csv, DELIMITER '.')",
    "delimiter @ in CSV": "COPY odd.t TO STDOUT (FORMAT csv, DELIMITER '@')",
    "quote e": "COPY odd.t TO STDOUT (FORMAT csv, FORCE_QUOTE *, QUOTE 'e')",
    "quote @": "COPY odd.t TO STDOUT (FORMAT csv, FORCE_QUOTE *, QUOTE '@')",
    "escape @": "COPY odd.t TO STDOUT (FORMAT csv, FORCE_QUOTE *, ESCAPE '@')",
    "escape .": "COPY odd.t TO STDOUT (FORMAT csv, FORCE_QUOTE *, ESCAPE '.')",
    "escape and quote": "COPY odd.t TO STDOUT (FORMAT csv, FORCE_QUOTE *, ESCAPE 'm', QUOTE 'x')",
    "null": "COPY odd.t TO STDOUT (NULL 'ada')",
    "header": "COPY odd.t TO STDOUT (FORMAT csv, HEADER)",
    "old words": "COPY odd.t TO STDOUT WITH CSV QUOTE AS '@'",
    "encoding": "COPY odd.t TO STDOUT (ENCODING 'LATIN1')",
    "encoding of East Asia": "COPY odd.t TO STDOUT (ENCODING 'SJIS')",
    "binary": "COPY odd.t TO STDOUT (FORMAT binary)",
    "bytea in text": "COPY (SELECT email::bytea FROM odd.t) TO STDOUT",
    "composite in text": "COPY (SELECT ROW(email, E'a\\\\b') FROM odd.t) TO STDOUT",
    "array in CSV": "COPY (SELECT ARRAY[email, 'a \"b\"'] FROM odd.t) TO STDOUT (FORMAT csv)",
    "json in text": "COPY (SELECT json_build_object('a', email || E'\\n') FROM odd.t) TO STDOUT",
}


@pytest.fixture(scope="module")
def shop_with_odd(target):
    target.sql(*[part for part in [SETUP]], database="shop")
    return target


@pytest.fixture
def both(shop_with_odd, connect, shop):
    """A connection around the gateway and one through it, without guardrails."""
    with psycopg.connect(shop_with_odd.url("shop"), autocommit=True) as direct:
        yield direct, connect(shop.replace("shop", "bare"), autocommit=True)


def forms(data, secret):
    """The value as a reader could put it together from what the wire carries."""
    yield data
    yield data.replace(b"\\", b"")
    yield data.replace(b'"', b"")
    for byte in set(secret):
        one = bytes([byte])
        yield data.replace(one * 2, one)
        yield data.replace(b"\\" + one, one)
    yield re.sub(b"m([mx])", rb"\1", data)
    for part in data.replace(b'"', b" ").replace(b"\\", b" ").replace(b"{", b" ").replace(b"}", b" ").replace(b",", b" ").replace(b"(", b" ").replace(b")", b" ").split():
        if part[:1] == b"x":
            try:
                yield bytes.fromhex(part[1:].decode())
            except (ValueError, UnicodeDecodeError):
                continue


def shows(data, secret):
    return any(secret in form for form in forms(data, secret))


def read(link, query, binary):
    result = link.pgconn.exec_params(query.encode(), None, result_format=int(binary))
    if result.status != pq.ExecStatus.TUPLES_OK:
        return None, result.error_message
    cells = [result.get_value(row, column) for row in range(result.ntuples) for column in range(result.nfields)]
    return b"\n".join(bytes(cell) for cell in cells if cell is not None), b""


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("name", sorted(VALUES))
def test_values(both, name, binary):
    direct, through = both
    before, refused = read(direct, VALUES[name], binary)
    if before is None and binary:
        pytest.skip(f"the server has no binary form: {refused!r}")
    assert shows(before, EMAIL), before
    after, refused = read(through, VALUES[name], binary)
    assert after is not None, refused
    assert not shows(after, EMAIL), after


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_numbers(both, name):
    direct, through = both
    digits = lambda data: data.replace(b" ", b"").replace(b",", b"\n")  # noqa: E731
    before, _ = read(direct, NUMBERS[name], False)
    assert CARD in digits(before), before
    after, refused = read(through, NUMBERS[name], False)
    assert after is not None, refused
    assert CARD not in digits(after), after
    # In binary a number is decoded by the driver.
    values = [str(cell) for row in through.execute(NUMBERS[name], binary=True).fetchall() for cell in row]
    assert not any(CARD.decode() in value.replace(" ", "") for value in values), values


def copied(link, query):
    with link.cursor().copy(query) as copy:
        return b"".join(bytes(piece) for piece in copy)


@pytest.mark.parametrize("name", sorted(COPIES))
def test_copies(both, name):
    direct, through = both
    assert shows(copied(direct, COPIES[name]), EMAIL)
    after = copied(through, COPIES[name])
    assert not shows(after, EMAIL), after


@pytest.mark.parametrize("settings", [
    ["bytea_output = 'escape'"],
    ["standard_conforming_strings = off"],
    ["client_encoding = 'LATIN1'"],
    ["client_encoding = 'SQL_ASCII'"],
    ["client_encoding = 'SJIS'"],
    ["client_encoding = 'EUC_JP'"],
    ["client_encoding = 'WIN1251'"],
    ["xmlbinary = 'base64'", "xmloption = 'content'"],
    ["array_nulls = off", "quote_all_identifiers = on"],
], ids=lambda settings: settings[0].split(" = ")[-1].strip("'") + " " + settings[0].split()[0])
def test_settings(both, settings):
    direct, through = both
    for name in ("bytea", "array of bytea", "text of bytea", "composite", "hstore value", "text of xml", "key of jsonb", "range of text", "text search vector"):
        for link in (direct, through):
            for setting in settings:
                link.pgconn.exec_(f"SET {setting}".encode())
        before, _ = read(direct, VALUES[name], False)
        assert shows(before, EMAIL), (name, before)
        after, refused = read(through, VALUES[name], False)
        assert after is not None, refused
        assert not shows(after, EMAIL), (name, after)


def test_cursors_in_binary(both):
    direct, through = both
    for link in both:
        link.execute("BEGIN")
        link.execute("DECLARE c BINARY CURSOR FOR SELECT ARRAY[email], ROW(email, 1), card::bigint FROM odd.t")
    before = direct.pgconn.exec_(b"FETCH ALL FROM c")
    after = through.pgconn.exec_(b"FETCH ALL FROM c")
    cells = lambda result: b"|".join(bytes(result.get_value(0, at)) for at in range(3))  # noqa: E731
    number = int(CARD).to_bytes(8, "big")
    assert before.fformat(0) == 1 and EMAIL in cells(before) and number in cells(before)
    assert EMAIL not in cells(after) and number not in cells(after)


def test_what_is_said_beside_results(both):
    direct, through = both
    for link, visible in ((direct, True), (through, False)):
        heard = []
        link.add_notice_handler(lambda notice, heard=heard: heard.append(b"".join(bytes(getattr(notice, field) or "", "utf-8") for field in (
            "message_primary", "message_detail", "message_hint", "column_name", "constraint_name", "datatype_name", "table_name", "schema_name"))))
        link.execute("SELECT odd.tell()")
        assert heard[0].count(EMAIL) == (8 if visible else 0), heard
        # Of a text that is no JSON the server shows what stands before the mistake, so that is a text with an address and then a mistake.
        queries = ("SELECT odd.fail(email)", "SELECT email::int", "SELECT ('[\"' || email || '\", x]')::json", "SELECT xmlparse(document email)")
        for query in (f"{query} FROM odd.t" for query in queries):
            with pytest.raises(psycopg.Error) as raised:
                link.execute(query)
            diagnostics = raised.value.diag
            said = "".join(str(getattr(diagnostics, field) or "") for field in ("message_primary", "message_detail", "message_hint", "context", "internal_query"))
            assert (EMAIL.decode() in said) == visible, (query, said)
        link.execute("SELECT set_config('application_name', email, false) FROM odd.t")
        link.execute("LISTEN heard")
        link.execute("SELECT pg_notify('heard', email) FROM odd.t")
        told = next(link.notifies(timeout=5, stop_after=1))
        assert (told.payload == EMAIL.decode()) == visible
        reported = link.pgconn.parameter_status(b"application_name")
        assert (EMAIL in reported) == visible


def test_large_objects(both):
    direct, through = both
    number = direct.execute("SELECT lo_from_bytea(0, email::bytea) FROM odd.t").fetchone()[0]
    direct.execute(f"GRANT SELECT ON LARGE OBJECT {number} TO PUBLIC")
    try:
        query = f"SELECT lo_get({number}), loread(lo_open({number}, 262144), 100)"
        for binary in (False, True):
            before, _ = read(direct, query, binary)
            assert shows(before, EMAIL)
            after, refused = read(through, query, binary)
            assert after is not None and not shows(after, EMAIL), (after, refused)
    finally:
        direct.execute(f"SELECT lo_unlink({number})")


def test_code_that_is_made_at_run_time(both):
    direct, through = both
    for link, visible in ((direct, True), (through, False)):
        link.execute("PREPARE p AS SELECT email, ARRAY[email] FROM odd.t")
        result = link.pgconn.exec_(b"EXECUTE p")
        assert (EMAIL in bytes(result.get_value(0, 0)) + bytes(result.get_value(0, 1))) == visible
        link.execute("DO $$ BEGIN PERFORM set_config('my.found', (SELECT email FROM odd.t), false); END $$")
        assert (link.execute("SHOW my.found").fetchone()[0] == EMAIL.decode()) == visible
