//! The rules as data: `xtask/house.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Contents of `xtask/house.toml`; its comments say what each part means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct House {
    /// Where `unsafe` may be.
    #[serde(rename = "unsafe")]
    pub fence: Fence,
    /// Our crate -> our crates that it may depend on.
    pub dependencies: BTreeMap<String, Vec<String>>,
    /// The same for what only tests and build scripts use.
    #[serde(default)]
    pub dev_dependencies: BTreeMap<String, Vec<String>>,
    /// Package or `*` -> crates of others that it must not link.
    #[serde(default)]
    pub forbidden: BTreeMap<String, Vec<String>>,
    /// Length of files.
    pub size: Size,
}

/// Where `unsafe` may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// Directories, relative to the root.
    pub allowed: Vec<String>,
}

/// Length of files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Most lines of a file, tests not counted.
    pub lines_max: usize,
    /// Files that are allowed more, with their number of lines.
    #[serde(default)]
    pub known: BTreeMap<String, usize>,
}

/// Reads the rules of the tree at `root`.
pub fn read(root: &Path) -> Result<House> {
    let path = root.join("xtask/house.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}
