"""Large things: notices in the way of COPY, long pipelines, wide and long rows; memory stays bounded."""

import threading

import psycopg
import pytest

from harness.process import resident_bytes

MIB = 1 << 20
# What a session may hold while something huge passes it: windows, buffers and what the allocator keeps.
GROWTH_BYTES_MAX = 48 * MIB


class Peak:
    """Highest resident memory of the data plane while a block runs, above what it was before."""

    def __init__(self, sluice):
        self.pid = sluice.pids()["dataplane"]
        self.grown = 0

    def __enter__(self):
        self.before = resident_bytes(self.pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.wait(0.02):
            self.grown = max(self.grown, resident_bytes(self.pid) - self.before)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@pytest.fixture
def noisy(target):
    """A table whose trigger answers every row of a COPY with a notice of 8 KiB."""
    target.sql(
        "DROP TABLE IF EXISTS noisy",
        "CREATE TABLE noisy (x int)",
        "CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE NOTICE '%', repeat('n', 8192); RETURN NEW; END $$",
        "CREATE TRIGGER loud BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout()",
        "GRANT ALL ON noisy TO PUBLIC",
        database="lab",
    )
    yield "noisy"
    target.sql("DROP TABLE noisy", database="lab")


def test_8_mb_of_notices_during_copy_in(sluice, connect, lab, noisy):
    """A relay that writes all before it reads stops here: the target waits for somebody to take its notices."""
    link = connect(lab, autocommit=True)
    heard = []
    link.add_notice_handler(lambda notice: heard.append(len(notice.message_primary)))
    with Peak(sluice) as peak, link.cursor() as cursor:
        with cursor.copy(f"COPY {noisy} FROM STDIN") as copy:
            for _ in range(64):
                copy.write(b"1\n" * 16)
    assert len(heard) == 1024 and set(heard) == {8192}
    assert link.execute(f"SELECT count(*) FROM {noisy}").fetchone() == (1024,)
    assert peak.grown < GROWTH_BYTES_MAX, f"{peak.grown / MIB:.0f} MiB"


@pytest.mark.parametrize("count", [1_000, 20_000])
def test_long_pipelines_keep_their_order(sluice, connect, lab, count):
    link = connect(lab, autocommit=True)
    with Peak(sluice) as peak, link.pipeline():
        cursors = [link.execute("SELECT %s::int, repeat('x', 20)", (number,)) for number in range(count)]
    assert [cursor.fetchone() for cursor in cursors] == [(number, "x" * 20) for number in range(count)]
    assert peak.grown < GROWTH_BYTES_MAX, f"{peak.grown / MIB:.0f} MiB"


def test_a_pipeline_whose_answers_are_larger_than_all_buffers(connect, lab):
    link = connect(lab, autocommit=True)
    cursors = []
    with link.pipeline():
        for number in range(1_000):
            cursors.append(link.execute("SELECT %s::int, repeat('y', 20000)", (number,)))
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1_000))


def test_a_row_of_200_mb(sluice, connect, lab):
    link = connect(lab)
    with Peak(sluice) as peak:
        value = link.execute("SELECT repeat('r', 200 * 1024 * 1024)").fetchone()[0]
    assert len(value) == 200 * MIB and value[:9] == value[-9:] == "r" * 9
    assert peak.grown < GROWTH_BYTES_MAX, f"{peak.grown / MIB:.0f} MiB"


def test_a_row_of_200_mb_in_many_values_with_findings(sluice, connect, shop):
    link = connect(shop)
    parts = ", ".join(["repeat('z', 50 * 1024 * 1024)", "email"] * 4)
    with Peak(sluice) as peak:
        row = link.execute(f"SELECT {parts} FROM customers WHERE id = 2").fetchone()
    assert [len(value) for value in row[::2]] == [50 * MIB] * 4
    assert all("bo.lindqvist" not in value for value in row[1::2])
    assert peak.grown < GROWTH_BYTES_MAX, f"{peak.grown / MIB:.0f} MiB"


@pytest.mark.parametrize("binary", [False, True])
def test_1600_columns(target, connect, shop, binary):
    expressions = ", ".join(f"'v{number}'::text AS c{number}" if number % 2 else f"{number} AS c{number}" for number in range(1600))
    with psycopg.connect(target.url("shop")) as direct:
        expected = direct.execute(f"SELECT {expressions}").fetchone()
    cursor = connect(shop).cursor(binary=binary)
    assert cursor.execute(f"SELECT {expressions}", ()).fetchone() == expected
    assert cursor.description[1599].name == "c1599"
