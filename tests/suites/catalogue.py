"""The suites of others: where each comes from, what it needs, how it is run, what it says of its tests."""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree

from suites.columns import DATABASE, USER

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
    # What the quick selection runs, in the suite's own words.
    quick = ()

    def __init__(self, work):
        self.dir = os.path.join(work, self.name)
        os.makedirs(self.dir, exist_ok=True)
        # One run at a time: they share reports. Held as long as this object lives.
        self.lock = open(os.path.join(self.dir, "lock"), "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def prepare(self):
        raise NotImplementedError

    def outcomes(self, column, target, only=()):
        raise NotImplementedError


class Pytest(Suite):
    """A Python driver's suite, from its source distribution; the driver itself is installed from the same version."""

    package = ""
    version = ""
    installs = ()
    source_names = ("tests",)
    deselect = ()

    def prepare(self):
        self.python = os.path.join(self.dir, "venv", "bin", "python")
        done = os.path.join(self.dir, f"ready-{self.version}")
        self.source = os.path.join(self.dir, "source")
        if os.path.exists(done):
            return
        run([sys.executable, "-m", "venv", "--clear", os.path.join(self.dir, "venv")])
        pip = [self.python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        downloads = os.path.join(self.dir, "download")
        run([*pip, "download", "--no-deps", "--no-binary", self.package, "-d", downloads, f"{self.package}=={self.version}"])
        run([*pip, "install", "pytest", "pytest-timeout", *self.installs])
        shutil.rmtree(self.source, ignore_errors=True)
        unpack(glob.glob(os.path.join(downloads, "*.tar.gz"))[0], self.source)
        self.trim()
        open(done, "w", encoding="utf-8").close()

    def trim(self):
        """Leaves only the tests of the source distribution, so that what is installed is tested."""
        for name in os.listdir(self.source):
            if name not in self.source_names:
                path = os.path.join(self.source, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def environment(self, column):
        return column.environment()

    def before(self, column, target):
        pass

    def outcomes(self, column, target, only=()):
        self.before(column, target)
        report = os.path.join(self.dir, f"{column.name}.xml")
        if os.path.exists(report):
            os.remove(report)
        command = [
            self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS_MAX}",
            "--continue-on-collection-errors", "-o", "addopts=", "-o", "junit_family=xunit1", f"--junitxml={report}", *self.deselect,
        ]
        done = run([*command, *(only or self.source_names)], cwd=self.source, env=self.environment(column), check=False)
        with open(os.path.join(self.dir, f"{column.name}.log"), "w", encoding="utf-8") as log:
            log.write(done.stdout)
        if not os.path.exists(report):
            raise RuntimeError(f"{self.name} gave no report in {column.name}:\n{done.stdout[-3000:]}")
        return junit(report)


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


def junit(path):
    """Outcomes from pytest's report, under names that pytest takes back."""
    found = {}
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        file, classes = case.get("file", ""), case.get("classname", "")
        module = file[:-3].replace("/", ".")
        inner = classes[len(module) + 1:].split(".") if classes.startswith(module + ".") else []
        name = "::".join([file, *filter(None, inner), case.get("name", "")])
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        if found.get(name) != "failed":
            found[name] = outcome
    return found


class Asyncpg(Pytest):
    name = package = "asyncpg"
    version = "0.32.0"
    installs = ("asyncpg==0.32.0", "distro")
    quick = ("tests/test_prepare.py", "tests/test_copy.py", "tests/test_cancellation.py", "tests/test_listeners.py")
    # Looks at the driver's own source files.
    deselect = ("--ignore=tests/test__sourcecode.py",)


class Psycopg2(Pytest):
    name = package = "psycopg2"
    version = "2.9.13"
    installs = ("psycopg2-binary==2.9.13",)
    quick = ("tests/test_cancel.py", "tests/test_copy.py", "tests/test_lobject.py", "tests/test_transaction.py")

    def environment(self, column):
        return {**column.environment(), "PSYCOPG2_TESTDB": DATABASE}

    def before(self, column, target):
        target.server.sql("CREATE EXTENSION IF NOT EXISTS hstore", database=DATABASE)


class Pg8000(Pytest):
    name = package = "pg8000"
    version = "1.31.6"
    installs = ("pg8000==1.31.6", "pytest-mock", "pytest-benchmark", "pytz", "python-dateutil")
    source_names = ("test",)
    quick = ("test/native/test_prepared_statement.py", "test/native/test_copy.py", "test/dbapi/test_dbapi.py")
    # Times, not behaviour; and the README's examples, which want a server of their own.
    deselect = (
        "--ignore=test/native/test_benchmarks.py", "--ignore=test/dbapi/test_benchmarks.py",
        "--ignore=test/legacy/test_benchmarks.py", "--ignore=test/test_readme.py",
    )

    def before(self, column, target):
        # Its tests work in the user's own database.
        target.server.sql("CREATE EXTENSION IF NOT EXISTS hstore", database=USER)


class PostgresSource(Suite):
    """Programs from PostgreSQL's own source tree, of the version that Debian packages."""

    makes = ""

    def prepare(self):
        self.tree = source_tree(os.path.dirname(self.dir))
        if not self.built():
            if not os.path.exists(os.path.join(self.tree, "src", "Makefile.global")):
                run(["./configure", "--without-readline", "--without-zlib", "--without-icu", "CFLAGS=-O1"], cwd=self.tree)
            run(["make", "-C", "src/backend", "generated-headers"], cwd=self.tree)
            for folder in ("src/port", "src/common", "src/interfaces/libpq", self.makes):
                run(["make", "-C", folder], cwd=self.tree)

    def built(self):
        raise NotImplementedError

    def environment(self, column):
        library = os.path.join(self.tree, "src", "interfaces", "libpq")
        return {**column.environment(), "LD_LIBRARY_PATH": library}


def source_tree(work):
    """The unpacked source of the Debian package; `SLUICE_SUITES_POSTGRES` names one that is already there."""
    given = os.environ.get("SLUICE_SUITES_POSTGRES")
    if given:
        return given
    kept = sorted(glob.glob(os.path.join(work, "postgresql-source", "postgresql-*", "configure")))
    if kept:
        return os.path.dirname(kept[-1])
    folder = os.path.join(work, "postgresql-source")
    os.makedirs(os.path.join(folder, "lists", "partial"), exist_ok=True)
    os.makedirs(os.path.join(folder, "cache", "archives", "partial"), exist_ok=True)
    release = re.search(r"VERSION_CODENAME=(\w+)", open("/etc/os-release", encoding="utf-8").read())
    if not release or not shutil.which("apt-get"):
        raise NotHere("PostgreSQL's source comes as a Debian source package, and this is no Debian")
    with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as sources:
        sources.write(f"deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {release[1]} main\n")
    apt = [
        "apt-get", "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
    ]
    run([*apt, "update"])
    version = os.path.basename(max(glob.glob("/usr/lib/postgresql/*"), key=lambda path: int(os.path.basename(path))))
    run([*apt, "source", "--download-only", f"postgresql-{version}"], cwd=folder)
    run(["tar", "xf", glob.glob(os.path.join(folder, "*.orig.tar.*"))[0]], cwd=folder)
    return source_tree(work)


class LibpqPipeline(PostgresSource):
    name = "libpq_pipeline"
    makes = "src/test/modules/libpq_pipeline"

    def program(self):
        return os.path.join(self.tree, self.makes, "libpq_pipeline")

    def built(self):
        return os.path.exists(self.program())

    def outcomes(self, column, target, only=()):
        env = self.environment(column)
        tests = only or run([self.program(), "tests"], env=env).stdout.split()
        words = f"host=127.0.0.1 port={column.port} user={USER} dbname={DATABASE}"
        found = {}
        for test in tests:
            trace = os.path.join(self.dir, f"{column.name}-{test}.trace")
            if os.path.exists(trace):
                os.remove(trace)
            done = run([self.program(), "-r", "1000", "-t", trace, test, words], env=env, check=False, seconds=TEST_SECONDS_MAX)
            found[test] = "passed" if done.returncode == 0 else "failed"
            expected = os.path.join(self.tree, self.makes, "traces", f"{test}.trace")
            if os.path.exists(expected):
                found[f"{test}: trace"] = "passed" if os.path.exists(trace) and same_file(trace, expected) else "failed"
        return found


def same_file(one, other):
    with open(one, encoding="utf-8") as left, open(other, encoding="utf-8") as right:
        return left.read() == right.read()


class Isolation(PostgresSource):
    name = "isolation"
    makes = "src/test/isolation"
    # They need the server's own test extensions, or a database cluster of their own for minutes.
    quick = ("read-write-unique", "simple-write-skew", "deadlock-simple", "nowait", "skip-locked", "async-notify")

    def program(self):
        return os.path.join(self.tree, self.makes, "isolationtester")

    def built(self):
        return os.path.exists(self.program())

    def outcomes(self, column, target, only=()):
        folder = os.path.join(self.tree, self.makes)
        with open(os.path.join(folder, "isolation_schedule"), encoding="utf-8") as schedule:
            tests = only or [name for line in schedule if line.startswith("test:") for name in line[5:].split()]
        found = {}
        for test in tests:
            with open(os.path.join(folder, "specs", f"{test}.spec"), encoding="utf-8") as spec:
                done = subprocess.run(
                    [self.program(), f"host=127.0.0.1 port={column.port} user={USER} dbname={DATABASE}"],
                    env={**os.environ, **self.environment(column), "PGOPTIONS": "-c intervalstyle=postgres_verbose -c lc_messages=C"},
                    stdin=spec, capture_output=True, text=True, errors="replace", timeout=600, check=False,
                )
            # As pg_isolation_regress keeps it: both streams in one file.
            shown = done.stdout if not done.stderr else done.stdout + done.stderr
            with open(os.path.join(self.dir, f"{column.name}-{test}.out"), "w", encoding="utf-8") as out:
                out.write(shown)
            found[test] = "passed" if done.returncode == 0 and any(text == shown for text in expected(folder, test)) else "failed"
        return found


def expected(folder, test):
    """What the suite accepts as a test's output."""
    for path in sorted(glob.glob(os.path.join(folder, "expected", f"{test}*.out"))):
        if re.fullmatch(re.escape(test) + r"(_\d)?\.out", os.path.basename(path)):
            with open(path, encoding="utf-8") as file:
                yield file.read()


SUITES = {suite.name: suite for suite in (Asyncpg, Psycopg2, Pg8000, LibpqPipeline, Isolation)}
