//! Where the control plane is and what token to show it: options, environment, then the file that `sluice login` writes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

const URL_DEFAULT: &str = "http://127.0.0.1:8009";
const POSTGRES_PORT_DEFAULT: u16 = 15432;

/// The file that `sluice login` writes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Base address of the API.
    pub url: Option<String>,
    /// Access token or admin token.
    pub token: Option<String>,
    /// Where PostgreSQL clients reach the data plane (`host:port`).
    pub postgres: Option<String>,
}

/// What commands use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base address of the API, without a slash at the end.
    pub url: String,
    /// Token, when there is one.
    pub token: Option<String>,
    postgres: Option<String>,
}

impl Settings {
    /// Resolves options and environment (already merged by the parser) over the saved file.
    pub fn resolve(url: Option<String>, token: Option<String>) -> Outcome<Self> {
        let saved = match file_path() {
            Some(path) if path.exists() => read(&path)?,
            _ => Saved::default(),
        };
        let url = url.or(saved.url).unwrap_or_else(|| URL_DEFAULT.to_owned());
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Failure::Usage(format!(
                "\"{url}\" is not an http:// or https:// address"
            )));
        }
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token: token.or(saved.token).filter(|token| !token.is_empty()),
            postgres: given("SLUICE_POSTGRES").or(saved.postgres),
        })
    }

    /// The same for whoever has yet to log in.
    pub fn without_token(self) -> Self {
        Self { token: None, ..self }
    }

    /// Where PostgreSQL clients reach the data plane: as set, else the API's host and the usual port.
    pub fn postgres(&self) -> (String, u16) {
        self.postgres
            .as_deref()
            .and_then(split_address)
            .unwrap_or_else(|| (self.host(), POSTGRES_PORT_DEFAULT))
    }

    /// The API's host.
    pub fn host(&self) -> String {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() {
            "127.0.0.1".to_owned()
        } else {
            host.to_owned()
        }
    }
}

/// `host:port`, the host without brackets.
pub fn split_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| Some((host.to_owned(), port.parse().ok()?)))?
}

/// `~/.config/sluice/config.toml`, or under `XDG_CONFIG_HOME`.
pub fn file_path() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(base.join("sluice/config.toml"))
}

/// Reads the saved file.
pub fn read(path: &Path) -> Outcome<Saved> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's own text quotes the line, which may hold the token.
    toml::from_str(&text)
        .map_err(|error: toml::de::Error| Failure::Failed(format!("{}: {}", path.display(), error.message())))
}

/// Writes the saved file, readable by its owner only.
pub fn write(path: &Path, saved: &Saved) -> Outcome {
    let text = toml::to_string(saved).context("cannot write the configuration")?;
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
    }
    write_private(path, text.as_bytes())
}

/// Replaces a file in one step; only its owner can read it.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    write_with_mode(path, bytes, 0o600)
}

/// Replaces a file in one step.
pub fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Outcome {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    Ok(write().with_context(|| format!("cannot write {}", path.display()))?)
}

#[cfg(test)]
mod tests {
    //! Tests of the saved settings.

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn settings(url: &str, postgres: Option<&str>) -> Settings {
        Settings {
            url: url.to_owned(),
            token: None,
            postgres: postgres.map(str::to_owned),
        }
    }

    #[test]
    fn the_clients_port_is_on_the_api_host_unless_told_otherwise() {
        assert_eq!(
            settings("http://gate.example:8009", None).postgres(),
            ("gate.example".to_owned(), 15432)
        );
        assert_eq!(
            settings("https://[::1]:8009/x", None).postgres(),
            ("::1".to_owned(), 15432)
        );
        assert_eq!(settings("http://a", Some("[::1]:7")).postgres(), ("::1".to_owned(), 7));
        assert_eq!(
            settings("http://a", Some("nonsense")).postgres(),
            ("a".to_owned(), 15432)
        );
    }

    #[test]
    fn the_saved_file_is_private_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/config.toml");
        let saved = Saved {
            url: Some("http://x".into()),
            token: Some("slu_1".into()),
            postgres: None,
        };
        write(&path, &saved).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), saved);
        fs::write(&path, "token = \"slu_secret\"\ntoken = 1").unwrap();
        assert!(!read(&path).unwrap_err().to_string().contains("slu_secret"));
    }
}
