//! The program as scripts use it: exit codes, output, and `up` around stand-ins of the three programs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn sluice(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SLUICE_")) {
        command.env_remove(key);
    }
    command
        .env("HOME", "/nonexistent")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null());
    command
}

fn built() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sluice"))
}

fn run(arguments: &[&str]) -> Output {
    sluice(&built()).args(arguments).output().unwrap()
}

/// Answers every request with this status and body; gives the port and what was asked.
fn http(status: &'static str, body: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let length = body.len();
            let _ = write!(
                socket,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = asked.send(String::from_utf8(head).unwrap());
        }
    });
    (port, requests)
}

#[test]
fn exit_codes_tell_what_happened() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(run(&["--url", "ftp://x", "whoami"]).status.code(), Some(2));
    let away = run(&["--url", "http://127.0.0.1:1", "whoami"]);
    assert_eq!(away.status.code(), Some(3), "{}", String::from_utf8_lossy(&away.stderr));
    for (status, code) in [
        ("401 No", 4),
        ("403 No", 4),
        ("404 No", 1),
        ("422 No", 1),
        ("500 No", 1),
        ("200 OK", 0),
    ] {
        let (port, _) = http(status, "{}");
        let url = format!("http://127.0.0.1:{port}");
        assert_eq!(
            run(&["--url", &url, "--token", "t", "whoami"]).status.code(),
            Some(code),
            "{status}"
        );
    }
}

#[test]
fn lists_are_json_when_asked_and_the_token_is_shown_to_the_control_plane_only() {
    let (port, requests) = http(
        "200 OK",
        r#"{"items": [{"name": "orders", "port": 5432}], "next_cursor": null}"#,
    );
    let url = format!("http://127.0.0.1:{port}");
    let table = run(&["--url", &url, "--token", "slu_secret", "connections", "list"]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(
        text.starts_with("NAME") && text.contains("orders") && !text.contains("slu_secret"),
        "{text}"
    );
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("GET /api/connections?limit=500 HTTP/1.1"),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("authorization: bearer slu_secret"),
        "{request}"
    );
    let json = run(&["--url", &url, "--json", "connections", "list"]).stdout;
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value[0]["port"], 5432);
}

#[test]
fn login_checks_and_saves_the_token_for_its_owner_only() {
    let (port, _requests) = http("200 OK", r#"{"name": "alice", "role": "member"}"#);
    let home = tempfile::tempdir().unwrap();
    let mut login = sluice(&built())
        .args(["--url", &format!("http://127.0.0.1:{port}"), "login"])
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    login.stdin.take().unwrap().write_all(b"slu_pasted\n").unwrap();
    assert!(login.wait_with_output().unwrap().status.success());
    let file = home.path().join(".config/sluice/config.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains("slu_pasted"));
    let who = sluice(&built())
        .arg("whoami")
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(String::from_utf8(who.stdout).unwrap().contains("alice"));
}

/// A directory with a copy of `sluice` and stand-ins for the three programs.
struct Stage {
    dir: tempfile::TempDir,
    ports: [u16; 4],
    _listeners: Vec<TcpListener>,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::copy(built(), dir.path().join("bin/sluice")).unwrap();
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let (metrics, _) = http("200 OK", "ready");
        let ports = [port(&listeners[0]), port(&listeners[1]), port(&listeners[2]), metrics];
        let stage = Self {
            dir,
            ports,
            _listeners: listeners,
        };
        // The admin token and the addresses are what the real programs write.
        stage.program(
            "controlplane",
            &format!(
                r#"echo secret-token > "$2/admin.token"; mkdir -p "$2/enrol"; : > "$2/enrol/agent.toml"
                echo '{{"api": "http://127.0.0.1:{0}", "control": "https://127.0.0.1:{0}"}}' > "$2/controlplane.addresses.json"
                echo ready"#,
                ports[0]
            ),
        );
        stage.program(
            "dataplane",
            &format!(
                r#"echo '{{"postgres": "127.0.0.1:{}", "links": "127.0.0.1:{}", "metrics": "127.0.0.1:{}", "http": "127.0.0.1:{}",
                "connections": {{"own": "127.0.0.1:{}"}}}}' > "$2/addresses.json""#,
                ports[1], ports[2], ports[3], ports[1], ports[1]
            ),
        );
        stage.program(
            "agent",
            "env > \"$2/environment\"; echo \"$@\" > \"$2/arguments\"; echo ready",
        );
        stage
    }

    /// Leaves its process id, runs `script`, then lives as long as its standard input.
    fn program(&self, word: &str, script: &str) {
        let file = self.dir.path().join(format!("bin/sluice-{word}"));
        let text = format!(
            "#!/bin/sh\necho $$ > \"$2/pid\"\n{script}\ncat > /dev/null\necho ended >> \"$2/../order\"\necho {word} >> \"$2/../order\"\n"
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn up(&self) -> Command {
        let mut command = sluice(&self.dir.path().join("bin/sluice"));
        command
            .arg("up")
            .arg("--data-dir")
            .arg(self.data())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn ready(&self) -> Child {
        let mut up = self.up().spawn().unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        up
    }

    fn pid(&self, word: &str) -> String {
        fs::read_to_string(self.data().join(word).join("pid"))
            .unwrap()
            .trim()
            .to_owned()
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

fn gone(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is gone: only nobody has asked for its exit yet.
    state.is_empty() || state.contains(") Z ")
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(15), "not within 15 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn up_starts_everything_says_where_and_ends_it_in_order() {
    let stage = Stage::new();
    let mut up = stage.ready();
    let token = stage.data().join("admin.token");
    assert_eq!(fs::read_to_string(&token).unwrap().trim(), "secret-token");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let addresses: serde_json::Value =
        serde_json::from_slice(&fs::read(stage.data().join("addresses.json")).unwrap()).unwrap();
    assert_eq!(addresses["api"], format!("http://127.0.0.1:{}", stage.ports[0]));
    assert_eq!(addresses["http"], format!("127.0.0.1:{}", stage.ports[1]));
    assert_eq!(addresses["connections"]["own"], format!("127.0.0.1:{}", stage.ports[1]));
    let environment = fs::read_to_string(stage.data().join("agent/environment")).unwrap();
    assert!(
        environment.contains(&format!("SLUICE_AGENT_GATEWAYS=127.0.0.1:{}", stage.ports[2])),
        "{environment}"
    );
    let arguments = fs::read_to_string(stage.data().join("agent/arguments")).unwrap();
    assert!(
        arguments.contains("--parent-stdin") && arguments.contains("enrol/agent.toml"),
        "{arguments}"
    );
    signal("-TERM", &up.id().to_string());
    assert!(up.wait().unwrap().success());
    let order = fs::read_to_string(stage.data().join("order")).unwrap();
    let order: Vec<_> = order.lines().filter(|line| *line != "ended").collect();
    assert_eq!(order, ["dataplane", "agent", "controlplane"]);
}

#[test]
fn a_child_that_dies_is_started_again_and_none_survives() {
    let stage = Stage::new();
    let mut up = stage.ready();
    let first = stage.pid("agent");
    signal("-KILL", &first);
    eventually("another agent", || {
        stage.pid("agent") != first && !stage.pid("agent").is_empty()
    });
    let pids = ["controlplane", "dataplane", "agent"].map(|word| stage.pid(word));
    up.kill().unwrap();
    up.wait().unwrap();
    eventually("no child left", || pids.iter().all(|pid| gone(pid)));
}

#[test]
fn a_program_that_refuses_its_configuration_ends_up_with_the_same_exit_code() {
    let stage = Stage::new();
    stage.program("dataplane", "echo 'dataplane: wrong key' >&2; exit 2");
    let output = stage.up().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("wrong key") && text.contains("sluice-dataplane ended before it was ready"),
        "{text}"
    );
    assert!(gone(&stage.pid("controlplane")));
}
