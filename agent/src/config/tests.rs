//! Tests of the configuration: what is accepted, and that all mistakes are listed at once.

use super::*;

fn from(text: &str, env: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::from_text("agent.toml", text, env, overrides)
}

#[test]
fn every_key_of_the_documentation_is_read() {
    let config = from(
        r#"
        cred_file = "/etc/sluice/creds.toml"
        resource_name = "office-1"
        log_level = "debug"
        log_format = "json"
        use_hostname = true
        metadata = { site = "berlin" }
        http_port = 9090
        cert_path = "/var/lib/sluice/agent.crt"
        gateways = ["gw1:8010", "[::1]:8010"]
        links = 4
        drain_timeout = "5m"
        data_dir = "/var/lib/sluice"
        "#,
        &[],
        &[],
    )
    .unwrap();
    assert_eq!(config.resource_name.as_deref(), Some("office-1"));
    assert_eq!(config.log_format, LogFormat::Json);
    assert!(config.use_hostname);
    assert_eq!(config.metadata["site"], "berlin");
    assert_eq!(config.http_port.unwrap().port(), 9090);
    assert_eq!(config.gateways, ["gw1:8010", "[::1]:8010"]);
    assert_eq!(config.links, Links::Fixed(4));
    assert_eq!(config.drain_timeout, Duration::from_secs(300));
}

#[test]
fn the_environment_is_laid_over_the_file_and_the_command_line_over_both() {
    let config = from(
        "data_dir = \"/a\"\nlinks = 2\ngateways = [\"a:1\"]",
        &[
            ("SLUICE_AGENT_DATA_DIR", "/b"),
            ("SLUICE_AGENT_GATEWAYS", "b:1, c:2"),
            ("SLUICE_AGENT_LINKS", "auto"),
            ("SLUICE_AGENT_USE_HOSTNAME", "1"),
            ("SLUICE_AGENT_METADATA", "site=berlin, rack = 7"),
            ("SLUICE_AGENT_HTTP_PORT", "127.0.0.1:0"),
            ("SLUICE_DATAPLANE_CORES", "2"),
        ],
        &[("data_dir", "/c")],
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/c"));
    assert_eq!(config.gateways, ["b:1", "c:2"]);
    assert_eq!(config.links, Links::Auto);
    assert!(config.use_hostname);
    assert_eq!(config.metadata["rack"], "7");
    assert_eq!(config.http_port.unwrap().to_string(), "127.0.0.1:0");
}

#[test]
fn all_mistakes_are_listed_at_once_and_name_their_place() {
    let error = from(
        r#"
        gateway = ["a:1"]
        gateways = ["no-port", "::1:80"]
        links = 0
        use_hostname = "yes"
        drain_timeout = "soon"
        http_port = 70000
        log_format = "xml"
        metadata = [1]
        "#,
        &[("SLUICE_AGENT_LOGLEVEL", "x"), ("SLUICE_AGENT_RESOURCE_NAME", "")],
        &[],
    )
    .unwrap_err();
    let text = error.to_string();
    for expected in [
        "agent.toml: unknown key \"gateway\" (did you mean \"gateways\"?)",
        "\"no-port\" is not host:port",
        "\"::1:80\" is not host:port",
        "agent.toml: links must be",
        "use_hostname must be true or false",
        "drain_timeout must be a time",
        "http_port must be a port",
        "log_format must be",
        "metadata must be a table",
        "unknown key SLUICE_AGENT_LOGLEVEL (did you mean \"log_level\"?)",
        "SLUICE_AGENT_RESOURCE_NAME is empty",
        "data_dir is missing",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert_eq!(error.0.len(), 12, "{text}");
}

#[test]
fn a_syntax_error_names_the_file() {
    let error = from("data_dir = ", &[], &[]).unwrap_err();
    assert!(error.0[0].starts_with("agent.toml: TOML parse error"), "{error}");
}

#[test]
fn durations_have_units() {
    for (text, expected) in [
        ("250ms", 250),
        ("3", 3000),
        ("3s", 3000),
        ("2m", 120_000),
        ("1h", 3_600_000),
    ] {
        assert_eq!(parse_duration(text), Some(Duration::from_millis(expected)), "{text}");
    }
    for text in ["", "s", "-1s", "1.5s", "1d", "99999999999999999999s"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}
