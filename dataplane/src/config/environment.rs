//! Configuration from the environment: `SLUICE_DATAPLANE_<KEY>`, every key of the file.

use super::Written;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

const PREFIX: &str = "SLUICE_DATAPLANE_";

/// Puts the environment's values over what the file said. Unknown names are mistakes, as in the file.
pub fn overlay(written: &mut Written, environment: impl Iterator<Item = (String, String)>, mistakes: &mut Vec<String>) {
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            set(written, key, &name, value, mistakes);
        }
    }
}

fn set(written: &mut Written, key: &str, name: &str, value: String, mistakes: &mut Vec<String>) {
    match key {
        "DATA_DIR" => written.data_dir = Some(PathBuf::from(value)),
        "CRED_FILE" => written.cred_file = Some(PathBuf::from(value)),
        "CORES" => written.cores = Some(value),
        "PIN" => parse(&mut written.pin, name, &value, mistakes),
        "BACKEND" => written.backend = Some(value),
        "SCAN_LEVEL" => written.scan_level = Some(value),
        "LISTEN_POSTGRES" => written.listen.postgres = Some(value),
        "LISTEN_HTTP" => written.listen.http = Some(value),
        "ACCESS_LOG" => written.access_log = Some(PathBuf::from(value)),
        "ACCESS_LOG_FORMAT" => written.access_log_format = Some(value),
        "LISTEN_LINKS" => written.listen.links = Some(value),
        "LISTEN_METRICS" => written.listen.metrics = Some(value),
        "CLIENT_TLS_MODE" => written.client_tls.mode = Some(value),
        "CLIENT_TLS_CERTIFICATE" => written.client_tls.certificate = Some(PathBuf::from(value)),
        "CLIENT_TLS_KEY" => written.client_tls.key = Some(PathBuf::from(value)),
        "CLIENT_TLS_CLIENT_CA" => written.client_tls.client_ca = Some(PathBuf::from(value)),
        "CLIENT_TLS_LOGIN" => written.client_tls.login = Some(value),
        "CONTROL" => written.control = Some(value),
        "SPOOL_BYTES_MAX" => parse(&mut written.spool_bytes_max, name, &value, mistakes),
        "DRAIN_TIMEOUT_SECONDS" => parse(&mut written.drain_timeout_seconds, name, &value, mistakes),
        "LOG_LEVEL" => written.log_level = Some(value),
        "LOG_FORMAT" => written.log_format = Some(value),
        _ => mistakes.push(format!("{name}: no such key")),
    }
}

fn parse<T: FromStr<Err: Display>>(slot: &mut Option<T>, name: &str, value: &str, mistakes: &mut Vec<String>) {
    match value.parse() {
        Ok(parsed) => *slot = Some(parsed),
        Err(error) => mistakes.push(format!("{name}: \"{value}\": {error}")),
    }
}
