"""node-postgres: its own tests, against the packages as npm has them."""

import os
import re
import shutil
import signal
import subprocess

from suites.suite import TEST_SECONDS_MAX, NotHere, Suite, debian_source, run, unpack

# The version whose source Debian has, and what its tests need (packages/pg/package.json, "devDependencies").
VERSION = "8.16.3"
PACKAGES = (
    f"pg@{VERSION}", "pg-pool@3.10.1", "pg-cursor@2.15.3", "async@2.6.4", "bluebird@3.7.2", "co@4.6.0", "pg-copy-streams@0.3.0",
    "mocha@10.5.2", "expect.js@0.3.1", "lodash@4.17.21",
)
# Each of them has a folder `test` beside its code.
TESTED = ("pg", "pg-pool", "pg-cursor")


class NodePostgres(Suite):
    """Every file of the driver's tests, of its pool's and of its cursor's."""

    name = "node-postgres"
    quick = (
        "pg/integration/client/prepared-statement-tests.js", "pg/integration/client/simple-query-tests.js",
        "pg/integration/client/quick-disconnect-tests.js", "pg/integration/client/notice-tests.js",
        "pg/integration/client/multiple-results-tests.js", "pg/integration/client/statement_timeout-tests.js",
        "pg/integration/client/sasl-scram-tests.js", "pg-cursor/index.js", "pg-cursor/error-handling.js",
    )

    def prepare(self):
        self.modules = os.path.join(self.dir, "node_modules")
        done = os.path.join(self.dir, f"ready-{VERSION}")
        if os.path.exists(done):
            return
        if not shutil.which("npm"):
            raise NotHere("npm is not installed")
        # The packages come without their tests; the upstream archive of Debian's source package has both.
        archive = debian_source(os.path.dirname(self.dir), "node-postgres", "sid", f"node-postgres_{VERSION}*.orig.tar.gz")
        source = os.path.join(self.dir, "source")
        shutil.rmtree(source, ignore_errors=True)
        unpack(archive, source)
        with open(os.path.join(self.dir, "package.json"), "w", encoding="utf-8") as package:
            package.write('{"private": true}\n')
        run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES], cwd=self.dir)
        for package in TESTED:
            tests = os.path.join(self.modules, package, "test")
            shutil.rmtree(tests, ignore_errors=True)
            shutil.copytree(os.path.join(source, "packages", package, "test"), tests)
        shutil.copytree(os.path.join(source, "packages", "pg", "script"), os.path.join(self.modules, "pg", "script"), dirs_exist_ok=True)
        open(done, "w", encoding="utf-8").close()

    def files(self):
        """Names of the test files: package, then the path below its `test`."""
        for package in TESTED:
            root = os.path.join(self.modules, package, "test")
            for folder, _, names in sorted(os.walk(root)):
                for name in sorted(names):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    mine = path.startswith("integration" + os.sep) and name.endswith("-tests.js") if package == "pg" else name.endswith(".js")
                    if mine:
                        yield f"{package}/{path}"

    def outcomes(self, column, target, only=()):
        env = {**column.environment(), "TEST_TIMEOUT": "20000"}
        env |= {"SCRAM_TEST_PGUSER": env["PGUSER"], "SCRAM_TEST_PGPASSWORD": env["PGPASSWORD"]}
        driver = os.path.join(self.modules, "pg")
        run(["node", "script/create-test-tables.js"], cwd=driver, env=env)
        files = sorted({test.partition(" > ")[0] for test in only}) or list(self.files())
        found = {}
        with open(os.path.join(self.dir, f"{column.name}.log"), "w", encoding="utf-8") as log:
            for file in files:
                code, text = self.one(file, env)
                log.write(f"==== {file}: {code}\n{text}\n")
                self.tell(column, file, text)
                found[file] = "passed" if code == 0 else "failed"
                for name, outcome in told(text):
                    found[f"{file} > {name}"] = outcome
                    self.tell(column, f"{file} > {name}", text)
        return found

    def one(self, file, env):
        """Exit code and output of one file."""
        package, _, path = file.partition("/")
        folder = os.path.join(self.modules, package)
        command = ["node", os.path.join("test", path)]
        if package != "pg":
            command = ["node", os.path.join(self.modules, "mocha", "bin", "mocha.js"), "--exit", os.path.join("test", path)]
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=TEST_SECONDS_MAX)
            return process.returncode, text
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            return 124, text


def told(text):
    """Names and outcomes of the tests in a file, as the driver's own runner and mocha print them."""
    for name, mark in re.findall(r"^ +(.*?) ?(✔|\? - SKIPPED|FAILED!)$", text, re.M):
        yield name, {"✔": "passed", "FAILED!": "failed"}.get(mark, "skipped")
    # What failed is listed a second time, with its error, behind the summary.
    for mark, name in re.findall(r"^ +(✔|-|\d+\)) (.*?)(?: \(\d+ms\))?$", text.partition(" passing (")[0], re.M):
        yield name, {"✔": "passed", "-": "skipped"}.get(mark, "failed")
