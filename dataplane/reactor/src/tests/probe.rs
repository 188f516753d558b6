//! The probe says what it finds, also under a filter that forbids io_uring.

#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{Backend, BackendChoice, Config, Core, Switch, probe};

/// Names the child process's part of the test.
const CHILD: &str = "REACTOR_TEST_SECCOMP_CHILD";

#[test]
fn probe_finds_io_uring_here() {
    let found = probe();
    assert!(found.uring.is_ok(), "{found}");
    assert!(found.to_string().starts_with("io_uring can be used"));
}

/// A filter that answers EPERM to io_uring_setup and allows everything else, as container runtimes install it.
fn forbid_io_uring() -> std::io::Result<()> {
    let op = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut filter = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        op(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_io_uring_setup as u32,
        ),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: plain numbers, and a pointer to a live program of the stated length.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
        {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

#[test]
fn probe_names_seccomp_when_a_filter_forbids_io_uring() {
    let test = "tests::probe::child_under_the_filter";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    // SAFETY: between fork and exec only async-signal-safe system calls are made.
    unsafe { child.pre_exec(forbid_io_uring) };
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("1 passed") && text.contains("seccomp filter forbids"),
        "{text}"
    );
}

/// Runs in the child process; alone it has nothing to check.
#[test]
fn child_under_the_filter() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let found = probe();
    println!("{found}");
    assert_eq!(found.uring.unwrap_err().switch, Switch::Seccomp);
    let core = Core::new(Config::default()).unwrap();
    assert_eq!(core.backend(), Backend::Epoll);
    assert_eq!(core.fallback().unwrap().switch, Switch::Seccomp);
    let forced = Core::new(Config {
        backend: BackendChoice::Uring,
        ..Config::default()
    });
    assert!(forced.err().unwrap().to_string().contains("seccomp profile"));
    super::run_on(BackendChoice::Auto, || async {
        let (near, far) = super::pair().await;
        super::send_vec(&near, b"works").await.unwrap();
        assert_eq!(super::recv_exactly(&far, 5).await, b"works");
    });
}
