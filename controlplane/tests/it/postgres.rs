//! A private PostgreSQL for the tests of one process, and a fresh database for each control plane.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest wait for the server.
const START_SECONDS_MAX: u64 = 60;

struct Server {
    /// Where its socket is.
    dir: PathBuf,
    /// The shell that stops the server and removes its files when this end is closed, which the end of our process does.
    _stop: std::process::ChildStdin,
}

/// The URL of a database that nobody has used.
pub fn fresh_database() -> String {
    static DATABASES: AtomicUsize = AtomicUsize::new(0);
    let server = server();
    let name = format!("sluice_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    psql(server, &format!("CREATE DATABASE {name}"));
    format!("postgres://postgres@localhost/{name}?host={}", server.dir.display())
}

fn psql(server: &Server, statement: &str) {
    let done = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-c",
            statement,
            "-h",
        ])
        .arg(&server.dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// The newest installed binaries of Debian's packages, or those of the search path.
fn binaries() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    found.sort();
    found.pop().unwrap_or_default()
}

fn start() -> Server {
    let dir = tempfile::Builder::new().prefix("sluice-pg-").tempdir().unwrap().keep();
    // PostgreSQL refuses to run as root.
    let script = r#"
        set -eu
        as=""
        if [ "$(id -u)" = 0 ]; then
            chown postgres "$DIR"
            as="setpriv --reuid=postgres --regid=postgres --clear-groups"
        fi
        cd "$DIR"
        $as "$BIN"initdb -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$DIR/log" 2>&1
        $as "$BIN"postgres -D "$DIR/data" -k "$DIR" -c listen_addresses= -c fsync=off -c full_page_writes=off \
            -c max_connections=500 >>"$DIR/log" 2>&1 &
        server=$!
        until psql -X -q -U postgres -h "$DIR" -d postgres -c 'SELECT 1' >/dev/null 2>&1; do
            kill -0 $server
            sleep 0.1
        done
        echo ready
        cat >/dev/null
        kill -QUIT $server
        wait $server || true
        cd /
        rm -rf "$DIR"
    "#;
    let bin = binaries();
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .env("DIR", &dir)
        .env(
            "BIN",
            if bin.as_os_str().is_empty() {
                String::new()
            } else {
                format!("{}/", bin.display())
            },
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = shell.stdout.take().unwrap();
    let (ready, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = [0; 6];
        ready.send(said.read_exact(&mut line).is_ok())
    });
    let started = waiting.recv_timeout(std::time::Duration::from_secs(START_SECONDS_MAX));
    let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    assert!(started.unwrap_or(false), "PostgreSQL does not start: {}", log());
    let stop = shell.stdin.take().unwrap();
    std::thread::spawn(move || shell.wait());
    Server { _stop: stop, dir }
}
