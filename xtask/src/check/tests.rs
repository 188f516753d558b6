//! Every check is shown a tree that breaks its rule, and has to say so.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Tree, dependencies, fence, forbidden, purpose, size};

/// A small workspace in a temporary directory that keeps all rules.
struct Fixture {
    root: PathBuf,
}

impl Fixture {
    fn new() -> Fixture {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("house-rules-{}-{number}", std::process::id());
        let fixture = Fixture {
            root: std::env::temp_dir().join(name),
        };
        fixture.write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"pure\", \"fast\"]\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n",
        );
        fixture.write(
            "xtask/house.toml",
            "[unsafe]\nallowed = [\"fast/src/arch\"]\n[dependencies]\npure = []\nfast = [\"pure\"]\n\
             [size]\nlines_max = 10\n[size.known]\n\"fast/src/long.rs\" = 12\n",
        );
        fixture.write(
            "pure/Cargo.toml",
            "[package]\nname = \"pure\"\n[lints]\nworkspace = true\n",
        );
        fixture.write(
            "fast/Cargo.toml",
            "[package]\nname = \"fast\"\n[lints.rust]\nunsafe_code = \"deny\"\n[dependencies]\npure = { path = \"../pure\" }\n",
        );
        fixture.write(
            "pure/src/lib.rs",
            "//! A pure thing.\nfn a() { b(\"unsafe\") } // unsafe\n",
        );
        fixture.write(
            "fast/src/arch/mod.rs",
            "//! A fast thing.\nfn a() {\n    // SAFETY: it is.\n    unsafe { b() }\n}\n",
        );
        fixture.write("fast/src/long.rs", &format!("//! A long thing.\n{}", "\n".repeat(11)));
        fixture
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// What a check says about the tree.
    fn broken(&self, check: fn(&Tree<'_>) -> anyhow::Result<Vec<String>>) -> Vec<String> {
        check(&Tree::read(&self.root).expect("readable")).expect("checked")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// The one complaint of a list, which has to contain `part`.
fn one(broken: &[String], part: &str) {
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].contains(part), "{broken:?}");
}

#[test]
fn a_tree_that_keeps_the_rules_passes() {
    let fixture = Fixture::new();
    for check in [purpose::check, fence::check, dependencies::check, size::check] {
        assert_eq!(fixture.broken(check), [""; 0]);
    }
}

#[test]
fn a_file_without_purpose_fails() {
    let fixture = Fixture::new();
    for text in [
        "fn a() {}\n",
        "// A comment.\n",
        "//! Word\n",
        "\n//! Too late.\n",
        "//!\n",
    ] {
        fixture.write("pure/src/new.rs", text);
        one(&fixture.broken(purpose::check), "pure/src/new.rs");
    }
    fixture.write("pure/src/new.rs", "//! A sentence\n//! over two lines.\n");
    assert_eq!(fixture.broken(purpose::check), [""; 0]);
}

#[test]
fn unsafe_outside_of_the_fence_fails() {
    let fixture = Fixture::new();
    for text in [
        "//! A thing.\nfn a() { unsafe { b() } }\n",
        "//! A thing.\nunsafe impl Send for A {}\n",
        "//! A thing.\nfn a<'a>(_: &'a u8) { let c = '\"'; unsafe{ b() } }\n",
    ] {
        fixture.write("pure/src/new.rs", text);
        one(&fixture.broken(fence::check), "pure/src/new.rs:2: `unsafe` outside");
    }
}

#[test]
fn unsafe_next_to_the_fence_fails() {
    let fixture = Fixture::new();
    fixture.write("fast/src/archive.rs", "//! A thing.\nunsafe fn a() {}\n");
    one(&fixture.broken(fence::check), "fast/src/archive.rs:2");
}

#[test]
fn unsafe_without_reason_fails() {
    let fixture = Fixture::new();
    fixture.write("fast/src/arch/new.rs", "//! A thing.\nfn a() { unsafe { b() } }\n");
    one(&fixture.broken(fence::check), "without a `SAFETY:` comment");
}

#[test]
fn weaker_lints_fail() {
    let fixture = Fixture::new();
    fixture.write(
        "pure/Cargo.toml",
        "[package]\nname = \"pure\"\n[lints.rust]\nunsafe_code = \"deny\"\n",
    );
    one(&fixture.broken(fence::check), "pure/Cargo.toml");
    let fixture = Fixture::new();
    fixture.write("Cargo.toml", "[workspace]\nmembers = [\"pure\", \"fast\"]\n");
    one(&fixture.broken(fence::check), "Cargo.toml: workspace.lints");
}

#[test]
fn a_dependency_that_is_not_in_the_table_fails() {
    for dependency in [
        "[dependencies]\nfast = { path = \"../fast\" }\n",
        "[dev-dependencies]\nfast.workspace = true\n",
        "[build-dependencies]\nother = { package = \"fast\", path = \"../fast\" }\n",
        "[target.'cfg(unix)'.dependencies]\nfast = { path = \"../fast\" }\n",
    ] {
        let fixture = Fixture::new();
        let manifest = format!("[package]\nname = \"pure\"\n[lints]\nworkspace = true\n{dependency}");
        fixture.write("pure/Cargo.toml", &manifest);
        one(&fixture.broken(dependencies::check), "pure must not depend on fast");
    }
}

#[test]
fn a_crate_that_is_not_in_the_table_fails() {
    let fixture = Fixture::new();
    fixture.write("Cargo.toml", "[workspace]\nmembers = [\"pure\", \"fast\", \"new\"]\n");
    fixture.write("new/Cargo.toml", "[package]\nname = \"new\"\n");
    one(&fixture.broken(dependencies::check), "new is not in the table");
}

#[test]
fn a_file_that_is_too_long_fails() {
    let fixture = Fixture::new();
    fixture.write("pure/src/new.rs", &format!("//! A thing.\n{}", "\n".repeat(10)));
    one(&fixture.broken(size::check), "11 lines, more than 10");
    fixture.write("pure/src/tests/new.rs", &format!("//! A thing.\n{}", "\n".repeat(10)));
    let inline = format!("//! A thing.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(10));
    fixture.write("pure/src/new.rs", &inline);
    assert_eq!(fixture.broken(size::check), [""; 0]);
}

#[test]
fn the_list_of_long_files_only_shrinks() {
    let fixture = Fixture::new();
    let lines = |count: usize| format!("//! A long thing.\n{}", "\n".repeat(count - 1));
    for (count, complaint) in [
        (13, "grew from 12 to 13"),
        (11, "lower its number to 11"),
        (10, "take it off"),
    ] {
        fixture.write("fast/src/long.rs", &lines(count));
        one(&fixture.broken(size::check), complaint);
    }
    std::fs::remove_file(fixture.root.join("fast/src/long.rs")).expect("removed");
    one(&fixture.broken(size::check), "gone");
}

#[test]
fn a_forbidden_crate_fails() {
    let linked = "fast v0.1.0 (/x)\nring v0.17.8\nringbuffer v1.0.0\n";
    let crates = ["ring".to_owned(), "openssl-sys".to_owned()];
    one(&forbidden::violations("fast", &crates, linked), "fast links ring");
    assert_eq!(forbidden::violations("*", &crates, "ringbuffer v1.0.0\n"), [""; 0]);
}

/// The tree that this test belongs to has its rules in place: no crate of it is missing from the table.
#[test]
fn the_rules_of_this_tree_can_be_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("has a parent");
    let tree = Tree::read(root).expect("readable");
    assert!(tree.house.dependencies.contains_key("session"));
    assert!(tree.house.forbidden.contains_key("*"));
    assert!(tree.sources.iter().any(|source| source.path == "xtask/src/main.rs"));
}
