"""The spool of a data plane is proved to be as it was written."""

import contextlib
import os
import shutil
import signal
import time

import psycopg

from conftest import connection, policy
from harness.postgres import PASSWORD
from harness.sluice import Sluice


def gateway(target, **options):
    text = policy(connection("lab", target.port, via="direct", database="lab", guardrails="[]"))
    return Sluice(text, environment={"SHOP_PASSWORD": PASSWORD}, **options)


def open_link(own):
    return psycopg.connect(own.url("lab"), autocommit=True, connect_timeout=10)


def verify_spool(own, spool, key):
    """Exit code and what `sluice audit verify` says of a spool."""
    done = own.cli("audit", "verify", "--spool", str(spool), "--key", key, check=False)
    return done.returncode, done.stdout


def test_a_changed_byte_of_a_spool_is_found(target, tmp_path):
    own = gateway(target)
    try:
        (plane,) = own.json("dataplanes", "list")
        own.token("alice")
        # The control plane takes nothing, so that the spool keeps what is written.
        os.kill(own.pids()["controlplane"], signal.SIGSTOP)
        with contextlib.closing(open_link(own)) as link:
            for number in range(20):
                link.execute(f"SELECT 'proof {number}'")
            # What is staged is appended, and sealed within a second.
            time.sleep(2.5)
            shutil.copytree(os.path.join(own.dir, "dataplane", "spool"), tmp_path / "spool")
        os.kill(own.pids()["controlplane"], signal.SIGCONT)
        key = plane["audit_key"]
        code, said = verify_spool(own, tmp_path / "spool", key)
        assert code == 0 and "0 broken" in said, said
        segments = sorted((tmp_path / "spool").glob("core-*/*.seg"))
        whole = max(segments, key=lambda path: path.stat().st_size)
        content = whole.read_bytes()
        assert b"proof 7" in content
        for offset in range(0, len(content), max(1, len(content) // 40)):
            changed = bytearray(content)
            changed[offset] ^= 1 << offset % 8
            whole.write_bytes(changed)
            code, said = verify_spool(own, tmp_path / "spool", key)
            assert code == 1 and whole.name in said, f"byte {offset}: {said}"
        whole.write_bytes(content)
        assert verify_spool(own, tmp_path / "spool", "00" * 32)[0] == 1, "another key's seals"
    finally:
        own.close()
