"""A suite of others: where it works, how it is fetched, how its programs are started."""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import tarfile

# A suite that runs longer in one column hangs.
SUITE_SECONDS_MAX = 30 * 60
TEST_SECONDS_MAX = 180


class NotHere(Exception):
    """A suite cannot be had on this machine; the text says why."""


def run(command, cwd=None, env=None, check=True, seconds=SUITE_SECONDS_MAX):
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if check and done.returncode != 0:
        raise NotHere(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done


class Suite:
    """`prepare` fetches and builds it once; `outcomes` runs it in a column: name of the test -> passed, failed or skipped."""

    name = ""
    # Column -> test -> what the test printed, where the suite tells it: what a difference is explained by.
    told = None
    # What the quick selection runs, in the suite's own words.
    quick = ()

    def __init__(self, work):
        self.dir = os.path.join(work, self.name)
        os.makedirs(self.dir, exist_ok=True)
        self.told = {}
        # One run at a time: they share reports. Held as long as this object lives.
        self.lock = open(os.path.join(self.dir, "lock"), "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def prepare(self):
        raise NotImplementedError

    def outcomes(self, column, target, only=()):
        raise NotImplementedError

    def tell(self, column, test, text):
        """Keeps what a test printed in a column."""
        self.told.setdefault(column.name, {})[test] = text


def unpack(archive, into):
    """Unpacks an archive that has everything in one folder."""
    os.makedirs(into)
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    (only,) = os.listdir(into)
    for name in os.listdir(os.path.join(into, only)):
        shutil.move(os.path.join(into, only, name), into)
    if os.path.isdir(os.path.join(into, only)) and not os.listdir(os.path.join(into, only)):
        os.rmdir(os.path.join(into, only))


def debian_source(work, package, release, archive, version=""):
    """The upstream archive of a Debian source package of a release, downloaded once into `work`.

    `archive` is a pattern for its name. Of a package that comes in several archives the others are not needed, and may be missing.
    """
    folder = os.path.join(work, f"{package}-source")
    kept = sorted(glob.glob(os.path.join(folder, archive)))
    if kept:
        return kept[-1]
    if not shutil.which("apt-get"):
        raise NotHere(f"{package} comes as a Debian source package, and this is no Debian")
    os.makedirs(os.path.join(folder, "lists", "partial"), exist_ok=True)
    os.makedirs(os.path.join(folder, "cache", "archives", "partial"), exist_ok=True)
    with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as sources:
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        sources.write(f"deb-src [signed-by={keys}] http://deb.debian.org/debian {release} main\n")
    apt = [
        "apt-get", "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
    ]
    run([*apt, "update"])
    done = run([*apt, "source", "--download-only", package + (f"={version}" if version else "")], cwd=folder, check=False)
    kept = sorted(glob.glob(os.path.join(folder, archive)))
    if not kept:
        raise NotHere(f"the source of {package} cannot be downloaded:\n{done.stdout[-2000:]}")
    return kept[-1]


def release_here():
    """Name of this Debian release."""
    found = re.search(r"VERSION_CODENAME=(\w+)", open("/etc/os-release", encoding="utf-8").read())
    return found[1] if found else "stable"
