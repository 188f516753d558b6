//! A private PostgreSQL with TLS and a role `app`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::authority::Authority;

pub struct Postgres {
    pub port: u16,
    dir: PathBuf,
    server: Child,
}

impl Postgres {
    /// `None`, said loudly, when the server's programs are not installed.
    pub fn start(authority: &Authority) -> Option<Self> {
        let Some(bin) = programs() else {
            eprintln!("SKIPPED: PostgreSQL's server programs are not installed (apt-get install -y postgresql)");
            return None;
        };
        let dir = std::env::temp_dir().join(format!("sluice-agent-test-{}-{}", std::process::id(), free_port()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        give(&dir);
        write(&dir.join("password"), "owner-password");
        run(Command::new(bin.join("initdb"))
            .current_dir(&dir)
            .args(["-D", "data", "-U", "owner"])
            .args(["-A", "scram-sha-256", "--pwfile=password", "--no-sync"]));
        let (chain, key) = authority.leaf("localhost");
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let lines: Vec<_> = text
                .as_bytes()
                .chunks(64)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        };
        write(&dir.join("data/server.crt"), &pem("CERTIFICATE", &chain[0]));
        write(&dir.join("data/server.key"), &pem("PRIVATE KEY", key.secret_der()));
        fs::set_permissions(dir.join("data/server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let port = free_port();
        let mut command = as_postgres(&bin.join("postgres"));
        command
            .current_dir(&dir)
            .args(["-D", "data", "-p", &port.to_string(), "-k"])
            .arg(&dir)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on"]);
        let log = fs::File::create(dir.join("log")).unwrap();
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let postgres = Self { port, dir, server };
        postgres.wait();
        postgres.sql(
            "create role app login password 'app-password'; create table t (id int, name text);
            grant all on t to app; insert into t values (1, 'a')",
        );
        Some(postgres)
    }

    fn wait(&self) {
        let started = Instant::now();
        while !self.psql("select 1").status.success() {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "PostgreSQL did not start:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn sql(&self, text: &str) -> String {
        let output = self.psql(text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn psql(&self, text: &str) -> std::process::Output {
        Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "owner",
                "-d",
                "postgres",
                "-c",
                text,
            ])
            .env("PGPASSWORD", "owner-password")
            .output()
            .unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.retain(|bin| bin.join("initdb").is_file());
    found.sort();
    found.pop()
}

fn account() -> Option<(u32, u32)> {
    (fs::metadata("/proc/self").unwrap().uid() == 0).then(|| {
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let fields: Vec<Vec<&str>> = accounts.lines().map(|line| line.split(':').collect()).collect();
        let postgres = fields
            .iter()
            .find(|fields| fields[0] == "postgres")
            .expect("an account postgres");
        (postgres[2].parse().unwrap(), postgres[3].parse().unwrap())
    })
}

fn as_postgres(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command
}

fn run(command: &mut Command) {
    let mut with_account = as_postgres(Path::new(command.get_program()));
    with_account
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    let output = with_account.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    give(path);
}

fn give(path: &Path) {
    if let Some((user, group)) = account() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
