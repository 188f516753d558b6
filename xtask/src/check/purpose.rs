//! Every source file opens with a `//!` sentence that says what it is for.

use anyhow::Result;

use super::Tree;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<String>> {
    let broken = tree.sources.iter().filter(|source| !has_purpose(&source.text));
    let lines = broken.map(|source| format!("{}: the first line is no `//!` sentence", source.path));
    Ok(lines.collect())
}

/// At least a few words; the sentence may go on over several lines.
fn has_purpose(text: &str) -> bool {
    let opening = text.lines().take_while(|line| line.starts_with("//!"));
    let sentence: Vec<&str> = opening.map(|line| line.trim_start_matches("//!").trim()).collect();
    let first = sentence.first().copied().unwrap_or_default();
    let paragraph = sentence.iter().take_while(|line| !line.is_empty());
    let last = paragraph.last().copied().unwrap_or_default();
    first.split_whitespace().count() >= 2 && last.ends_with(['.', ':', ';', '?'])
}
