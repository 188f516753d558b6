//! Our crates depend on each other only as the table says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use toml::Table;

use super::Tree;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<String>> {
    let manifests = manifests(tree.root)?;
    let mut ours = BTreeSet::new();
    for (_, manifest) in &manifests {
        ours.extend(name(manifest));
    }
    let mut broken = Vec::new();
    for (path, manifest) in &manifests {
        let Some(crate_name) = name(manifest) else {
            continue;
        };
        let Some(allowed) = tree.house.dependencies.get(&crate_name) else {
            broken.push(format!("{path}: crate {crate_name} is not in the table"));
            continue;
        };
        let in_tests = tree.house.dev_dependencies.get(&crate_name);
        for (dependency, only_in_tests) in dependencies(manifest) {
            let known = allowed.contains(&dependency)
                || only_in_tests && in_tests.is_some_and(|list| list.contains(&dependency))
                || only_in_tests && dependency == crate_name;
            if ours.contains(&dependency) && !known {
                broken.push(format!("{path}: {crate_name} must not depend on {dependency}"));
            }
        }
    }
    for crate_name in tree.house.dependencies.keys() {
        if !ours.contains(crate_name) {
            broken.push(format!("xtask/house.toml: there is no crate {crate_name}"));
        }
    }
    Ok(broken)
}

/// The manifests of the workspace and its members, with their paths relative to the root.
pub(super) fn manifests(root: &Path) -> Result<Vec<(String, Table)>> {
    let workspace = manifest(root, "Cargo.toml")?;
    let members = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(|members| members.as_array())
        .context("Cargo.toml has no workspace.members")?;
    let mut paths = Vec::new();
    for member in members {
        let member = member.as_str().context("a member is not a string")?;
        paths.push(format!("{member}/Cargo.toml"));
    }
    let mut all = vec![("Cargo.toml".to_owned(), workspace)];
    for path in paths {
        let manifest = manifest(root, &path)?;
        all.push((path, manifest));
    }
    Ok(all)
}

fn manifest(root: &Path, path: &str) -> Result<Table> {
    let text = std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())?;
    text.parse().with_context(|| path.to_owned())
}

fn name(manifest: &Table) -> Option<String> {
    let name = manifest.get("package")?.get("name")?;
    name.as_str().map(str::to_owned)
}

/// Names of the packages that a manifest asks for, and whether only tests and build scripts use them.
fn dependencies(manifest: &Table) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    let targets = manifest.get("target").and_then(|target| target.as_table());
    let targets = targets.into_iter().flat_map(|table| table.values());
    let tables = targets.filter_map(|target| target.as_table());
    for table in tables.chain([manifest]) {
        for (kind, only_in_tests) in [
            ("dependencies", false),
            ("dev-dependencies", true),
            ("build-dependencies", true),
        ] {
            let entries = table.get(kind).and_then(|entries| entries.as_table());
            for (key, value) in entries.into_iter().flatten() {
                let renamed = value.get("package").and_then(|package| package.as_str());
                let package = renamed.unwrap_or(key).to_owned();
                let weakest = found.get(&package).copied().unwrap_or(true);
                found.insert(package, weakest && only_in_tests);
            }
        }
    }
    found
}
