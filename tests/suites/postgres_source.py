"""PostgreSQL's own tests, from the source of the version that Debian packages."""

import glob
import hashlib
import os
import re
import shutil
import subprocess

from suites.columns import DATABASE, USER
from suites.suite import TEST_SECONDS_MAX, Suite, debian_source, release_here, run


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
    folder = os.path.join(work, "postgresql-source")
    kept = sorted(glob.glob(os.path.join(folder, "postgresql-*", "configure")))
    if not kept:
        version = max(int(os.path.basename(path)) for path in glob.glob("/usr/lib/postgresql/*"))
        archive = debian_source(work, f"postgresql-{version}", release_here(), f"postgresql-{version}_*.orig.tar.*")
        os.makedirs(folder, exist_ok=True)
        run(["tar", "xf", archive], cwd=folder)
        kept = glob.glob(os.path.join(folder, "postgresql-*", "configure"))
    return os.path.dirname(kept[-1])


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
            self.tell(column, test, done.stdout)
            expected = os.path.join(self.tree, self.makes, "traces", f"{test}.trace")
            if os.path.exists(expected):
                if os.path.exists(trace):
                    with open(trace, encoding="utf-8", errors="replace") as file:
                        self.tell(column, f"{test}: trace", file.read())
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
            self.tell(column, test, shown)
            found[test] = "passed" if done.returncode == 0 and any(text == shown for text in expected(folder, test)) else "failed"
        return found


def expected(folder, test):
    """What the suite accepts as a test's output."""
    for path in sorted(glob.glob(os.path.join(folder, "expected", f"{test}*.out"))):
        if re.fullmatch(re.escape(test) + r"(_\d)?\.out", os.path.basename(path)):
            with open(path, encoding="utf-8") as file:
                yield file.read()


class Regress(PostgresSource):
    """The regression tests of the server, run by psql through a column."""

    name = "regress"
    makes = "src/test/regress"
    quick = ("boolean", "char", "int4", "numeric", "arrays", "json", "jsonb", "copy", "copy2", "prepare", "portals", "transactions", "psql")
    # The order of the schedule is what they depend on: most need the tables of this one.
    first = "test_setup"

    def built(self):
        return os.path.exists(os.path.join(self.tree, self.makes, "regress.so"))

    def before(self, column, target):
        target.server.sql(
            "ALTER DATABASE suite SET lc_messages TO 'C'", "ALTER DATABASE suite SET lc_monetary TO 'C'", "ALTER DATABASE suite SET lc_numeric TO 'C'",
            "ALTER DATABASE suite SET lc_time TO 'C'", "ALTER DATABASE suite SET bytea_output TO 'hex'",
            "ALTER DATABASE suite SET timezone_abbreviations TO 'Default'",
        )

    def outcomes(self, column, target, only=()):
        self.before(column, target)
        folder = os.path.join(self.tree, self.makes)
        out = os.path.join(self.dir, column.name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(os.path.join(out, "testtablespace"))
        # The server reads and writes there, as another user.
        for path in (out, os.path.join(out, "results"), os.path.join(out, "testtablespace")):
            os.makedirs(path, exist_ok=True)
            shutil.chown(path, "postgres") if os.geteuid() == 0 else None
            os.chmod(path, 0o777)
        which = ["--schedule", os.path.join(folder, "parallel_schedule")] if not only else [self.first, *(test for test in only if test != self.first)]
        command = [
            os.path.join(folder, "pg_regress"), f"--inputdir={folder}", f"--outputdir={out}", f"--dlpath={folder}", "--use-existing",
            f"--bindir={os.path.dirname(newest('psql'))}", "--host=127.0.0.1", f"--port={column.port}", f"--user={USER}", f"--dbname={DATABASE}",
            "--max-connections=8", *which,
        ]
        done = run(command, cwd=out, env=column.environment(), check=False)
        with open(os.path.join(self.dir, f"{column.name}.log"), "w", encoding="utf-8") as log:
            log.write(done.stdout)
        found = {}
        for test, outcome in re.findall(r"^(?:test|    ) +(\w+) +\.\.\. +(ok|FAILED|failed)", done.stdout, re.M):
            with open(os.path.join(out, "results", f"{test}.out"), encoding="utf-8", errors="replace") as file:
                self.tell(column, test, file.read())
            if outcome == "ok":
                found[test] = "passed"
            else:
                found[test] = "failed: " + digest(os.path.join(out, "results", f"{test}.out"))
        if not found:
            raise RuntimeError(f"pg_regress gave no outcome in {column.name}:\n{done.stdout[-3000:]}")
        return found


def newest(name):
    """The newest installed program of this name."""
    return sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[-1]


def digest(path):
    """Tells two outputs of psql apart that are both not what the suite expects."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]
