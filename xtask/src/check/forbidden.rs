//! Crates that must not be linked, by the graph that cargo resolved.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Tree;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for (package, crates) in &tree.house.forbidden {
        let linked = linked(tree, package)?;
        broken.extend(violations(package, crates, &linked));
    }
    Ok(broken)
}

/// What of `crates` is in `linked`, the output of `cargo tree` with one `name version` per line.
pub(super) fn violations(package: &str, crates: &[String], linked: &str) -> Vec<String> {
    let names: Vec<&str> = linked.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = crates.iter().filter(|name| names.contains(&name.as_str()));
    let who = if package == "*" { "the workspace" } else { package };
    found
        .map(|name| format!("{who} links {name}: cargo tree -e normal -i {name}"))
        .collect()
}

fn linked(tree: &Tree<'_>, package: &str) -> Result<String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(tree.root);
    command.args([
        "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}",
    ]);
    match package {
        "*" => command.arg("--workspace"),
        package => command.args(["--package", package]),
    };
    let output = command.output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
