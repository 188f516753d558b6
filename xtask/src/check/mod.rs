//! The checks that hold the tree to its rules.

mod dependencies;
mod fence;
mod forbidden;
mod purpose;
mod size;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;

use crate::house::{self, House};
use crate::source::{self, Source};

/// A tree to be checked.
struct Tree<'r> {
    root: &'r Path,
    house: House,
    sources: Vec<Source>,
}

/// A rule: its name and what breaks it, one line each.
type Check = (&'static str, fn(&Tree<'_>) -> Result<Vec<String>>);

const CHECKS: &[Check] = &[
    ("purpose-line", purpose::check),
    ("unsafe-fence", fence::check),
    ("dependency-table", dependencies::check),
    ("file-size", size::check),
    ("forbidden-crates", forbidden::check),
];

/// Runs every check on the tree at `root` and prints what is broken; `true` if nothing is.
pub fn report(root: &Path) -> Result<bool> {
    let tree = Tree::read(root)?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        let broken = check(&tree)?;
        if broken.is_empty() {
            println!("ok      {name}");
            continue;
        }
        failed += 1;
        println!("FAILED  {name}");
        for line in broken {
            println!("        {line}");
        }
    }
    println!("{} passed, {failed} failed", CHECKS.len() - failed);
    Ok(failed == 0)
}

impl Tree<'_> {
    fn read(root: &Path) -> Result<Tree<'_>> {
        Ok(Tree {
            root,
            house: house::read(root)?,
            sources: source::rust_files(root)?,
        })
    }
}
