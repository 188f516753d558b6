//! `unsafe` only in the places that are named for it, and there with its reason.

use std::path::Path;

use anyhow::{Context, Result};

use super::Tree;

/// How many lines above a use its `SAFETY:` comment may start.
const REASON_LINES_MAX: usize = 12;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for source in &tree.sources {
        let allowed = tree.house.fence.allowed.iter();
        let inside = allowed.into_iter().any(|place| within(&source.path, place));
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, code) in source.code().lines().enumerate() {
            if !words(code).any(|word| word == "unsafe") {
                continue;
            }
            let place = format!("{}:{}", source.path, index + 1);
            if !inside {
                broken.push(format!("{place}: `unsafe` outside of the fence"));
            } else if needs_reason(code) && !has_reason(&lines, index) {
                broken.push(format!("{place}: `unsafe` without a `SAFETY:` comment"));
            }
        }
    }
    lints(tree.root, &tree.house.fence.allowed, &mut broken)?;
    Ok(broken)
}

fn within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Blocks and implementations have a reason; an `unsafe fn` has a contract in its documentation instead.
fn needs_reason(code: &str) -> bool {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    code.contains("unsafe {") || code.contains("unsafe impl")
}

fn has_reason(lines: &[&str], index: usize) -> bool {
    let first = index.saturating_sub(REASON_LINES_MAX);
    let above = lines.get(first..=index).unwrap_or_default();
    above.iter().any(|line| line.contains("SAFETY:"))
}

/// The compiler holds the fence too: the workspace forbids, and only crates with a fenced place say less.
fn lints(root: &Path, allowed: &[String], broken: &mut Vec<String>) -> Result<()> {
    for (path, manifest) in super::dependencies::manifests(root)? {
        if path == "Cargo.toml" {
            let level = lint(&manifest, &["workspace", "lints", "rust", "unsafe_code"]);
            if level.as_deref() != Some("forbid") {
                broken.push(format!("{path}: workspace.lints.rust.unsafe_code is not \"forbid\""));
            }
            continue;
        }
        let directory = path.strip_suffix("/Cargo.toml").context("a manifest has a place")?;
        let fenced = allowed.iter().any(|place| within(&format!("{place}/"), directory));
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .is_some_and(|value| value.as_bool() == Some(true));
        let denies = lint(&manifest, &["lints", "rust", "unsafe_code"]).as_deref() == Some("deny");
        if !(inherits || fenced && denies) {
            broken.push(format!("{path}: does not take the lints of the workspace"));
        }
    }
    Ok(())
}

fn lint(manifest: &toml::Table, keys: &[&str]) -> Option<String> {
    let (first, rest) = keys.split_first()?;
    let mut value = manifest.get(*first)?;
    for key in rest {
        value = value.get(key)?;
    }
    let level = value.as_str().or_else(|| value.get("level")?.as_str());
    level.map(str::to_owned)
}
