//! The agent's configuration: one TOML file, `SLUICE_AGENT_<KEY>` over it, command line over both; every mistake listed at once.

mod duration;
mod reader;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits;
pub use duration::parse_duration;
use reader::Reader;

/// Prefix of the environment variables that set a key.
pub const ENV_PREFIX: &str = "SLUICE_AGENT_";

/// Every key, in the order of the documentation.
pub const KEYS: &[&str] = &[
    "cred_file",
    "resource_name",
    "log_level",
    "log_format",
    "use_hostname",
    "metadata",
    "http_port",
    "cert_path",
    "gateways",
    "links",
    "drain_timeout",
    "data_dir",
    "control_url",
];

/// The configuration as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Credentials file with the one-time token; needed only until the agent is enrolled.
    pub cred_file: Option<PathBuf>,
    /// Name of this agent as its pool lists it; the host name when `use_hostname` is set, else chosen at enrolment.
    pub resource_name: Option<String>,
    /// Filter of the log (`error`, `warn`, `info`, `debug`, `trace`, or a per-module filter).
    pub log_level: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Tell the host name at enrolment and in the hello of each link.
    pub use_hostname: bool,
    /// Free pairs that the pool's list of agents shows.
    pub metadata: BTreeMap<String, String>,
    /// Where `/liveness` and `/ready` are served; nowhere when absent.
    pub http_port: Option<SocketAddr>,
    /// Where a copy of the agent's certificate (PEM, public) is written.
    pub cert_path: Option<PathBuf>,
    /// Data planes to dial (`host:port`); empty means those of the credentials file.
    pub gateways: Vec<String>,
    /// Links per gateway.
    pub links: Links,
    /// How long running sessions get after SIGTERM.
    pub drain_timeout: Duration,
    /// Where key, certificate and policy key are kept.
    pub data_dir: PathBuf,
    /// The control plane (`https://host:port`), when it is no longer where the credentials file said.
    pub control_url: Option<String>,
}

/// How many links are kept to each gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// One for each core that the gateway announces in its hello.
    Auto,
    /// A fixed number.
    Fixed(usize),
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// All mistakes of a configuration, each a sentence that names its place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the agent's configuration has {} mistake(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the file (if one is given), lays the environment and then `overrides` (command line) over it.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake found: unknown keys, wrong types, values out of bounds.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[(&str, &str)],
    ) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => read_file(path).map_err(|mistake| ConfigError(vec![mistake]))?,
            None => String::new(),
        };
        let place = file.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
        Self::from_text(&place, &text, env, overrides)
    }

    fn from_text(
        place: &str,
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[(&str, &str)],
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(place, text, KEYS);
        reader.lay_environment(ENV_PREFIX, env);
        reader.lay_overrides(overrides);
        let config = Self::from_reader(&mut reader);
        let mistakes = reader.into_mistakes();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError(mistakes)),
        }
    }

    fn from_reader(reader: &mut Reader) -> Option<Self> {
        let data_dir = reader.path("data_dir");
        if data_dir.is_none() {
            reader.mistake("data_dir", "is missing: the agent keeps its key and certificate there");
        }
        Some(Self {
            cred_file: reader.path("cred_file"),
            resource_name: reader.text("resource_name"),
            log_level: reader.text("log_level").unwrap_or_else(|| "info".to_owned()),
            log_format: log_format(reader),
            use_hostname: reader.boolean("use_hostname").unwrap_or(false),
            metadata: metadata(reader),
            http_port: reader.listen_address("http_port"),
            cert_path: reader.path("cert_path"),
            gateways: gateways(reader),
            links: links(reader),
            drain_timeout: drain_timeout(reader),
            data_dir: data_dir?,
            control_url: control_url(reader),
        })
    }
}

/// Reads a small text file, saying why when it cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let named = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(named)?.len();
    if length > limits::CONFIG_FILE_BYTES_MAX {
        return Err(format!(
            "{} is larger than {} bytes",
            path.display(),
            limits::CONFIG_FILE_BYTES_MAX
        ));
    }
    std::fs::read_to_string(path).map_err(named)
}

/// Whether `text` is `host:port` with a port in 1..=65535; the host may be a bracketed IPv6 address.
pub(crate) fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && !bare_v6 && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// The `host:port` of a control plane's address.
pub(crate) fn control_address(url: &str) -> Option<&str> {
    let address = url.strip_prefix("https://")?.trim_end_matches('/');
    is_host_port(address).then_some(address)
}

fn control_url(reader: &mut Reader) -> Option<String> {
    let url = reader.text("control_url")?;
    if control_address(&url).is_none() {
        reader.mistake("control_url", "must be https://host:port");
    }
    Some(url)
}

fn log_format(reader: &mut Reader) -> LogFormat {
    match reader.text("log_format").as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(_) => {
            reader.mistake("log_format", "must be \"text\" or \"json\"");
            LogFormat::Text
        }
    }
}

fn metadata(reader: &mut Reader) -> BTreeMap<String, String> {
    let pairs = reader.pairs("metadata");
    if pairs.len() > limits::METADATA_ENTRIES_MAX {
        reader.mistake(
            "metadata",
            &format!("has more than {} entries", limits::METADATA_ENTRIES_MAX),
        );
    }
    let too_long = |text: &String| text.len() > limits::METADATA_TEXT_BYTES_MAX;
    if pairs.iter().any(|(key, value)| too_long(key) || too_long(value)) {
        reader.mistake(
            "metadata",
            &format!(
                "has a key or value longer than {} bytes",
                limits::METADATA_TEXT_BYTES_MAX
            ),
        );
    }
    pairs
}

fn gateways(reader: &mut Reader) -> Vec<String> {
    let list = reader.list("gateways");
    if list.len() > limits::GATEWAYS_MAX {
        reader.mistake(
            "gateways",
            &format!("names more than {} gateways", limits::GATEWAYS_MAX),
        );
    }
    for gateway in list.iter().filter(|gateway| !is_host_port(gateway)) {
        reader.mistake("gateways", &format!("\"{gateway}\" is not host:port"));
    }
    list
}

fn links(reader: &mut Reader) -> Links {
    match reader.text_or_integer("links").as_deref() {
        None | Some("auto") => Links::Auto,
        Some(text) => match text.parse::<usize>() {
            Ok(count) if (1..=limits::LINKS_MAX).contains(&count) => Links::Fixed(count),
            _ => {
                reader.mistake("links", &format!("must be \"auto\" or 1 to {}", limits::LINKS_MAX));
                Links::Auto
            }
        },
    }
}

fn drain_timeout(reader: &mut Reader) -> Duration {
    let Some(text) = reader.text_or_integer("drain_timeout") else {
        return limits::DRAIN_TIMEOUT_DEFAULT;
    };
    match parse_duration(&text) {
        Some(duration) if duration <= limits::DRAIN_TIMEOUT_MAX => duration,
        _ => {
            reader.mistake(
                "drain_timeout",
                "must be a time such as \"30s\", \"5m\" or \"500ms\", at most 24h",
            );
            limits::DRAIN_TIMEOUT_DEFAULT
        }
    }
}

#[cfg(test)]
mod tests;
