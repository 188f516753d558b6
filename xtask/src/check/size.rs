//! Files stay short; the list of longer ones only shrinks.

use anyhow::Result;

use super::Tree;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<String>> {
    let rule = &tree.house.size;
    let mut broken = Vec::new();
    for source in tree.sources.iter().filter(|source| !source.is_test()) {
        let lines = source.lines_without_tests();
        match rule.known.get(&source.path) {
            None if lines > rule.lines_max => {
                let path = &source.path;
                broken.push(format!("{path}: {lines} lines, more than {}", rule.lines_max));
            }
            Some(known) if lines > *known => {
                broken.push(format!("{}: grew from {known} to {lines} lines", source.path));
            }
            Some(_) if lines <= rule.lines_max => {
                broken.push(format!("{}: short enough now, take it off the list", source.path));
            }
            Some(known) if lines < *known => {
                broken.push(format!("{}: shrank, lower its number to {lines}", source.path));
            }
            _ => {}
        }
    }
    for path in rule.known.keys() {
        if !tree.sources.iter().any(|source| source.path == *path) {
            broken.push(format!("{path}: gone, take it off the list"));
        }
    }
    Ok(broken)
}
