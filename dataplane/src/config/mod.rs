//! Configuration: as written (file and environment), checked as a whole, then as meant.

mod environment;
mod written;

use reactor::BackendChoice;
use scan::Level;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use written::Written;

/// Addresses that the data plane listens on. Port 0 picks a free one.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Stock PostgreSQL clients.
    pub postgres: SocketAddr,
    /// HTTP clients.
    pub http: SocketAddr,
    /// Agents' links.
    pub links: SocketAddr,
    /// `/metrics`, `/liveness`, `/ready`.
    pub metrics: SocketAddr,
}

/// Where the certificate shown to stock clients comes from.
#[derive(Clone, Debug)]
pub enum ClientTls {
    /// The certificate that the control plane issued to this data plane.
    Issued,
    /// PEM files of the operator.
    Files { certificate: PathBuf, key: PathBuf },
    /// No TLS is offered to clients.
    Off,
}

/// What a client's certificate is worth at the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateLogin {
    /// One for the user takes the password's place; without one the password is asked for.
    OrPassword,
    /// One for the user is needed, and the password as well.
    AndPassword,
}

/// Certificates of PostgreSQL clients.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// PEM file with the authorities that sign them.
    pub authority: PathBuf,
    pub login: CertificateLogin,
}

/// The configuration as meant: every value present and in its own type.
#[derive(Clone, Debug)]
pub struct Config {
    /// Keys, the last snapshot and the audit spool live here.
    pub data_dir: PathBuf,
    /// One-time credentials, needed until the first enrolment.
    pub cred_file: Option<PathBuf>,
    /// CPU numbers, one data core each.
    pub cores: Vec<usize>,
    /// Whether a core's thread stays on its CPU.
    pub pin: bool,
    pub backend: BackendChoice,
    /// Instructions that redaction searches with, where they are not to be the fastest that this processor has.
    pub scan_level: Option<Level>,
    pub listen: Listen,
    pub client_tls: ClientTls,
    /// Set where certificates of clients are looked at.
    pub client_certificates: Option<ClientCertificates>,
    /// Clients must use TLS.
    pub client_tls_required: bool,
    /// Address of the control plane where it is not the one that the credentials named.
    pub control: Option<String>,
    /// Unshipped audit records on disk before new work is refused.
    pub spool_bytes_max: u64,
    /// How long sessions may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// One line per request of HTTP.
    pub access_log: Option<PathBuf>,
    pub access_log_format: crate::http::access_log::Format,
    pub log_level: String,
    pub log_json: bool,
}

/// Every mistake of a configuration at once.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} mistake(s):\n{}", .0.len(), .0.iter().map(|m| format!("  {m}")).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<String>);

/// Reads the file (if any), then `SLUICE_DATAPLANE_*`, then checks everything.
pub fn load(
    file: Option<&std::path::Path>,
    environment: impl Iterator<Item = (String, String)>,
    arguments: Written,
) -> Result<Config, Mistakes> {
    let mut mistakes = Vec::new();
    let mut written = match file.map(written::read_file) {
        None => Written::default(),
        Some(Ok(from_file)) => from_file,
        Some(Err(found)) => {
            mistakes.extend(found);
            Written::default()
        }
    };
    environment::overlay(&mut written, environment, &mut mistakes);
    written.overlay(arguments);
    let config = written.resolve(&mut mistakes);
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(mistakes)),
    }
}

#[cfg(test)]
mod tests;
