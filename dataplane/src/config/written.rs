//! The configuration as written: every key optional, unknown keys refused.

use super::{CertificateLogin, ClientCertificates, ClientTls, Config, Listen};
use crate::http::access_log::Format;
use reactor::BackendChoice;
use scan::Level;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SPOOL_BYTES_MAX_DEFAULT: u64 = 1 << 30;
const SPOOL_BYTES_MAX_LEAST: u64 = 64 << 20;
const DRAIN_SECONDS_DEFAULT: u64 = 30;

/// Keys of the file. Environment names are `SLUICE_DATAPLANE_` + the key in upper case, `.` as `_`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    pub data_dir: Option<PathBuf>,
    pub cred_file: Option<PathBuf>,
    /// `auto`, `0-3` or `2,4,6`.
    pub cores: Option<String>,
    pub pin: Option<bool>,
    /// `auto`, `uring` or `epoll`.
    pub backend: Option<String>,
    /// `auto`, `reference`, `portable`, `avx2` or `avx512`.
    pub scan_level: Option<String>,
    pub listen: WrittenListen,
    pub client_tls: WrittenTls,
    pub control: Option<String>,
    pub spool_bytes_max: Option<u64>,
    pub drain_timeout_seconds: Option<u64>,
    /// File for one line per request of HTTP.
    pub access_log: Option<PathBuf>,
    /// `combined` or `json`.
    pub access_log_format: Option<String>,
    pub log_level: Option<String>,
    /// `text` or `json`.
    pub log_format: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenListen {
    pub postgres: Option<String>,
    pub http: Option<String>,
    pub links: Option<String>,
    pub metrics: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenTls {
    /// `off`, `offered` (default) or `required`.
    pub mode: Option<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// PEM file with the authorities of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// `certificate-or-password` (default) or `certificate-and-password`.
    pub login: Option<String>,
}

/// Reads a TOML file; an error names the file and the place in it.
pub fn read_file(path: &Path) -> Result<Written, Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
    toml::from_str(&text).map_err(|error| vec![format!("{}: {error}", path.display())])
}

impl Written {
    /// Values of `over` win.
    pub fn overlay(&mut self, over: Written) {
        fn take<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        take(&mut self.data_dir, over.data_dir);
        take(&mut self.cred_file, over.cred_file);
        take(&mut self.cores, over.cores);
        take(&mut self.pin, over.pin);
        take(&mut self.backend, over.backend);
        take(&mut self.scan_level, over.scan_level);
        take(&mut self.listen.postgres, over.listen.postgres);
        take(&mut self.listen.http, over.listen.http);
        take(&mut self.access_log, over.access_log);
        take(&mut self.access_log_format, over.access_log_format);
        take(&mut self.listen.links, over.listen.links);
        take(&mut self.listen.metrics, over.listen.metrics);
        take(&mut self.client_tls.mode, over.client_tls.mode);
        take(&mut self.client_tls.certificate, over.client_tls.certificate);
        take(&mut self.client_tls.key, over.client_tls.key);
        take(&mut self.client_tls.client_ca, over.client_tls.client_ca);
        take(&mut self.client_tls.login, over.client_tls.login);
        take(&mut self.control, over.control);
        take(&mut self.spool_bytes_max, over.spool_bytes_max);
        take(&mut self.drain_timeout_seconds, over.drain_timeout_seconds);
        take(&mut self.log_level, over.log_level);
        take(&mut self.log_format, over.log_format);
    }

    /// Checks everything and reports every mistake; `None` when a value without default is missing.
    pub fn resolve(self, mistakes: &mut Vec<String>) -> Option<Config> {
        let listen = Listen {
            postgres: address("listen.postgres", self.listen.postgres, "127.0.0.1:15432", mistakes),
            http: address("listen.http", self.listen.http, "127.0.0.1:18888", mistakes),
            links: address("listen.links", self.listen.links, "127.0.0.1:8010", mistakes),
            metrics: address("listen.metrics", self.listen.metrics, "127.0.0.1:8012", mistakes),
        };
        let client_certificates = client_certificates(&self.client_tls, mistakes);
        let (client_tls, client_tls_required) = client_tls(self.client_tls, mistakes);
        let spool_bytes_max = self.spool_bytes_max.unwrap_or(SPOOL_BYTES_MAX_DEFAULT);
        if spool_bytes_max < SPOOL_BYTES_MAX_LEAST {
            mistakes.push(format!(
                "spool_bytes_max: {spool_bytes_max} is below {SPOOL_BYTES_MAX_LEAST}"
            ));
        }
        let cores = cores(self.cores.as_deref().unwrap_or("auto"), mistakes);
        let backend = backend(self.backend.as_deref().unwrap_or("auto"), mistakes);
        let scan_level = scan_level(self.scan_level.as_deref().unwrap_or("auto"), mistakes);
        let access_log_format = match self.access_log_format.as_deref() {
            None | Some("combined") => Format::Combined,
            Some("json") => Format::Json,
            Some(other) => {
                mistakes.push(format!(
                    "access_log_format: \"{other}\" is neither \"combined\" nor \"json\""
                ));
                Format::Combined
            }
        };
        let log_json = match self.log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                mistakes.push(format!("log_format: \"{other}\" is neither \"text\" nor \"json\""));
                false
            }
        };
        let Some(data_dir) = self.data_dir else {
            mistakes.push("data_dir: missing; name a directory that only this data plane uses".into());
            return None;
        };
        Some(Config {
            data_dir,
            cred_file: self.cred_file,
            cores,
            pin: self.pin.unwrap_or(false),
            backend,
            scan_level,
            listen,
            client_tls,
            client_certificates,
            client_tls_required,
            control: self.control,
            spool_bytes_max,
            drain_timeout: Duration::from_secs(self.drain_timeout_seconds.unwrap_or(DRAIN_SECONDS_DEFAULT)),
            access_log: self.access_log,
            access_log_format,
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
            log_json,
        })
    }
}

fn address(key: &str, written: Option<String>, default: &str, mistakes: &mut Vec<String>) -> SocketAddr {
    let text = written.as_deref().unwrap_or(default);
    text.parse().unwrap_or_else(|_| {
        mistakes.push(format!(
            "{key}: \"{text}\" is not an address of the form 127.0.0.1:5432 or [::1]:5432"
        ));
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

/// The level that is forced, if one is.
fn scan_level(text: &str, mistakes: &mut Vec<String>) -> Option<Level> {
    let level = Level::from_name(text);
    match level {
        None if text != "auto" => mistakes.push(format!(
            "scan_level: \"{text}\" is none of \"auto\", \"reference\", \"portable\", \"avx2\", \"avx512\""
        )),
        Some(level) if !level.available() => {
            mistakes.push(format!("scan_level: this processor cannot do \"{text}\"; use \"auto\""))
        }
        _ => {}
    }
    level
}

fn backend(text: &str, mistakes: &mut Vec<String>) -> BackendChoice {
    match text {
        "auto" => BackendChoice::Auto,
        "uring" => BackendChoice::Uring,
        "epoll" => BackendChoice::Epoll,
        other => {
            mistakes.push(format!(
                "backend: \"{other}\" is none of \"auto\", \"uring\", \"epoll\""
            ));
            BackendChoice::Auto
        }
    }
}

fn client_tls(written: WrittenTls, mistakes: &mut Vec<String>) -> (ClientTls, bool) {
    let source = match (written.certificate, written.key) {
        (Some(certificate), Some(key)) => ClientTls::Files { certificate, key },
        (None, None) => ClientTls::Issued,
        _ => {
            mistakes.push("client_tls: certificate and key must be given together".into());
            ClientTls::Issued
        }
    };
    match written.mode.as_deref() {
        None | Some("offered") => (source, false),
        Some("required") => (source, true),
        Some("off") => (ClientTls::Off, false),
        Some(other) => {
            mistakes.push(format!(
                "client_tls.mode: \"{other}\" is none of \"off\", \"offered\", \"required\""
            ));
            (source, false)
        }
    }
}

fn client_certificates(written: &WrittenTls, mistakes: &mut Vec<String>) -> Option<ClientCertificates> {
    let login = match written.login.as_deref() {
        None | Some("certificate-or-password") => CertificateLogin::OrPassword,
        Some("certificate-and-password") => CertificateLogin::AndPassword,
        Some(other) => {
            mistakes.push(format!(
                "client_tls.login: \"{other}\" is neither \"certificate-or-password\" nor \"certificate-and-password\""
            ));
            CertificateLogin::AndPassword
        }
    };
    if written.client_ca.is_none() && written.login.is_some() {
        mistakes.push("client_tls.login: needs client_ca, the authorities that sign clients' certificates".into());
    }
    if written.client_ca.is_some() && written.mode.as_deref() == Some("off") {
        mistakes.push("client_tls.client_ca: certificates of clients need TLS, and mode is \"off\"".into());
    }
    let authority = written.client_ca.clone()?;
    Some(ClientCertificates { authority, login })
}

/// CPU numbers from `auto`, `0-3` or `2,4,6` (ranges and numbers may be mixed).
fn cores(text: &str, mistakes: &mut Vec<String>) -> Vec<usize> {
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if text == "auto" {
        return (0..available).collect();
    }
    let mut cores = Vec::new();
    for part in text.split(',') {
        match part
            .trim()
            .split_once('-')
            .map_or_else(|| number(part).map(|n| (n, n)), |(a, b)| number(a).zip(number(b)))
        {
            Some((first, last)) if first <= last && last < CPU_NUMBER_MAX => cores.extend(first..=last),
            _ => mistakes.push(format!(
                "cores: \"{part}\" is neither \"auto\" nor a number below {CPU_NUMBER_MAX} nor a range like 0-3"
            )),
        }
    }
    cores.sort_unstable();
    cores.dedup();
    if cores.len() > crate::limits::CORES_MAX {
        mistakes.push(format!(
            "cores: {} is above the bound of {}",
            cores.len(),
            crate::limits::CORES_MAX
        ));
    }
    cores
}

const CPU_NUMBER_MAX: usize = 4096;

fn number(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}
