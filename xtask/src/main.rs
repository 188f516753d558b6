//! The front door for checks: `cargo xtask check | fmt | clippy | doc | deny | all`.

mod check;
mod house;
mod source;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND
  check    the rules of the house (xtask/house.toml)
  fmt      formatting, without changing anything
  clippy   lints of every crate and test, warnings are errors
  doc      documentation builds without warnings
  deny     licences and advisories (needs cargo-deny)
  all      check, fmt, clippy, doc
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: &str) -> Result<bool> {
    let root = root()?;
    match command {
        "check" => check::report(&root),
        "fmt" => cargo(&root, &["fmt", "--all", "--check"], &[]),
        "clippy" => {
            let arguments = ["clippy", "--workspace", "--all-targets", "--locked"];
            cargo(&root, &[&arguments[..], &["--", "-D", "warnings"]].concat(), &[])
        }
        "doc" => cargo(
            &root,
            &["doc", "--workspace", "--no-deps", "--locked"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
        "deny" => deny(&root),
        "all" => {
            let mut good = true;
            for part in ["check", "fmt", "clippy", "doc"] {
                println!("== {part}");
                good &= run(part)?;
            }
            Ok(good)
        }
        _ => bail!("{USAGE}"),
    }
}

/// The root of the workspace: the directory above this crate.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("this crate has no parent directory")?;
    Ok(root.to_path_buf())
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<bool> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).current_dir(root);
    command.envs(environment.iter().copied());
    let status = command.status().context("cargo does not start")?;
    Ok(status.success())
}

fn deny(root: &Path) -> Result<bool> {
    let found = Command::new("cargo-deny").arg("--version").output();
    if found.is_err() {
        bail!("cargo-deny is not installed: cargo install --locked cargo-deny");
    }
    cargo(root, &["deny", "--all-features", "check"], &[])
}
