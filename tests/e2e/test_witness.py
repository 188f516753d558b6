"""What the suites of others are judged by: the record against the server's log, and what counts as a masked value."""

import collections

import pytest

from suites import masked, witness

LOG = [
    {"error_severity": "LOG", "remote_host": "127.0.0.1", "message": message}
    for message in (
        "statement: /* a /* nested */ comment */ SELECT 1 ; -- and one more",
        "execute s1: SELECT 'carol@example.com'",
        "execute fetch from c: SELECT $1",
        "statement: -- nothing at all",
        "statement: BEGIN; SELECT 2;",
    )
]


def record(*statements):
    """A record with these messages, each a list of (text, outcome)."""
    made = object.__new__(witness.Record)
    made.executed, made.unsure, made.faults, made.sessions = collections.Counter(), collections.Counter(), [], [{"id": "s"}]
    for parts in statements:
        made.message([{"text": text, "outcome": outcome, "form": "simple"} for text, outcome in parts])
    return made


GOOD = (
    [("SELECT 1", "ok")], [("SELECT '[EMAIL]**********'", "ok")], [("SELECT $1", "ok")], [("BEGIN", "ok"), ("SELECT 2", "ok")],
    [("SELECT 3", "skipped")], [("SELEC 4", "error")],
)


def faults(*statements):
    return witness.disagreement(witness.executed(LOG), record(*statements))[1]


def test_a_record_that_is_the_log_is_believed():
    assert witness.disagreement(witness.executed(LOG), record(*GOOD)) == (4, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda good: good[1:], "executed and not recorded, 1 times: SELECT 1"),
        (lambda good: [*good, good[0]], "recorded and not executed, 1 times: SELECT 1"),
        (lambda good: [*good[:1], [("SELECT 'dave'", "ok")], *good[2:]], "executed and not recorded, 1 times: SELECT 'carol@example.com'"),
        (lambda good: [*good, [("SELECT 3", "ok")]], "recorded and not executed, 1 times: SELECT 3"),
    ],
)
def test_a_record_that_is_not_the_log_is_told(change, says):
    assert says in faults(*change(list(GOOD)))


@pytest.mark.parametrize(
    ("direct", "through", "is_masked"),
    [
        ("a\n 1 | bob@example.com\n", "a\n 1 | [EMAIL]********\n", True),
        ("a\n 4567890123456791\n", "a\n 0000000000000000\n", True),
        ("a\n 1 | bob@example.com\n", "a\n 1 | bob@example.org\n", False),
        ("a\n 1 | bob@example.com\n", "a\n", False),
        (None, "AssertionError: '[EMAIL]*****' != 'a@b.example'", True),
        (None, "AssertionError: 1 != 2", False),
    ],
)
def test_only_masked_values_explain_a_difference(direct, through, is_masked):
    assert masked.explains(direct, through) == is_masked
