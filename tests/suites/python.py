"""The suites of drivers for Python, from their source distributions."""

import glob
import os
import shutil
import sys
import xml.etree.ElementTree

from suites.columns import DATABASE, USER
from suites.suite import TEST_SECONDS_MAX, Suite, run, unpack


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
        return junit(report, lambda test, text: self.tell(column, test, text))


def junit(path, tell):
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
            tell(name, "\n".join(f"{child.get('message', '')}\n{child.text or ''}" for child in case))
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
