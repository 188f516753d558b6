"""The leak matrix by types: what is found in a value of a type, by whatever way it is read; what is masked still decodes as its type."""

import asyncio
import re

import asyncpg
import psycopg
import pytest
from psycopg import pq

from conftest import PASSWORD, ROUTES, connection, policy
from harness.sluice import Sluice

EMAIL = "hidden.person@secret-mail.org"
HEX = EMAIL.encode().hex()
CARD = "4012888888881881"

# A value of each type that nothing is to be found in.
HARMLESS = {
    "bool": "true", "int2": "7", "int4": "70000", "int8": "7000000000", "float4": "1.5", "float8": "2.25", "numeric": "12.50", "money": "12.50",
    "text": "plain", "varchar": "plain", "bpchar": "plain", "name": "plain", "bytea": r"\x00ff10", "date": "2024-02-29", "time": "12:34:56.7",
    "timetz": "12:34:56+02", "timestamp": "2024-02-29 12:34:56", "timestamptz": "2024-02-29 12:34:56+00", "interval": "1 mon 2 days 03:04:05",
    "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "inet": "192.168.1.5/24", "cidr": "10.0.0.0/8", "macaddr": "08:00:2b:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05", "bit(4)": "1010", "varbit": "101", "point": "(1,2)", "line": "{1,2,3}", "lseg": "[(0,0),(1,1)]",
    "box": "(1,1),(0,0)", "path": "((0,0),(1,1))", "polygon": "((0,0),(1,1),(1,0))", "circle": "<(0,0),1>", "json": '{"a": [1, "x"]}',
    "jsonb": '{"a": [1, "x"]}', "xml": "<a>x</a>", "tsvector": "'a' 'b'", "tsquery": "'a' & 'b'", "jsonpath": '$."a"', "oid": "26", "pg_lsn": "0/16B3748",
    "hstore": '"a"=>"b"', "int4range": "[1,5)", "numrange": "[1.5,2.5)", "tsrange": "[2024-01-01,2024-02-01)", "daterange": "[2024-01-01,2024-02-01)",
    "int8multirange": "{[1,5),[7,9)}", "text[]": "{a,NULL,b}", "int4[]": "{1,2}", "numeric[]": "{1.5}", "bool[]": "{t}", "uuid[]": "{}", "date[]": "{2024-02-29}",
    "jsonb[]": '{"{}"}', "bytea[]": '{"\\\\x00"}', "typed.pair": "(1,plain)", "typed.pair[]": '{"(1,plain)"}', "typed.mood": "calm", "typed.address": "plain",
}  # fmt: skip

# A value of each type that can hold text, with a needle in it.
HOLDING = {
    "text": EMAIL, "varchar": EMAIL, "bpchar": EMAIL, "name": EMAIL, "bytea": f"\\x{HEX}", "json": f'{{"m": "{EMAIL}", "{EMAIL}": 1}}',
    "jsonb": f'{{"m": ["{EMAIL}"], "{EMAIL}": 1}}', "xml": f'<a b="{EMAIL}">{EMAIL}</a>', "tsvector": f"'{EMAIL}':1", "tsquery": f"'{EMAIL}' & 'b'",
    "jsonpath": f'$."{EMAIL}"', "hstore": f'"a"=>"{EMAIL}", "{EMAIL}"=>NULL', "typed.textrange": f"[a,{EMAIL}]",
    "typed.textmultirange": f"{{[a,{EMAIL}]}}", "text[]": f"{{a,{EMAIL}}}", "jsonb[]": '{"{\\"m\\": \\"' + EMAIL + '\\"}"}', "bytea[]": f'{{"\\\\x{HEX}"}}',
    "hstore[]": '{"\\"a\\"=>\\"' + EMAIL + '\\""}', "xml[]": f"{{<a>{EMAIL}</a>}}", "typed.textrange[]": f'{{"[a,{EMAIL}]"}}',
    "typed.pair": f"(1,{EMAIL})", "typed.pair[]": f'{{"(1,{EMAIL})"}}', "typed.nested": f'(1,"(1,{EMAIL})","{{{EMAIL}}}")', "typed.mood": EMAIL,
    "typed.address": EMAIL, "numeric": CARD, "int8": CARD, "int8[]": f"{{{CARD}}}", "numeric[]": f"{{{CARD}}}", "int8range": f"[{CARD},)",
    "int8multirange": f"{{[{CARD},)}}",
}  # fmt: skip

WAYS = {
    "alias": "SELECT {c} AS id FROM typed.holding",
    "view": "SELECT {c} FROM typed.seen",
    "union": "SELECT {c} FROM typed.holding UNION ALL SELECT {c} FROM typed.holding",
    "concatenation": "SELECT '<' || {c}::text || '>' FROM typed.holding",
    "row_to_json": "SELECT row_to_json(x) FROM (SELECT {c} FROM typed.holding) x",
    "to_jsonb": "SELECT to_jsonb({c}) FROM typed.holding",
    "array_agg": "SELECT array_agg({c}) FROM typed.holding",
    "record": "SELECT ROW(1, {c}) FROM typed.holding",
    "returning": "UPDATE typed.holding SET id = id RETURNING {c}",
    "function": "SELECT {c} FROM typed.all_of_it()",
    "xml of a query": "SELECT xmlforest({c}::text AS v) FROM typed.holding",
    "aggregate": "SELECT string_agg({c}::text, ' ') FROM typed.holding",
}

PREPARE = """
DROP SCHEMA IF EXISTS typed CASCADE;
CREATE SCHEMA typed;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE typed.pair AS (id int, word text);
CREATE TYPE typed.nested AS (id int, pair typed.pair, words text[]);
CREATE TYPE typed.mood AS ENUM ('calm', '{email}');
CREATE TYPE typed.textrange AS RANGE (subtype = text, multirange_type_name = typed.textmultirange);
CREATE DOMAIN typed.address AS text;
CREATE TABLE typed.harmless (id int, {harmless});
CREATE TABLE typed.hidden (id int, {harmless});
CREATE TABLE typed.holding (id int, {holding});
CREATE VIEW typed.seen AS SELECT * FROM typed.holding;
CREATE FUNCTION typed.all_of_it() RETURNS SETOF typed.holding LANGUAGE sql AS 'SELECT * FROM typed.holding';
GRANT ALL ON SCHEMA typed TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA typed TO PUBLIC;
"""


def columns(types):
    """Name and type of the column for each type."""
    return {f"c{number}": kind for number, kind in enumerate(types)}


def insert(table, types):
    values = ", ".join("'" + value.replace("'", "''") + "'" for value in types.values())
    return f"INSERT INTO typed.{table} VALUES (1, {values})"


def needles(kind):
    """In which forms the value could be seen, as bytes."""
    if CARD not in HOLDING[kind]:
        return [EMAIL.encode(), HEX.encode()]
    groups = b"".join(int(CARD[at : at + 4]).to_bytes(2, "big") for at in range(0, 16, 4))
    return [CARD.encode(), int(CARD).to_bytes(8, "big"), groups]


@pytest.fixture(scope="module", autouse=True)
def tables(target):
    def listed(types):
        return ", ".join(f"{name} {kind}" for name, kind in columns(types).items())

    target.sql(PREPARE.format(email=EMAIL, harmless=listed(HARMLESS), holding=listed(HOLDING)), database="shop")
    target.sql(insert("harmless", HARMLESS), insert("hidden", HARMLESS), insert("holding", HOLDING), database="shop")
    yield
    target.sql("DROP SCHEMA typed CASCADE", database="shop")


@pytest.fixture(scope="module")
def gateway(target, tables):
    """Detectors on `plain-…`, and a rule for every column of `typed.hidden` as well."""
    named = [f"typed.hidden.{name}" for name in columns(HARMLESS)]
    text = f'[[redaction]]\nname = "every-type"\ndetect = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER"]\ncolumns = {named}\n'
    for via in ROUTES:
        text += connection(f"typed-{via}", target.port, via, guardrails="[]").replace('["personal-data"]', '["every-type"]')
    sluice = Sluice(policy(text), environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield sluice
    finally:
        assert sluice.close() == 0


@pytest.fixture(params=sorted(ROUTES))
def url(request, gateway):
    return gateway.url(f"typed-{request.param}", "alice")


def raw(link, sql, format):
    """Cells as they are on the wire: 0 simple, 1 extended in text, 2 extended in binary."""
    if format == 0:
        result = link.pgconn.exec_(sql.encode())
    else:
        result = link.pgconn.exec_params(sql.encode(), [], result_format=format - 1)
    if result.status != pq.ExecStatus.TUPLES_OK:
        return None
    return b"|".join(result.get_value(row, column) or b"" for row in range(result.ntuples) for column in range(result.nfields))


def copied(link, sql):
    with link.cursor().copy(sql) as copy:
        return b"".join(bytes(piece) for piece in copy)


@pytest.mark.parametrize("name,kind", columns(HOLDING).items(), ids=[kind.replace("[]", "_array").replace(".", "_") for kind in HOLDING])
def test_nothing_is_left_of_a_value_however_it_is_read(target, url, name, kind):
    forms = needles(kind)
    shown = 0
    with psycopg.connect(target.url("shop"), autocommit=True) as direct, psycopg.connect(url, autocommit=True) as through:
        for way, sql in WAYS.items():
            sql = sql.format(c=name)
            for format in (0, 1, 2):
                plain, masked = raw(direct, sql, format), raw(through, sql, format)
                assert (plain is None) == (masked is None), (way, format, through.pgconn.error_message)
                if plain is None:
                    continue
                shown += any(form in plain for form in forms)
                assert not any(form in masked for form in forms), (way, format, masked)
            # Once more without Describe, and in pieces.
            through.execute(f"PREPARE again AS {sql}")
            for _ in range(2):
                assert not any(form in (raw(through, "EXECUTE again", 0) or b"") for form in forms), way
            through.execute("DEALLOCATE again")
        for options in ("", "WITH (FORMAT csv)", "WITH (FORMAT binary)"):
            sql = f"COPY (SELECT {name} FROM typed.holding) TO STDOUT {options}"
            if raw(direct, f"SELECT {name} FROM typed.holding", 2) is None and "binary" in options:
                continue
            plain, masked = copied(direct, sql), copied(through, sql)
            shown += any(form in plain for form in forms)
            assert not any(form in masked for form in forms), (sql, masked)
    assert shown >= len(WAYS), "the direct connection shows it"


@pytest.mark.parametrize("name,kind", columns(HOLDING).items(), ids=[kind.replace("[]", "_array").replace(".", "_") for kind in HOLDING])
def test_what_is_masked_still_reads_as_its_type(target, url, name, kind):
    """The text that is left is taken by the type's own input function, and so are the bytes by its receive function."""
    with psycopg.connect(target.url("shop"), autocommit=True) as direct, psycopg.connect(url, autocommit=True) as through:
        text = raw(through, f"SELECT {name} FROM typed.holding", 0)
        assert taken(direct, text, kind, 0) or kind in ("typed.mood",), text
        data = raw(through, f"SELECT {name} FROM typed.holding", 2)
        if data is not None:
            assert taken(direct, data, kind, 1) or kind in ("typed.mood",), data


def taken(link, value, kind, format):
    """Whether the server reads a value as this type; an empty one is NULL."""
    if not value:
        return True
    oid = link.execute("SELECT %s::regtype::oid", [kind]).fetchone()[0]
    result = link.pgconn.exec_params(b"SELECT $1::text", [value], param_types=[oid], param_formats=[format])
    # The bounds of a range of texts are out of order when one of them is masked; clients do not compare them.
    unordered = result.error_field(pq.DiagnosticField.SQLSTATE) == b"22000" and "range" in kind
    return result.status == pq.ExecStatus.TUPLES_OK or unordered


def decoded(link_url, table, binary):
    with psycopg.connect(link_url, autocommit=True) as link:
        found = {}
        for name, kind in columns(HARMLESS).items():
            try:
                found[kind] = link.cursor(binary=binary).execute(f"SELECT {name} FROM typed.{table}", []).fetchone()[0]
            except psycopg.Error as error:
                found[kind] = type(error)
        return found


@pytest.mark.parametrize("binary", [False, True])
def test_harmless_values_of_every_type_are_untouched(target, url, binary):
    assert decoded(url, "harmless", binary) == decoded(target.url("shop"), "harmless", binary)


def test_a_hidden_column_of_every_type_still_reads_as_its_type(target, url):
    with psycopg.connect(target.url("shop"), autocommit=True) as direct, psycopg.connect(url, autocommit=True) as through:
        for name, kind in columns(HARMLESS).items():
            for format in (0, 1, 2):
                sql = f"SELECT {name} FROM typed.hidden"
                plain, masked = raw(direct, sql, format), raw(through, sql, format)
                if plain is None:
                    continue
                if kind not in ("bool", "uuid[]"):
                    assert masked != plain, (kind, format)
                if kind != "typed.mood":
                    assert taken(direct, masked, kind, int(format == 2)), (kind, format, masked)
    # A driver reads them all.
    for binary in (False, True):
        values = decoded(url, "hidden", binary)
        plain = decoded(target.url("shop"), "hidden", binary)
        for kind, value in values.items():
            # Of the types whose values are of several classes, any will do; what cannot be read is a class of errors.
            alike = object if kind in ("inet", "json", "jsonb") else type(plain[kind])
            assert value is None or isinstance(value, alike) and not isinstance(value, type), (kind, value)


def test_asyncpg_reads_every_type_by_portals_of_one_row(target, url):
    async def fetch(dsn, table):
        known = psycopg.conninfo.conninfo_to_dict(dsn)
        known = {{"dbname": "database"}.get(key, key): value for key, value in known.items() if key in ("host", "port", "user", "dbname", "password")}
        link = await asyncpg.connect(**known, ssl=False)
        found = {}
        try:
            for name, kind in columns(HARMLESS if table != "holding" else HOLDING).items():
                try:
                    async with link.transaction():
                        # An Execute of one row, again and again, of a portal.
                        rows = [row async for row in link.cursor(f"SELECT {name} FROM typed.{table}, generate_series(1, 3)", prefetch=1)]
                    found[kind] = [row[0] for row in rows]
                except (asyncpg.PostgresError, asyncpg.InterfaceError, NotImplementedError) as error:
                    found[kind] = type(error)
        finally:
            await link.close()
        return found

    def told(values):
        return re.sub(r" at 0x[0-9a-f]+", "", repr(values))

    direct = target.url("shop")
    assert told(asyncio.run(fetch(url, "harmless"))) == told(asyncio.run(fetch(direct, "harmless")))
    for table in ("hidden", "holding"):
        through, plain = asyncio.run(fetch(url, table)), asyncio.run(fetch(direct, table))
        for kind, values in through.items():
            assert isinstance(values, list) == isinstance(plain[kind], list), (table, kind, values)
        assert EMAIL not in repr(through) and CARD not in repr(through) and EMAIL.encode() not in repr(through).encode()


@pytest.mark.parametrize("border", [8, 16, 64])
def test_a_value_at_every_offset_of_a_border_is_found(url, border):
    """From wholly before the border to wholly behind it, byte by byte."""
    with psycopg.connect(url, autocommit=True) as link:
        for back in range(-8, len(EMAIL) + 72):
            pad = border * 1024 - back
            sql = "SELECT repeat('.', %s) || ' ' || c0, c4 FROM typed.holding"
            row = link.cursor(binary=back % 2 == 0).execute(sql, [pad]).fetchone()
            assert EMAIL not in row[0] and row[0].startswith("..") and len(row[0]) == pad + 1 + len(EMAIL), back
            assert EMAIL.encode() not in row[1]
