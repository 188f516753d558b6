"""Snapshots that a data plane must not take: it refuses them, says why, and serves on by the good one."""

import contextlib
import glob
import os
import shutil
import signal
import sqlite3
import struct
import time

import psycopg
import pytest

from conftest import ROUTES, connection, policy
from harness.controlplane import LyingControlPlane, fields, signed
from harness.postgres import PASSWORD
from harness.sluice import Sluice

# More than a control plane jumps by itself.
FAR = 5_000_000


@pytest.fixture
def gateway(target):
    """A Sluice whose control plane a test may spoil."""
    connections = [connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES]
    own = Sluice(policy(*connections), environment={"SHOP_PASSWORD": PASSWORD}, sqlite=True)
    try:
        yield own
    finally:
        own.close()


def state(gateway, name):
    """A file of the control plane."""
    (found,) = glob.glob(os.path.join(gateway.dir, "**", name), recursive=True)
    return found


@contextlib.contextmanager
def without_control_plane(gateway):
    """The control plane has ended in order, and `sluice up` starts it again only after the block."""
    supervisor, pid = gateway.process.pid, gateway.pids()["controlplane"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGTERM)
        wait(lambda: ended(pid), "the control plane does not end")
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def ended(pid):
    """Gone, or waiting for its parent to notice."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def back_up(gateway, path):
    with contextlib.closing(sqlite3.connect(state(gateway, "controlplane.db"))) as source, contextlib.closing(sqlite3.connect(path)) as copy:
        source.backup(copy)


def restore(gateway, path):
    database = state(gateway, "controlplane.db")
    for log in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(database + log)
    shutil.copyfile(path, database)


def plane(gateway):
    """The one data plane as the API shows it; None while the control plane is away."""
    with contextlib.suppress(RuntimeError):
        (only,) = gateway.json("dataplanes", "list")
        return only
    return None


def until_plane(gateway, condition, what):
    return wait(lambda: (now := plane(gateway)) and condition(now) and now, what)


def in_force(gateway):
    """The lowest generation over the data plane's cores, from itself."""
    return min(int(line.split()[1]) for line in gateway.metrics().splitlines() if line.startswith("sluice_policy_generation{"))


@contextlib.contextmanager
def sessions_run_on(gateway):
    """Sessions from before the block go on after it, and new ones open."""
    links = [psycopg.connect(gateway.url(f"lab-{via}"), autocommit=True) for via in ROUTES]
    yield
    for link in links:
        assert link.execute("SELECT 1").fetchone() == (1,)
        link.close()
    for via in ROUTES:
        with psycopg.connect(gateway.url(f"lab-{via}")) as fresh:
            assert fresh.execute("SELECT 2").fetchone() == (2,)


def assert_shown(gateway, refused, good, words):
    """API and command line show the refusal; the data plane still has the good generation."""
    assert refused["connected"] and not refused["enforced"], refused
    assert refused["generation"] == in_force(gateway) == good, refused
    assert words in refused["nack"]["reason"], refused
    for shown in (gateway.cli("dataplanes", "list").stdout, gateway.cli("dataplanes", "show", refused["id"]).stdout):
        assert words in shown, shown


def test_a_control_plane_restored_from_a_backup_goes_on_above_what_data_planes_have(gateway, tmp_path):
    gateway.token("alice")
    back_up(gateway, tmp_path / "backup.db")
    for user in ("dana", "eve"):
        gateway.token(user)
    with psycopg.connect(gateway.url("lab-direct", "dana")) as link:
        link.execute("SELECT 1")
    before = in_force(gateway)
    with sessions_run_on(gateway):
        with without_control_plane(gateway):
            restore(gateway, tmp_path / "backup.db")
        shown = until_plane(gateway, lambda now: now["enforced"] and now["generation"] > before, "the restored policy is not enforced")
        assert shown["nack"] is None, shown
    assert "newer generation than ours" in gateway.log()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(gateway.url("lab-direct", "dana")).close()
    (last, *_) = gateway.sessions(user="alice", limit=1)
    ended_session = wait(lambda: (now := gateway.session(last["id"]))["status"] == "closed" and now, "the audit did not go on")
    assert [statement["text"] for statement in ended_session["statements"]] == ["SELECT 2"] or ended_session["statements"], ended_session


def test_a_much_older_generation_is_refused_until_the_operator_says_above_which_to_publish(gateway, tmp_path):
    gateway.token("alice")
    back_up(gateway, tmp_path / "backup.db")
    with without_control_plane(gateway), contextlib.closing(sqlite3.connect(state(gateway, "controlplane.db"))) as database:
        database.execute("UPDATE setting SET value = ? WHERE name = 'generation'", (struct.pack(">Q", in_force(gateway) + FAR),))
        database.commit()
    good = until_plane(gateway, lambda now: now["enforced"] and now["generation"] > FAR, "the new generation is not enforced")["generation"]
    with sessions_run_on(gateway):
        with without_control_plane(gateway):
            restore(gateway, tmp_path / "backup.db")
        refused = until_plane(gateway, lambda now: now["nack"], "the older generation is not refused")
        assert_shown(gateway, refused, good, f"is older than {good}, which is in force")
        assert f"sluice policy republish --above {good}" in gateway.log(), "the log says what to do"
        republished = gateway.json("policy", "republish", "--above", str(good))["generation"]
        assert republished == good + 1
        shown = until_plane(gateway, lambda now: now["enforced"], "what was published above it is not enforced")
        assert (shown["generation"], shown["nack"]) == (republished, None), shown


def test_a_snapshot_signed_with_another_key_is_refused(gateway, tmp_path):
    gateway.token("alice")
    good = in_force(gateway)
    key = state(gateway, "policy.key")
    with sessions_run_on(gateway):
        with without_control_plane(gateway):
            os.rename(key, tmp_path / "policy.key")
        refused = until_plane(gateway, lambda now: now["nack"], "the foreign signature is not refused")
        assert_shown(gateway, refused, good, "signature does not match")
        with without_control_plane(gateway):
            shutil.copy(tmp_path / "policy.key", key)
        shown = until_plane(gateway, lambda now: now["enforced"] and now["generation"] > good, "the right key is not taken again")
        assert shown["nack"] is None, shown


def test_replayed_changed_and_cut_snapshots_are_refused_one_by_one(gateway):
    spooled = state(gateway, "snapshot.pb")
    with open(spooled, "rb") as file:
        old = file.read()
    gateway.token("alice")
    with open(spooled, "rb") as file:
        now = file.read()
    good = in_force(gateway)
    parts, older = fields(now), fields(fields(old)[1])[1]
    changed = bytearray(parts[1])
    changed[len(changed) // 2] ^= 1
    lies = [
        (old, f"generation {older} is older than {good}, which is in force"),
        (signed(bytes(changed), parts[2]), "signature does not match"),
        (signed(parts[1], parts[2][:-1]), "signature does not match"),
        (signed(parts[1], b""), "signature does not match"),
        (signed(parts[1][:-7], parts[2]), "signature does not match"),
        (signed(b"", parts[2]), "signature does not match"),
    ]
    port = int(gateway.addresses["control"].rsplit(":", 1)[1])
    with sessions_run_on(gateway), without_control_plane(gateway):
        liar = LyingControlPlane(os.path.dirname(state(gateway, "ca.key")), port)
        try:
            assert liar.connected.wait(30), gateway.log()[-2000:]
            for lie, words in lies:
                liar.push(lie)
                _, stays, reason = liar.refusal()
                assert stays == good and words in reason, (stays, reason)
                assert in_force(gateway) == good
            with open(spooled, "rb") as file:
                assert file.read() == now, "what is spooled is the good one"
        finally:
            liar.close()
    until_plane(gateway, lambda shown: shown["enforced"], "the data plane does not come back to the real one")
