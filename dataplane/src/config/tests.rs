//! Configuration: what users write and what they are told.

use super::{Written, load};
use std::path::PathBuf;

fn arguments() -> Written {
    Written {
        data_dir: Some(PathBuf::from("somewhere")),
        ..Written::default()
    }
}

fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect::<Vec<_>>()
        .into_iter()
}

#[test]
fn defaults_are_the_documented_ports() {
    let config = load(None, environment(&[]), arguments()).unwrap();
    assert_eq!(config.listen.postgres.to_string(), "127.0.0.1:15432");
    assert_eq!(config.listen.links.to_string(), "127.0.0.1:8010");
    assert_eq!(config.listen.metrics.to_string(), "127.0.0.1:8012");
    assert!(!config.pin);
}

#[test]
fn every_mistake_is_listed_at_once() {
    let variables = environment(&[
        ("SLUICE_DATAPLANE_NO_SUCH_KEY", "1"),
        ("SLUICE_DATAPLANE_BACKEND", "kqueue"),
        ("SLUICE_DATAPLANE_SCAN_LEVEL", "mmx"),
        ("SLUICE_DATAPLANE_CORES", "3-1,x"),
        ("SLUICE_DATAPLANE_LISTEN_POSTGRES", "localhost"),
        ("SLUICE_DATAPLANE_PIN", "maybe"),
    ]);
    let mistakes = load(None, variables, Written::default()).unwrap_err().0;
    for part in [
        "NO_SUCH_KEY",
        "kqueue",
        "mmx",
        "3-1",
        "\"x\"",
        "localhost",
        "maybe",
        "data_dir",
    ] {
        assert!(
            mistakes.iter().any(|mistake| mistake.contains(part)),
            "{part} is not in {mistakes:?}"
        );
    }
}

#[test]
fn the_matchers_level_can_be_named() {
    let level = |value| {
        load(
            None,
            environment(&[("SLUICE_DATAPLANE_SCAN_LEVEL", value)]),
            arguments(),
        )
        .map(|config| config.scan_level)
    };
    assert_eq!(level("auto").unwrap(), None);
    assert_eq!(level("portable").unwrap(), Some(scan::Level::Portable));
    if !scan::Level::Avx512.available() {
        assert!(level("avx512").unwrap_err().0[0].contains("this processor cannot"));
    }
}

#[test]
fn the_environment_wins_over_the_file_and_unknown_keys_of_the_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dataplane.toml");
    std::fs::write(&file, "cores = \"0-1\"\n[listen]\npostgres = \"127.0.0.1:1\"\n").unwrap();
    let variables = environment(&[("SLUICE_DATAPLANE_LISTEN_POSTGRES", "127.0.0.1:2")]);
    let config = load(Some(&file), variables, arguments()).unwrap();
    assert_eq!((config.listen.postgres.port(), config.cores), (2, vec![0, 1]));
    std::fs::write(&file, "colour = 1\n").unwrap();
    let mistakes = load(Some(&file), environment(&[]), arguments()).unwrap_err().0;
    assert!(mistakes[0].contains("colour"), "{mistakes:?}");
}
