"""tokio-postgres: its own tests, as the crate ships them."""

import json
import os
import re
import shutil

from suites.columns import DATABASE, LOGINS
from suites.suite import NotHere, Suite, run

VERSION = "0.7.18"

FEATURES = (
    "with-bit-vec-0_6", "with-chrono-0_4", "with-eui48-1", "with-geo-types-0_7", "with-serde_json-1", "with-time-0_3", "with-uuid-1", "array-impls",
)
# Where its tests connect to is written in them: a server on port 5433 whose superuser needs no password.
WORDS = '''
/// The words of a test, for the server at hand.
pub(crate) fn words(text: &str) -> String {
    let var = |name: &str| std::env::var(name).unwrap();
    let user = text.split("user=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let text = match user {
        "postgres" => format!("{text} password={} dbname={}", var("PGPASSWORD"), var("PGDATABASE")),
        _ => text.replace("password=password", &format!("password={}", var(&format!("PGPASSWORD_{user}")))),
    };
    text.replace("5433", &var("PGPORT"))
}
'''
MANIFEST = f'''
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
tokio-postgres = "={VERSION}"
[workspace]
'''

class TokioPostgres(Suite):
    """Every test of the crate, built once; where it connects to comes from the environment."""

    name = "tokio-postgres"
    quick = (
        "pipelined_prepare", "cancel_query_raw", "notices", "copy_in_large", "copy_in_error", "query_portal", "scram_password_ok",
        "scram_password_wrong", "transaction_builder", "types::test_hstore_params",
    )

    def prepare(self):
        self.program = os.path.join(self.dir, f"tests-{VERSION}")
        if os.path.exists(self.program):
            return
        if not shutil.which("cargo"):
            raise NotHere("cargo is not installed")
        fetch = os.path.join(self.dir, "fetch")
        os.makedirs(fetch, exist_ok=True)
        for name, text in (("Cargo.toml", MANIFEST), ("lib.rs", "")):
            with open(os.path.join(fetch, name), "w", encoding="utf-8") as file:
                file.write(text)
        shown = run(["cargo", "metadata", "--format-version", "1", "--quiet"], cwd=fetch).stdout
        packages = json.loads(shown[shown.index("{"):])["packages"]
        (crate,) = (package for package in packages if package["name"] == "tokio-postgres")
        source = os.path.join(self.dir, "source")
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(os.path.dirname(crate["manifest_path"]), source)
        adapt(source)
        # A target directory of its own: its features are others.
        env = {"CARGO_TARGET_DIR": os.path.join(self.dir, "target"), "CARGO_PROFILE_DEV_DEBUG": "0"}
        command = ["cargo", "test", "--no-run", "--test", "test", "--features", ",".join(FEATURES), "--message-format", "json", "--quiet"]
        lines = run(command, cwd=source, env=env).stdout.splitlines()
        built = [json.loads(line) for line in lines if line.startswith("{")]
        (program,) = (each["executable"] for each in built if each.get("executable"))
        shutil.copy(program, self.program)

    def outcomes(self, column, target, only=()):
        server = target.server
        server.sql("CREATE EXTENSION IF NOT EXISTS hstore", "CREATE EXTENSION IF NOT EXISTS citext", "CREATE EXTENSION IF NOT EXISTS ltree", database=DATABASE)
        env = column.environment()
        for login in LOGINS:
            if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{login}'").strip():
                server.sql(f"CREATE ROLE {login} LOGIN")
            server.sql(f"ALTER ROLE {login} PASSWORD '{column.own_password}'")
            env[f"PGPASSWORD_{login}"] = column.password_of(login)
        # One at a time: some count the sessions of the server.
        done = run([self.program, "--test-threads=1", *(["--exact", *only] if only else [])], env=env, check=False)
        with open(os.path.join(self.dir, f"{column.name}.log"), "w", encoding="utf-8") as log:
            log.write(done.stdout)
        for name, text in re.findall(r"^---- (\S+) stdout ----$(.*?)(?=^----|^failures:|\Z)", done.stdout, re.M | re.S):
            self.tell(column, name, text)
        kinds = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
        return {name: kinds[kind] for name, kind in re.findall(r"^test (\S+) \.\.\. (ok|FAILED|ignored)", done.stdout, re.M)}

def adapt(source):
    """Lets the tests connect to the server that the environment names; nothing else about them changes."""
    root = os.path.join(source, "tests", "test")
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if name == "parse.rs":
                continue
            text = text.replace('TcpStream::connect("127.0.0.1:5433")', 'TcpStream::connect(format!("127.0.0.1:{}", std::env::var("PGPORT").unwrap()))')
            text = text.replace("s.parse::<Config>()", "crate::words(s).parse::<Config>()")
            text = re.sub(r'tokio_postgres::connect\(\s*("[^"]*"|s)', r"tokio_postgres::connect(&crate::words(\1)", text)
            if path == os.path.join(root, "main.rs"):
                text += WORDS
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
