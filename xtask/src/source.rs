//! The Rust sources of a tree, and their code without comments and literals.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A Rust source file.
#[derive(Debug)]
pub struct Source {
    /// Path relative to the root, with `/`.
    pub path: String,
    /// Contents.
    pub text: String,
}

/// Every `.rs` file below `root`, sorted; build output and hidden directories are left out.
pub fn rust_files(root: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory);
        for entry in entries.with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() && !name.starts_with('.') && name != "target" {
                waiting.push(entry.path());
            } else if kind.is_file() && name.ends_with(".rs") {
                found.push(source(root, entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn source(root: &Path, path: PathBuf) -> Result<Source> {
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let relative = path.strip_prefix(root).unwrap_or(&path);
    Ok(Source {
        path: relative.to_string_lossy().replace('\\', "/"),
        text,
    })
}

impl Source {
    /// Whether the file holds only tests.
    pub fn is_test(&self) -> bool {
        let in_directory = |name: &str| self.path.split('/').any(|part| part == name);
        in_directory("tests") && !self.path.starts_with("tests/src/")
            || in_directory("benches")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }

    /// Number of lines in front of an inline test module.
    pub fn lines_without_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod ") && pair[1].trim_end().ends_with('{')
        });
        tests.unwrap_or(lines.len())
    }

    /// The text with comments, strings and character literals blanked; lines stay where they are.
    pub fn code(&self) -> String {
        blank(&self.text)
    }
}

/// Blanks what is not code. Knows nested comments, raw strings, and lifetimes next to character literals.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            let hidden = bytes.get(at..end).unwrap_or_default();
            out.extend(hidden.iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// End of the comment or literal that starts at `at`; `at` if none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let name_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + until(rest, |window| window[0] == b'\n'),
        [b'/', b'*', ..] => at + comment_length(rest),
        [b'"', ..] => at + string_length(rest),
        [b'r', b'"' | b'#', ..] if !name_before => at + raw_length(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !name_before => at + raw_length(rest, 2),
        [b'\'', b'\\', ..] => at + 3 + until(&rest[3.min(rest.len())..], |w| w[0] == b'\'') + 1,
        [b'\'', ..] => at + character_length(rest),
        _ => at,
    }
    .min(bytes.len())
}

fn until(bytes: &[u8], found: impl Fn(&[u8]) -> bool) -> usize {
    let at = (0..bytes.len()).find(|at| found(&bytes[*at..]));
    at.unwrap_or(bytes.len())
}

fn comment_length(bytes: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Length of `r##"…"##`, whose prefix has `prefix` letters; 0 for a raw name such as `r#type`.
fn raw_length(bytes: &[u8], prefix: usize) -> usize {
    let hashes = until(&bytes[prefix..], |window| window[0] != b'#');
    let open = prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return 0;
    }
    let inside = &bytes[open + 1..];
    let closes =
        |window: &[u8]| window[0] == b'"' && window[1..].iter().take(hashes).filter(|b| **b == b'#').count() == hashes;
    open + 1 + until(inside, closes) + 1 + hashes
}

/// Length of `'x'` with a character of any width; 0 for a lifetime.
fn character_length(bytes: &[u8]) -> usize {
    let close = bytes.iter().skip(1).take(5).position(|byte| *byte == b'\'');
    let Some(width) = close else { return 0 };
    let inside = std::str::from_utf8(&bytes[1..1 + width]).unwrap_or_default();
    if inside.chars().count() == 1 { width + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        for (text, code) in [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* unsafe */ y */ b", "a                        b"),
            (r#"f("unsafe \" unsafe") g"#, r#"f(                  ) g"#),
            ("r\"unsafe\" x", "          x"),
            ("r#\"un\"safe\"# x", "             x"),
            ("br##\"a\"#b\"## x", "             x"),
            ("r#type x", "r#type x"),
            ("&'a str", "&'a str"),
            ("('a', '\\'', 'é', b'\"') x", "(   ,     ,     , b   ) x"),
            ("for<'a> Fn(&'a u8)", "for<'a> Fn(&'a u8)"),
        ] {
            assert_eq!(blank(text), code);
        }
    }

    #[test]
    fn inline_tests_are_not_counted() {
        let source = |text: &str| Source {
            path: "x/src/a.rs".into(),
            text: text.into(),
        };
        let with = source("//! A.\nfn a() {}\n#[cfg(test)]\nmod tests {\n    x\n}\n");
        assert_eq!(with.lines_without_tests(), 2);
        let without = source("//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n");
        assert_eq!(without.lines_without_tests(), 4);
    }
}
