//! `--probe`: what the kernel allows, for `sluice doctor` and for people.

use std::process::ExitCode;

/// Prints the findings; exits 0 when io_uring can be used, 1 when it cannot.
pub fn print(json: bool) -> ExitCode {
    let probe = reactor::probe();
    let usable = probe.uring.is_ok();
    if json {
        let reason = probe.uring.as_ref().err().map(ToString::to_string);
        println!(
            "{}",
            serde_json::json!({ "uring": usable, "reason": reason, "backend": if usable { "uring" } else { "epoll" } })
        );
    } else {
        println!("{probe}");
    }
    if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
