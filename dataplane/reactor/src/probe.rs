//! Finds out by doing whether io_uring may be used here, and names the switch that forbids it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::buf::pool::Pool;
use crate::executor::Inbox;
use crate::port::Token;
use crate::sys;
use crate::uring::Uring;

/// What the ring was found to support beyond what the back end needs (Linux 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UringFeatures {
    /// Submission without an index array (Linux 6.6).
    pub no_sqarray: bool,
    /// The ring's descriptor is registered with the thread (Linux 5.18).
    pub registered_ring: bool,
    /// One request accepts many connections (Linux 5.19).
    pub multishot_accept: bool,
}

/// The switch that forbids io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// `kernel.io_uring_disabled` is 1 or 2.
    Sysctl,
    /// A seccomp filter, usually the container runtime's default profile.
    Seccomp,
    /// `RLIMIT_MEMLOCK` is too small for the ring.
    Memlock,
    /// The kernel is older than 6.1 or built without io_uring.
    Kernel,
    /// The process has no descriptors left.
    Descriptors,
    /// Something else; `Forbidden::why` has what the kernel said.
    Other,
}

/// Why io_uring cannot be used and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("io_uring cannot be used: {why}. To mend it: {mend}")]
pub struct Forbidden {
    pub switch: Switch,
    /// One clause for the operator.
    pub why: String,
    /// The command or setting that changes it.
    pub mend: String,
}

/// Result of `probe`.
#[derive(Clone, Debug)]
pub struct Probe {
    pub uring: Result<UringFeatures, Forbidden>,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = match &self.uring {
            Ok(features) => features,
            Err(forbidden) => return forbidden.fmt(f),
        };
        let yes = |on| if on { "yes" } else { "no" };
        write!(
            f,
            "io_uring can be used (no submission array: {}, registered ring: {}, multishot accept: {})",
            yes(features.no_sqarray),
            yes(features.registered_ring),
            yes(features.multishot_accept),
        )
    }
}

/// Builds a ring on a thread of its own, receives through a provided buffer, and says what happened.
#[must_use]
pub fn probe() -> Probe {
    let tried = std::thread::spawn(try_ring).join();
    let tried = tried.unwrap_or_else(|_| Err(io::Error::other("the probe's thread panicked")));
    Probe {
        uring: tried.map_err(|error| explain(&error)),
    }
}

fn try_ring() -> io::Result<UringFeatures> {
    const BYTES: &[u8] = b"probe";
    let pool = Pool::new((1, 4096), (1, 4096), 8192);
    let mut ring = Uring::new(8, pool, Arc::new(Inbox::new()?))?;
    let (mut near, far) = UnixStream::pair()?;
    near.write_all(BYTES)?;
    ring.recv(Token::new(0, 0), far.as_raw_fd(), true);
    let mut completions = Vec::new();
    while completions.is_empty() {
        ring.wait(true, &mut completions)?;
    }
    for completion in completions {
        if completion.result < 0 {
            return Err(io::Error::from_raw_os_error(-completion.result));
        }
        if completion.buf.as_deref() != Some(BYTES) {
            return Err(io::Error::other("a provided buffer came back with other bytes"));
        }
    }
    Ok(ring.features.clone())
}

/// Finds the switch behind an error of the ring's set-up.
pub(crate) fn explain(error: &io::Error) -> Forbidden {
    let forbidden = |switch, why: String, mend: &str| Forbidden {
        switch,
        why,
        mend: mend.into(),
    };
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match sysctl_disabled() {
            Some(level) if level > 0 => forbidden(
                Switch::Sysctl,
                format!("the sysctl kernel.io_uring_disabled is {level}"),
                "sysctl -w kernel.io_uring_disabled=0",
            ),
            _ if seccomp_filtered() => seccomp(),
            _ => forbidden(
                Switch::Other,
                "the kernel says that it is not permitted (a security module?)".into(),
                "look for a denial in `dmesg` or `journalctl -k`",
            ),
        },
        Some(libc::ENOSYS) if seccomp_filtered() => seccomp(),
        Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => forbidden(
            Switch::Kernel,
            format!("kernel {} lacks what is needed", kernel_release()),
            "boot Linux 6.1 or later with CONFIG_IO_URING=y",
        ),
        Some(libc::ENOMEM) => forbidden(
            Switch::Memlock,
            format!("RLIMIT_MEMLOCK allows only {} bytes", sys::memlock_bytes_max()),
            "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity), or make `ring_entries` smaller",
        ),
        Some(libc::EMFILE | libc::ENFILE) => forbidden(
            Switch::Descriptors,
            format!("no descriptor is left ({error})"),
            "ulimit -n 1048576 (systemd: LimitNOFILE=1048576)",
        ),
        _ => forbidden(
            Switch::Other,
            error.to_string(),
            "set `backend = \"epoll\"` and report this",
        ),
    }
}

fn seccomp() -> Forbidden {
    Forbidden {
        switch: Switch::Seccomp,
        why: "a seccomp filter forbids io_uring_setup (container runtimes do so by default)".into(),
        mend: "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile \
               (docker run --security-opt seccomp=PROFILE.json)"
            .into(),
    }
}

fn sysctl_disabled() -> Option<u32> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

/// Whether a seccomp filter (mode 2) is on this process (proc(5), `Seccomp` in `/proc/PID/status`).
fn seccomp_filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

fn kernel_release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().into()
}
