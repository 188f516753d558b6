//! The credentials file that a new agent is given: where the control plane is, a one-time token, and which authority to trust.

use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{IdentityError, from_hex, hex};
use crate::config::{control_address, is_host_port, read_file};
use crate::limits;

/// The checked content of a credentials file.
pub struct Credentials {
    /// `https://host:port` of the control plane.
    pub url: String,
    /// One-time token.
    pub token: Zeroizing<String>,
    /// SHA-256 of the authority's certificate (DER).
    pub ca_sha256: Vec<u8>,
    /// Data planes to dial.
    pub gateways: Vec<String>,
    /// Pool that the token is for, as told to people; the control plane's answer decides.
    pub pool: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    token: String,
    ca_sha256: String,
    #[serde(default)]
    gateways: Vec<String>,
    pool: Option<String>,
}

impl Credentials {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`IdentityError::Credentials`] with all mistakes; the token is in none of them.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let text = Zeroizing::new(read_file(path).map_err(|what| mistake(path, what))?);
        Self::parse(&text).map_err(|what| mistake(path, what))
    }

    /// Checks the text of a credentials file.
    ///
    /// # Errors
    /// All mistakes in one text, without any value of the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The parser's own message quotes the line, which may hold the token; only what it expected is told.
        let written: Written = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut mistakes = Vec::new();
        if control_address(&written.url).is_none() {
            mistakes.push("url must be https://host:port");
        }
        if written.token.is_empty() {
            mistakes.push("token is empty");
        }
        let ca_sha256 = from_hex(&written.ca_sha256).filter(|digest| digest.len() == 32);
        if ca_sha256.is_none() {
            mistakes.push("ca_sha256 must be 64 hexadecimal digits");
        }
        if written.gateways.len() > limits::GATEWAYS_MAX
            || !written.gateways.iter().all(|gateway| is_host_port(gateway))
        {
            mistakes.push("gateways must be a list of host:port");
        }
        match ca_sha256 {
            Some(ca_sha256) if mistakes.is_empty() => Ok(Self {
                url: written.url,
                token: Zeroizing::new(written.token),
                ca_sha256,
                gateways: written.gateways,
                pool: written.pool,
            }),
            _ => Err(mistakes.join("; ")),
        }
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

fn mistake(path: &Path, what: String) -> IdentityError {
    IdentityError::Credentials {
        path: path.display().to_string(),
        what,
    }
}
