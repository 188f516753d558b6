"""What is read from the kernel about a process: CPU time, memory, descriptors, system calls."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from harness.process import cpu_seconds

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Spent:
    """CPU seconds of some processes between the two ends of a `with`."""

    def __init__(self, pids):
        self.pids = pids
        self.seconds = 0.0

    def __enter__(self):
        self.before = cpu_seconds(self.pids)
        return self

    def __exit__(self, *_):
        self.seconds = cpu_seconds(self.pids) - self.before


def ran_seconds(pids):
    """CPU seconds that the threads which are alive have run, exact (schedstat), where ticks of 10 ms would say nothing."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def user_bytes(pids):
    """Resident memory in user space: Rss of smaps_rollup, anonymous and file pages, without what the kernel keeps for sockets."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Rss:")) * 1024
    return total


def kernel_bytes():
    """Memory that the whole machine's kernel holds for objects, page tables and socket buffers."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
    with open("/proc/net/sockstat", encoding="ascii") as file:
        pages = re.search(r"^TCP:.* mem (\d+)", file.read(), re.MULTILINE)
    return fields["Slab"] + fields["PageTables"] + fields["KernelStack"] + int(pages.group(1)) * PAGE_BYTES


def descriptors(pids):
    """Open descriptors."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


@contextlib.contextmanager
def system_calls(pids):
    """Counts system calls of processes, all threads: by the kernel's tracepoint where perf may use it, else by strace.

    Yields a dictionary that is filled at the end: `calls`, `by`.
    """
    counted = {}
    with tempfile.TemporaryDirectory(prefix="sluice-perf-") as directory:
        output = os.path.join(directory, "calls")
        targets = ",".join(str(pid) for pid in pids)
        probe = subprocess.run(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"], capture_output=True, text=True, check=False) if has("perf") else None
        if probe is not None and re.search(r"\d\s+raw_syscalls:sys_enter", probe.stderr):
            counted["by"] = "perf stat, raw_syscalls:sys_enter"
            command = ["perf", "stat", "-x,", "-o", output, "-e", "raw_syscalls:sys_enter", "-p", targets]
        else:
            counted["by"] = "strace -c"
            command = ["strace", "-f", "-c", "-U", "calls,name", "-qq", "-o", output, *[part for pid in pids for part in ("-p", str(pid))]]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # Attaching to all threads takes a moment; what is counted before the load starts is small.
            time.sleep(0.5)
            yield counted
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
        with open(output, encoding="utf-8") as file:
            text = file.read()
        if counted["by"] == "strace -c":
            counted["calls"] = int(re.search(r"^\s*(\d+)\s+total", text, re.MULTILINE).group(1))
        else:
            counted["calls"] = int(re.search(r"^(\d+),", text, re.MULTILINE).group(1))


def has(program):
    """Whether a program is installed."""
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is not None
