//! The demo's own PostgreSQL: private, on a free port, filled with made-up personal data, gone when `up` ends.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{POLL_INTERVAL, READY_TIMEOUT};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::write_private;

const POLICY: &str = include_str!("../../../deploy/demo.toml");
const DATA: &str = include_str!("../../../deploy/demo.sql");
/// Owner of the demo's database and the role that the gateway logs in with.
const OWNER: &str = "shop_owner";
const ROLE: &str = "shop_app";
const DATABASE: &str = "shop";
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running PostgreSQL. Its shell ends it when our end of the pipe closes, however this process dies.
pub struct Database {
    dir: PathBuf,
    port: u16,
    password: String,
    process: Child,
}

/// Programs and account to run it with.
struct Server {
    bin: PathBuf,
    /// PostgreSQL refuses to run as root; then this account is used.
    account: Option<(u32, u32)>,
}

impl Database {
    /// Makes a cluster, starts it and fills it.
    pub async fn start(data_dir: &Path) -> Outcome<Self> {
        let server = Server::find()?;
        let dir = server.private_dir(data_dir)?;
        let password = random_word()?;
        server.init(&dir, &password).await?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let process = server.launch(&dir, port)?;
        let database = Self {
            dir,
            port,
            password,
            process,
        };
        server.wait(&database).await?;
        server.fill(&database).await?;
        Ok(database)
    }

    /// What the agent needs to resolve the demo's secret references.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("DEMO_SHOP_USER".to_owned(), ROLE.to_owned()),
            ("DEMO_SHOP_PASSWORD".to_owned(), self.password.clone()),
        ]
    }

    /// Writes the demo's policy with the port that was found.
    pub fn write_policy(&self, data_dir: &Path) -> Outcome<PathBuf> {
        let mut policy: toml::Table = POLICY.parse().context("the demo's policy")?;
        let connections = policy.get_mut("connection").and_then(toml::Value::as_array_mut);
        for connection in connections.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            connection.insert("port".to_owned(), toml::Value::Integer(self.port.into()));
        }
        let file = data_dir.join("demo-policy.toml");
        write_private(&file, policy.to_string().as_bytes())?;
        Ok(file)
    }

    /// Tells what to try.
    pub fn explain(&self, api: &str, postgres: &str, data_dir: &Path) {
        let dir = data_dir.display();
        for line in [
            format!("API and UI: {api}"),
            format!("export SLUICE_URL={api} SLUICE_TOKEN=$(cat {dir}/admin.token) SLUICE_POSTGRES={postgres}"),
            "sluice connect shop --user alice --exec psql    # an analyst: personal data is masked".to_owned(),
            "sluice connect shop --user dana --exec psql     # a data protection officer: it is not".to_owned(),
            "sluice sessions list".to_owned(),
        ] {
            output::line(&line);
        }
    }

    /// Stops the server and removes its directory.
    pub async fn end(mut self) {
        drop(self.process.stdin.take());
        if timeout(END_TIMEOUT, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Server {
    fn find() -> Outcome<Self> {
        let bin = programs_dir().ok_or_else(|| {
            Failure::Failed("the demo needs PostgreSQL's server; run: apt-get install -y postgresql".to_owned())
        })?;
        let root = fs::metadata("/proc/self")
            .map(|metadata| metadata.uid() == 0)
            .unwrap_or(false);
        let account = if root { Some(postgres_account()?) } else { None };
        Ok(Self { bin, account })
    }

    /// A directory that the server's account can reach: beside our own things, or in the system's place for temporary ones.
    fn private_dir(&self, data_dir: &Path) -> Outcome<PathBuf> {
        let base = if self.account.is_some() {
            std::env::temp_dir()
        } else {
            data_dir.to_owned()
        };
        let dir = base.join(format!("sluice-demo-{}", random_word()?.get(..12).unwrap_or_default()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| dir.display().to_string())?;
        if let Some((user, group)) = self.account {
            chown(&dir, Some(user), Some(group)).with_context(|| dir.display().to_string())?;
        }
        Ok(dir)
    }

    fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env("LC_ALL", "C.UTF-8")
            .stdout(Stdio::null())
            .kill_on_drop(true);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    async fn init(&self, dir: &Path, password: &str) -> Outcome {
        let file = dir.join("owner.password");
        write_private(&file, password.as_bytes())?;
        if let Some((user, group)) = self.account {
            chown(&file, Some(user), Some(group))?;
        }
        let mut command = self.command(&self.bin.join("initdb"), dir);
        command.args([
            "-D",
            "data",
            "-U",
            OWNER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--no-sync",
        ]);
        command.arg(format!("--pwfile={}", file.display()));
        succeed(command, None).await
    }

    fn launch(&self, dir: &Path, port: u16) -> Outcome<Child> {
        let mut command = self.command(Path::new("/bin/sh"), dir);
        // The shell waits for the end of its input, which is the end of `up`, and stops the server.
        command.arg("-c").arg(
            "\"$0\" -D data -k \"$PWD\" -p \"$1\" -c listen_addresses=127.0.0.1 -c fsync=off </dev/null >log 2>&1 & server=$!; \
             cat >/dev/null; kill -INT $server; wait $server",
        );
        let child = command
            .arg(self.bin.join("postgres"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .process_group(0);
        Ok(child.spawn().context("cannot start PostgreSQL")?)
    }

    async fn wait(&self, database: &Database) -> Outcome {
        let started = Instant::now();
        loop {
            let mut command = self.command(&self.bin.join("pg_isready"), &database.dir);
            let ready = command
                .args(["-q", "-h"])
                .arg(&database.dir)
                .args(["-p", &database.port.to_string()]);
            if ready.status().await.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if started.elapsed() > READY_TIMEOUT {
                let log = fs::read_to_string(database.dir.join("log")).unwrap_or_default();
                return Err(Failure::Failed(format!("the demo's PostgreSQL did not start:\n{log}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn fill(&self, database: &Database) -> Outcome {
        let password = &database.password;
        let script = format!(
            "create role {ROLE} login password '{password}';\n\
             create database {DATABASE};\n\
             \\connect {DATABASE}\n{DATA}\n\
             grant select, insert, update, delete on all tables in schema public to {ROLE};\n\
             grant create on schema public to {ROLE};\n"
        );
        let mut command = self.command(&self.bin.join("psql"), &database.dir);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-U", OWNER, "-h"]);
        command
            .arg(&database.dir)
            .args(["-p", &database.port.to_string()])
            .env("PGPASSWORD", password);
        succeed(command, Some(&script)).await
    }
}

async fn succeed(mut command: Command, input: Option<&str>) -> Outcome {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.clone())?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).await.with_context(|| program.clone())?;
    }
    let output = child.wait_with_output().await.with_context(|| program.clone())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// Where the newest installed server's programs are: Debian's place, or PATH.
fn programs_dir() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    let in_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|dir| dir.join("initdb").is_file())
    };
    found.pop().map(|(_, bin)| bin).or_else(in_path)
}

/// User and group of the account `postgres`.
fn postgres_account() -> anyhow::Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    for account in accounts.lines() {
        let fields: Vec<&str> = account.split(':').collect();
        if let ["postgres", _, user, group, ..] = fields.as_slice() {
            return Ok((user.parse()?, group.parse()?));
        }
    }
    bail!("PostgreSQL does not run as root, and there is no account \"postgres\"; run this as another user")
}

fn random_word() -> Outcome<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes))?;
    Ok(bytes.iter().fold(String::new(), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    }))
}
