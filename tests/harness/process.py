"""Processes and ports that a test or a benchmark owns."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import time

# io_uring_setup(2) on every architecture that the kernel's common table covers.
SYS_IO_URING_SETUP = 425


def io_uring_allowed():
    """Whether the kernel lets this process set up a ring: asks it, as the data plane does."""
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = (ctypes.c_char * 120)()
    descriptor = libc.syscall(SYS_IO_URING_SETUP, 2, ctypes.byref(parameters))
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def free_port():
    """A port that nobody listens on right now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=30, process=None):
    """Waits until something accepts on the port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port} after {seconds} s")


def stop(process, seconds=15):
    """SIGTERM, then SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def cpu_seconds(pids):
    """User and system CPU time of processes, in seconds (proc(5): fields 14 and 15 of stat)."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def anonymous_bytes(pid):
    """Memory of a process that no file backs: its heap and stacks, without its code."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Anonymous:"))


def descendants(pid):
    """Process ids of a process and everything below it, with their command names."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                    head, tail = stat.read().rsplit(")", 1)
                parents[int(entry)] = int(tail.split()[1])
                names[int(entry)] = head.split("(", 1)[1]
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return {each: names.get(each, "") for each in found}


def as_user(name, command):
    """The command as another user when we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]
