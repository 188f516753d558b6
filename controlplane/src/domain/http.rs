//! What only connections of type `http` have, and sets of routes: their model, and how they are read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::TargetTls;
use super::read::Fields;
use crate::limits::OBJECTS_PER_KIND_MAX;

/// Where clients put their token when nothing else is said.
const KEY_HEADER: &str = "authorization";
/// Largest body of a request that is taken when nothing else is said, bytes.
const REQUEST_BYTES_MAX: u64 = 64 << 20;
/// How long a target may take to begin its answer when nothing else is said.
const RESPONSE_TIMEOUT_SECONDS: u64 = 60;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A named list of routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSet {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub allow: Vec<Route>,
}

/// One route: a text `METHOD[,METHOD] /path` or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Empty: every method.
    #[serde(default)]
    pub methods: Vec<String>,
    pub path: String,
    /// Names of the only parameters that the query may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Vec<String>>,
}

/// How the target's credential is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialScheme {
    None,
    #[default]
    Raw,
    Bearer,
    Basic,
}

/// Whether clients may come without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plaintext {
    #[default]
    Loopback,
    Allow,
    Refuse,
}

/// What holds for the tokens of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRule {
    pub user: String,
    #[serde(default)]
    pub allow_from: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
}

/// A header that is set (`value`) or removed (no value).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRule {
    /// `request` or `response`.
    pub on: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The part of a connection that is about HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    // No default: by this field a stored connection is known to be one of HTTP.
    pub key_header: String,
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Names of sets of routes.
    #[serde(default)]
    pub routes: Vec<String>,
    pub credential_header: String,
    #[serde(default)]
    pub credential_scheme: CredentialScheme,
    #[serde(default)]
    pub allow_from: Vec<String>,
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    #[serde(default)]
    pub proxy_protocol: bool,
    #[serde(default)]
    pub plaintext: Plaintext,
    #[serde(default)]
    pub keys: Vec<KeyRule>,
    pub request_bytes_max: u64,
    #[serde(default)]
    pub response_bytes_max: u64,
    pub response_timeout_seconds: u64,
    #[serde(default)]
    pub requests_per_minute: u32,
    #[serde(default)]
    pub headers: Vec<HeaderRule>,
    #[serde(default)]
    pub refuse_findings: Vec<String>,
    #[serde(default)]
    pub websocket: bool,
    #[serde(default)]
    pub version_header: String,
    #[serde(default)]
    pub http_version: HttpVersion,
    /// `host:port` of the places where the target is reached.
    #[serde(default)]
    pub upstreams: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
    #[serde(default = "health_interval_seconds")]
    pub health_interval_seconds: u64,
    #[serde(default = "health_timeout_seconds")]
    pub health_timeout_seconds: u64,
}

/// From one check of a target to the next when nothing else is said.
fn health_interval_seconds() -> u64 {
    5
}

/// How long a target may take to answer a check when nothing else is said.
fn health_timeout_seconds() -> u64 {
    2
}

/// Version of HTTP that is spoken with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// What the target chooses in the TLS handshake, without TLS HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "1.1")]
    Http1,
    #[serde(rename = "2")]
    Http2,
}

/// Where a target is.
pub struct Place {
    pub host: Option<String>,
    pub port: u16,
    pub tls: TargetTls,
}

/// Reads `url`, or `host`, `port` and `tls`, of a connection of type `http`.
pub fn place(fields: &mut Fields<'_>) -> Place {
    let Some(url) = fields.text("url") else {
        let host = fields.text_required("host");
        let tls: TargetTls = fields
            .choice_given("tls", &["disable", "require", "verify-full"])
            .unwrap_or(TargetTls::VerifyFull);
        if tls == TargetTls::Prefer {
            fields.wrong(
                "tls",
                "a target of type http has TLS or not: disable, require or verify-full",
            );
        }
        let default = if tls == TargetTls::Disable {
            HTTP_PORT
        } else {
            HTTPS_PORT
        };
        let port = fields.number("port", 1, 65535).map_or(default, |n| n as u16);
        return Place { host, port, tls };
    };
    for key in ["host", "port"] {
        if fields.value(key).is_some() {
            fields.wrong(key, "is part of url already");
        }
    }
    let mut place = Place {
        host: None,
        port: HTTPS_PORT,
        tls: TargetTls::VerifyFull,
    };
    let rest = if let Some(rest) = url.strip_prefix("https://") {
        if let Some(TargetTls::Require) = fields.choice_given("tls", &["require", "verify-full"]) {
            place.tls = TargetTls::Require;
        }
        rest
    } else if let Some(rest) = url.strip_prefix("http://") {
        (place.port, place.tls) = (HTTP_PORT, TargetTls::Disable);
        rest
    } else {
        fields.wrong("url", "must begin with http:// or https://");
        return place;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    match port.map(str::parse::<u16>) {
        Some(Ok(port)) if port > 0 => place.port = port,
        None => {}
        Some(_) => fields.wrong("url", "has a port that is none"),
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if bare.is_empty() || !bare.chars().all(plain) {
        fields.wrong("url", "must be scheme, host and port alone: https://gitlab.example.com");
        return place;
    }
    place.host = Some(bare.to_owned());
    place
}

/// Reads what a connection of type `http` says besides its place and what all connections have.
pub fn connection(fields: &mut Fields<'_>) -> Http {
    let header = |fields: &mut Fields<'_>, key: &'static str| {
        let name = fields.text(key)?;
        if is_token(&name) {
            return Some(name.to_ascii_lowercase());
        }
        fields.wrong(key, format!("\"{name}\" is no name of a header"));
        None
    };
    let key_header = header(fields, "key_header").unwrap_or_else(|| KEY_HEADER.to_owned());
    let credential_header = header(fields, "credential_header").unwrap_or_else(|| key_header.clone());
    let default_scheme = if credential_header == KEY_HEADER {
        CredentialScheme::Bearer
    } else {
        CredentialScheme::Raw
    };
    let scheme = fields.choice_given("credential_scheme", &["none", "raw", "bearer", "basic"]);
    let keys = fields.tables("keys");
    let keys = keys
        .into_iter()
        .enumerate()
        .filter_map(|(i, t)| key(fields, i, t))
        .collect();
    let headers = fields.tables("headers");
    let headers = headers
        .into_iter()
        .enumerate()
        .filter_map(|(i, t)| header_rule(fields, i, t))
        .collect();
    Http {
        hosts: hosts(fields),
        routes: fields.texts("routes"),
        credential_scheme: scheme.unwrap_or(default_scheme),
        allow_from: fields.texts("allow_from"),
        trusted_proxies: fields.texts("trusted_proxies"),
        proxy_protocol: fields.flag("proxy_protocol"),
        plaintext: fields.choice("plaintext", &["loopback", "allow", "refuse"]),
        request_bytes_max: fields
            .number("request_bytes_max", 0, u64::MAX >> 1)
            .unwrap_or(REQUEST_BYTES_MAX),
        response_bytes_max: fields.number("response_bytes_max", 0, u64::MAX >> 1).unwrap_or(0),
        response_timeout_seconds: fields
            .number("response_timeout_seconds", 1, 3600)
            .unwrap_or(RESPONSE_TIMEOUT_SECONDS),
        requests_per_minute: fields.number("requests_per_minute", 0, 10_000_000).unwrap_or(0) as u32,
        refuse_findings: fields.texts("refuse_findings"),
        websocket: fields.flag("websocket"),
        version_header: header(fields, "version_header").unwrap_or_default(),
        http_version: fields.choice("http_version", &["auto", "1.1", "2"]),
        upstreams: upstreams(fields),
        health_path: health_path(fields),
        health_interval_seconds: fields
            .number("health_interval_seconds", 1, 3600)
            .unwrap_or_else(health_interval_seconds),
        health_timeout_seconds: fields
            .number("health_timeout_seconds", 1, 60)
            .unwrap_or_else(health_timeout_seconds),
        key_header,
        credential_header,
        keys,
        headers,
    }
}

/// Reads a set of routes.
pub fn route_set(fields: &mut Fields<'_>, name: Option<String>) -> Option<RouteSet> {
    let description = fields.text("description");
    let values = match fields.value("allow") {
        Some(Value::Array(values)) if values.len() <= OBJECTS_PER_KIND_MAX => values,
        Some(Value::Array(_)) => {
            fields.wrong("allow", format!("more than {OBJECTS_PER_KIND_MAX} routes"));
            return None;
        }
        _ => {
            fields.wrong("allow", "must be a list of routes: [\"GET /path\", …]");
            return None;
        }
    };
    let mut allow = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        allow.extend(route(fields, index, value));
    }
    if allow.is_empty() {
        fields.wrong("allow", "lets nothing through");
    }
    Some(RouteSet {
        name: name?,
        description,
        allow,
    })
}

fn route(fields: &mut Fields<'_>, index: usize, value: Value) -> Option<Route> {
    let place = fields.place_of(&format!("route {}", index + 1));
    match value {
        Value::String(text) => {
            let Some((methods, path)) = text.split_once(' ') else {
                fields.mistakes().add(place, format!("\"{text}\" must be METHOD /path"));
                return None;
            };
            let methods = if methods == "*" {
                Vec::new()
            } else {
                methods.split(',').map(str::to_owned).collect()
            };
            Some(Route {
                methods,
                path: path.trim().to_owned(),
                query: None,
            })
        }
        Value::Object(table) => {
            let has_query = table.contains_key("query");
            let mut inner = Fields::new(place, table, fields.mistakes());
            let methods = inner.texts("methods");
            let query = inner.texts("query");
            let path = inner.text_required("path");
            inner.finish();
            Some(Route {
                methods,
                path: path?,
                query: has_query.then_some(query),
            })
        }
        _ => {
            fields.mistakes().add(place, "must be a text or a table");
            None
        }
    }
}

fn hosts(fields: &mut Fields<'_>) -> Vec<String> {
    let hosts = fields.texts("hosts");
    for host in &hosts {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if host.len() > 253 || !host.chars().all(plain) {
            fields.wrong("hosts", format!("\"{host}\" is no host name (without port)"));
        }
    }
    hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect()
}

/// `host:port` each; an address of IPv6 in brackets.
fn upstreams(fields: &mut Fields<'_>) -> Vec<String> {
    let upstreams = fields.texts("upstreams");
    if upstreams.len() > UPSTREAMS_MAX {
        fields.wrong("upstreams", format!("more than {UPSTREAMS_MAX}"));
    }
    for (index, upstream) in upstreams.iter().enumerate() {
        if split_upstream(upstream).is_none() {
            fields.wrong("upstreams", format!("\"{upstream}\" must be host:port"));
        }
        if upstreams.iter().take(index).any(|other| other == upstream) {
            fields.wrong("upstreams", format!("\"{upstream}\" is named twice"));
        }
    }
    upstreams
}

/// Places where one target is reached.
const UPSTREAMS_MAX: usize = 64;

/// Host and port of one of several places.
pub fn split_upstream(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let fits = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.chars().all(plain),
    };
    fits.then(|| (bracketed.unwrap_or(host).to_owned(), port))
}

fn health_path(fields: &mut Fields<'_>) -> Option<String> {
    let path = fields.text("health_path")?;
    if !path.starts_with('/') || !path.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        fields.wrong("health_path", "must be a path in visible ASCII that begins with /");
    }
    Some(path)
}

fn key(fields: &mut Fields<'_>, index: usize, table: Map<String, Value>) -> Option<KeyRule> {
    let place = fields.place_of(&format!("key {}", index + 1));
    let mut inner = Fields::new(place, table, fields.mistakes());
    let user = inner.text_required("user");
    let rule = KeyRule {
        allow_from: inner.texts("allow_from"),
        requests_per_minute: inner.number("requests_per_minute", 1, 10_000_000).map(|n| n as u32),
        user: user.clone().unwrap_or_default(),
    };
    inner.finish();
    user.map(|_| rule)
}

fn header_rule(fields: &mut Fields<'_>, index: usize, table: Map<String, Value>) -> Option<HeaderRule> {
    let place = fields.place_of(&format!("header {}", index + 1));
    let mut inner = Fields::new(place, table, fields.mistakes());
    let on = inner.text("on").unwrap_or_else(|| "response".to_owned());
    if on != "request" && on != "response" {
        inner.wrong("on", "must be request or response");
    }
    let name = inner.text_required("name");
    if name.as_deref().is_some_and(|name| !is_token(name)) {
        inner.wrong("name", "is no name of a header");
    }
    let value = inner.text("value");
    if value
        .as_deref()
        .is_some_and(|value| !value.bytes().all(|b| (0x20..0x7f).contains(&b)))
    {
        inner.wrong("value", "must be visible ASCII");
    }
    inner.finish();
    Some(HeaderRule {
        on,
        name: name?.to_ascii_lowercase(),
        value,
    })
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
