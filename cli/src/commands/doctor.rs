//! `sluice doctor`: what is wrong with this host, and the command that mends it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use crate::api::Api;
use crate::args::Program;
use crate::failure::Outcome;
use crate::settings::Settings;
use crate::{output, programs};

/// Sockets that a busy data plane holds.
const OPEN_FILES_MIN: u64 = 65_536;
/// Pending connections of a listener in a login storm.
const BACKLOG_MIN: u64 = 1024;
/// Locked memory for rings and buffers of one core (KiB), where the kernel counts it.
const MEMLOCK_KIB_MIN: u64 = 8 * 1024;
/// Ports for sockets towards targets: one address of a target takes at most so many sessions of one data plane.
const LOCAL_PORTS_MIN: u64 = 20_000;
/// First kernel with everything the io_uring back end uses.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// Ports of the programs on one machine.
const PORTS: &[(u16, &str)] = &[
    (8009, "control plane, API"),
    (8010, "data plane, agents' links"),
    (8011, "control plane, data planes"),
    (8012, "data plane, metrics"),
    (15432, "data plane, postgres"),
];

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    /// Works, but not as well as it could.
    Warning,
    /// Does not work.
    Bad,
}

/// One thing that was looked at.
struct Check {
    what: &'static str,
    level: Level,
    found: String,
    mend: Option<String>,
}

/// Looks at everything; exit code 1 when something does not work.
pub fn run(settings: &Settings, programs: Option<&Path>, as_json: bool) -> Outcome<ExitCode> {
    let mut checks = vec![
        kernel(),
        uring(programs),
        open_files(),
        memlock(),
        backlog(),
        cpus(),
        governor(),
        threads_per_core(),
        huge_pages(),
        numa_balancing(),
        local_ports(),
        clock_source(),
    ];
    checks.push(clock_sync());
    checks.extend(PORTS.iter().map(|(port, who)| free_port(*port, who)));
    checks.push(control_plane(settings));
    let bad = checks.iter().any(|check| check.level == Level::Bad);
    if as_json {
        output::json(&Value::Array(checks.iter().map(Check::to_json).collect()))?;
    } else {
        checks.iter().for_each(Check::print);
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            level: Level::Good,
            found: found.into(),
            mend: None,
        }
    }

    fn wrong(what: &'static str, level: Level, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what,
            level,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn word(&self) -> &'static str {
        match self.level {
            Level::Good => "ok",
            Level::Warning => "warn",
            Level::Bad => "BAD",
        }
    }

    fn to_json(&self) -> Value {
        json!({"check": self.what, "level": self.word().to_lowercase(), "found": self.found, "mend": self.mend})
    }

    fn print(&self) {
        output::line(&format!(
            "{:<5} {:<14} {}",
            self.word(),
            self.what,
            output::printable(&self.found)
        ));
        if let Some(mend) = &self.mend {
            output::line(&format!("      {:<14} -> {mend}", ""));
        }
    }
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= KERNEL_MIN => Check::good("kernel", release),
        _ => Check::wrong(
            "kernel",
            Level::Warning,
            format!(
                "{release}; io_uring as the data plane uses it needs {}.{}",
                KERNEL_MIN.0, KERNEL_MIN.1
            ),
            "install a newer kernel (Debian: apt-get install -t stable-backports linux-image-amd64); until then epoll is used",
        ),
    }
}

/// Asks the data plane, which finds out by doing.
fn uring(dir: Option<&Path>) -> Check {
    let what = "io_uring";
    let file = match programs::find(Program::Dataplane.file_name(), dir) {
        Ok(file) => file,
        Err(failure) => {
            let mend = "put sluice-dataplane beside sluice, or name its directory with --programs";
            return Check::wrong(what, Level::Warning, failure.to_string(), mend);
        }
    };
    let output = Command::new(&file).args(["--probe", "--json"]).output();
    let probe = output
        .ok()
        .and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok());
    match probe {
        None => Check::wrong(
            what,
            Level::Bad,
            format!("{} --probe gave no answer", file.display()),
            "run it by hand and read what it says",
        ),
        Some(probe) if probe.get("uring") == Some(&Value::Bool(true)) => Check::good(what, "usable"),
        Some(probe) => Check::wrong(
            what,
            Level::Warning,
            format!("not usable, epoll is used instead: {}", output::cell(&probe, "reason")),
            uring_mend(),
        ),
    }
}

fn uring_mend() -> String {
    match read("/proc/sys/kernel/io_uring_disabled").as_str() {
        "1" | "2" => "sysctl -w kernel.io_uring_disabled=0".to_owned(),
        _ => "in a container: allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile \
              (docker run --security-opt seccomp=unconfined to try)"
            .to_owned(),
    }
}

/// Soft and hard value of a line of /proc/self/limits; `None` is unlimited.
fn limit(name: &str) -> Option<(Option<u64>, Option<u64>)> {
    let limits = read("/proc/self/limits");
    let line = limits.lines().find(|line| line.starts_with(name))?;
    let mut values = line
        .get(name.len()..)?
        .split_whitespace()
        .map(|value| value.parse::<u64>().ok());
    Some((values.next()?, values.next()?))
}

fn open_files() -> Check {
    match limit("Max open files") {
        // Programs of ours raise their soft limit themselves; the hard one is what counts.
        Some((_, Some(hard))) if hard < OPEN_FILES_MIN => Check::wrong(
            "open files",
            Level::Warning,
            format!("at most {hard}, which bounds the number of sessions"),
            format!("systemd: LimitNOFILE={OPEN_FILES_MIN}; shell: ulimit -Hn {OPEN_FILES_MIN} as root"),
        ),
        Some((soft, hard)) => Check::good("open files", format!("{} now, {} at most", shown(soft), shown(hard))),
        None => Check::good("open files", "not told by this kernel"),
    }
}

fn memlock() -> Check {
    match limit("Max locked memory") {
        Some((Some(soft), _)) if soft / 1024 < MEMLOCK_KIB_MIN => Check::wrong(
            "locked memory",
            Level::Warning,
            format!("{} KiB; registered buffers may be refused", soft / 1024),
            "systemd: LimitMEMLOCK=infinity; shell: ulimit -l unlimited as root",
        ),
        Some((soft, _)) => Check::good(
            "locked memory",
            soft.map_or_else(|| shown(None), |soft| format!("{} KiB", soft / 1024)),
        ),
        None => Check::good("locked memory", "not told by this kernel"),
    }
}

fn backlog() -> Check {
    match read("/proc/sys/net/core/somaxconn").parse::<u64>() {
        Ok(value) if value < BACKLOG_MIN => Check::wrong(
            "backlog",
            Level::Warning,
            format!("net.core.somaxconn is {value}; logins are lost when many come at once"),
            "sysctl -w net.core.somaxconn=4096",
        ),
        Ok(value) => Check::good("backlog", format!("net.core.somaxconn is {value}")),
        Err(_) => Check::good("backlog", "not told by this kernel"),
    }
}

fn cpus() -> Check {
    let allowed = read("/proc/self/status");
    let list = allowed
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or("?")
        .trim()
        .to_owned();
    let isolated = read("/sys/devices/system/cpu/isolated");
    if isolated.is_empty() {
        return Check::good(
            "cores",
            format!("may use {list}; none is isolated (pin = true works all the same)"),
        );
    }
    Check::good("cores", format!("may use {list}; isolated: {isolated}"))
}

fn governor() -> Check {
    match read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").as_str() {
        "" => Check::good("governor", "not controlled from here (virtual machine)"),
        "performance" => Check::good("governor", "performance"),
        other => Check::wrong(
            "governor",
            Level::Warning,
            format!("{other}; measurements will vary"),
            "cpupower frequency-set -g performance",
        ),
    }
}

/// Two threads of one core share it: a data core beside another busy thread gets about half.
fn threads_per_core() -> Check {
    match read("/sys/devices/system/cpu/smt/active").as_str() {
        "1" => Check::wrong(
            "threads",
            Level::Warning,
            "two threads share each core; data cores on both are worth little more than one",
            "give `cores` one thread of each core (lscpu -e shows which), or echo off > /sys/devices/system/cpu/smt/control",
        ),
        "0" => Check::good("threads", "one thread per core"),
        _ => Check::good("threads", "not told by this kernel"),
    }
}

fn huge_pages() -> Check {
    match chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")) {
        Some("always") => Check::wrong(
            "huge pages",
            Level::Warning,
            "always; many small sessions hold more memory than they use, and its clean-up shows in latencies",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(other) => Check::good("huge pages", other),
        None => Check::good("huge pages", "not told by this kernel"),
    }
}

fn numa_balancing() -> Check {
    let nodes = read("/sys/devices/system/node/online");
    match (nodes.as_str(), read("/proc/sys/kernel/numa_balancing").as_str()) {
        ("" | "0", _) => Check::good("memory nodes", "one"),
        (nodes, "0") => Check::good("memory nodes", format!("{nodes}; pages stay where they are")),
        (nodes, _) => Check::wrong(
            "memory nodes",
            Level::Warning,
            format!("{nodes}; the kernel moves pages between them, which stops data cores for moments"),
            "sysctl -w kernel.numa_balancing=0, and give `cores` CPUs of one node with pin = true",
        ),
    }
}

fn local_ports() -> Check {
    let range = read("/proc/sys/net/ipv4/ip_local_port_range");
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else {
        return Check::good("local ports", "not told by this kernel");
    };
    let count = (last + 1).saturating_sub(first);
    if count < LOCAL_PORTS_MIN {
        return Check::wrong(
            "local ports",
            Level::Warning,
            format!("{count} ({first} to {last}), which bounds the sessions to one target"),
            "sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
        );
    }
    Check::good("local ports", format!("{count} ({first} to {last})"))
}

/// The choice in a line such as `always [madvise] never`.
fn chosen(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

fn clock_source() -> Check {
    match read("/sys/devices/system/clocksource/clocksource0/current_clocksource").as_str() {
        slow @ ("hpet" | "acpi_pm" | "jiffies") => Check::wrong(
            "clock source",
            Level::Warning,
            format!("{slow}; every reading of the time is a slow device access"),
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
        "" => Check::good("clock source", "not told by this kernel"),
        source => Check::good("clock source", source),
    }
}

/// Grants and certificates expire, so clocks must agree.
fn clock_sync() -> Check {
    let output = Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .output();
    let answer = output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    match answer.as_str() {
        "yes" => Check::good("clock", "synchronised"),
        "no" => Check::wrong(
            "clock",
            Level::Warning,
            "not synchronised; grants and certificates of other machines may seem expired",
            "timedatectl set-ntp true",
        ),
        _ => Check::good("clock", "not known whether it is synchronised (no timedatectl)"),
    }
}

fn free_port(port: u16, who: &str) -> Check {
    let what = "port";
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Check::good(what, format!("{port} is free ({who})")),
        Err(error) => Check::wrong(
            what,
            Level::Warning,
            format!("{port} is taken ({who}): {error}"),
            format!("if this is not Sluice itself: ss -ltnp 'sport = :{port}' names who uses it"),
        ),
    }
}

fn control_plane(settings: &Settings) -> Check {
    let what = "control plane";
    match Api::new(settings.clone()).get("/ready") {
        Ok(_) => Check::good(what, format!("{} is ready", settings.url)),
        Err(failure) => Check::wrong(
            what,
            Level::Warning,
            failure.to_string(),
            "start it (`sluice up`), or say where it is with SLUICE_URL or `sluice login`",
        ),
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! Tests of what can be tested on any host.

    use super::*;

    #[test]
    fn limits_of_this_process_are_read() {
        assert!(limit("Max open files").is_some());
        assert!(limit("Max nonsense").is_none());
    }

    #[test]
    fn the_choice_in_brackets_is_read() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("always"), None);
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn a_taken_port_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free_port(port, "test").level, Level::Warning);
    }
}
