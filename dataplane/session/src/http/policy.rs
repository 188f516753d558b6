//! A connection of type `http`, compiled: hosts, routes, keys, networks, bounds, header rules.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use codecs::http::limits::TARGET_BYTES_MAX;
use codecs::http::route::{Route, Routes};
use proto::policy as wire;
use proto::policy::{CredentialScheme, Plaintext, SignedGrant, TargetVersion};
use scan::{Detector, Scanner, Spec};

use super::body::{BodyFilter, Media};
use super::limits::{HEALTH_INTERVAL_MS_MIN, JSON_PATH_STEPS_MAX};
use super::net::Networks;
use crate::policy::PolicyError;
use crate::policy::redaction::RuleSet;

/// What holds on one connection.
#[derive(Debug)]
pub struct HttpPolicy {
    pub hosts: Vec<String>,
    pub routes: Routes,
    /// Lower case.
    pub key_header: String,
    pub credential_header: String,
    pub credential_scheme: CredentialScheme,
    pub allow_from: Networks,
    pub trusted_proxies: Networks,
    pub proxy_protocol: bool,
    pub plaintext: Plaintext,
    /// By user.
    pub keys: HashMap<String, KeyPolicy>,
    /// Bytes; `None`: no bound.
    pub request_bytes_max: Option<u64>,
    pub response_bytes_max: Option<u64>,
    pub response_timeout: Duration,
    /// Of one access token; `None`: no bound.
    pub requests_per_minute: Option<u32>,
    pub headers: Vec<HeaderRule>,
    /// `host[:port]` as the target knows itself.
    pub authority: String,
    pub https: bool,
    pub websocket: bool,
    /// Lower case; empty: none.
    pub version_header: String,
    pub target_version: TargetVersion,
    /// Where the target is reached, if at several places.
    pub upstreams: Vec<Upstream>,
    pub health: Option<HealthCheck>,
    /// Findings of these in a request's body refuse it.
    pub(crate) refuse: Option<Arc<RuleSet>>,
}

/// One of several places where a target is reached.
#[derive(Debug)]
pub struct Upstream {
    /// `host:port`.
    pub name: String,
    pub grant: SignedGrant,
}

/// How it is found out which places are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query.
    pub path: String,
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// What holds for the tokens of one user.
#[derive(Debug)]
pub struct KeyPolicy {
    pub allow_from: Networks,
    pub requests_per_minute: Option<u32>,
}

/// A header that is set, or removed.
#[derive(Debug)]
pub struct HeaderRule {
    pub response: bool,
    pub name: String,
    pub value: Option<String>,
}

/// Compiles; every mistake is reported with its place.
pub(crate) fn compile(connection: &wire::Connection, from: &wire::Http, errors: &mut Vec<PolicyError>) -> HttpPolicy {
    let name = &connection.name;
    let mut wrong = |field: &str, message: String| {
        errors.push(PolicyError {
            place: format!("connection {name:?}, {field}"),
            message,
        });
    };
    let mut networks = |field: &str, texts: &[String]| {
        Networks::parse(texts).unwrap_or_else(|message| {
            wrong(field, message);
            Networks::default()
        })
    };
    let allow_from = networks("allow_from", &from.allow_from);
    let trusted_proxies = networks("trusted_proxies", &from.trusted_proxies);
    let mut keys = HashMap::new();
    for key in &from.keys {
        let rule = KeyPolicy {
            allow_from: networks("keys", &key.allow_from),
            requests_per_minute: some(key.requests_per_minute),
        };
        keys.insert(key.user.clone(), rule);
    }
    if keys.len() != from.keys.len() {
        wrong("keys", "a user is named twice".to_owned());
    }
    let routes = routes(from, &mut wrong);
    let headers = from.headers.iter().map(|rule| header(rule, &mut wrong)).collect();
    for name in [&from.key_header, &from.credential_header] {
        if name.is_empty() || FRAMING.contains(&name.as_str()) {
            wrong("key_header", format!("{name:?} cannot carry a credential"));
        }
    }
    if from.authority.is_empty() {
        wrong("host", "the target has no name".to_owned());
    }
    HttpPolicy {
        hosts: from.hosts.clone(),
        routes,
        key_header: from.key_header.clone(),
        credential_header: from.credential_header.clone(),
        credential_scheme: CredentialScheme::try_from(from.credential_scheme).unwrap_or_else(|_| {
            wrong("credential_scheme", "is not known here".to_owned());
            CredentialScheme::Nothing
        }),
        allow_from,
        trusted_proxies,
        proxy_protocol: from.proxy_protocol,
        plaintext: Plaintext::try_from(from.plaintext).unwrap_or(Plaintext::Refuse),
        keys,
        request_bytes_max: some(from.request_bytes_max),
        response_bytes_max: some(from.response_bytes_max),
        response_timeout: Duration::from_millis(u64::from(from.response_timeout_ms.max(1))),
        requests_per_minute: some(from.requests_per_minute),
        headers,
        authority: from.authority.clone(),
        https: from.https,
        websocket: from.websocket,
        version_header: from.version_header.clone(),
        target_version: TargetVersion::try_from(from.target_version).unwrap_or_else(|_| {
            wrong("http_version", "is not known here".to_owned());
            TargetVersion::Http1
        }),
        upstreams: upstreams(from, &mut wrong),
        health: health(from, &mut wrong),
        refuse: refuse(from, &mut wrong),
    }
}

fn upstreams(from: &wire::Http, wrong: &mut impl FnMut(&str, String)) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::with_capacity(from.upstreams.len());
    for upstream in &from.upstreams {
        if upstreams.iter().any(|known| known.name == upstream.name) {
            wrong("upstreams", format!("{:?} is named twice", upstream.name));
        }
        upstreams.push(Upstream {
            name: upstream.name.clone(),
            grant: upstream.grant.clone().unwrap_or_default(),
        });
    }
    upstreams
}

fn health(from: &wire::Http, wrong: &mut impl FnMut(&str, String)) -> Option<HealthCheck> {
    let check = from.health.as_ref()?;
    let visible = check.path.bytes().all(|b| (0x21..0x7f).contains(&b));
    if !check.path.starts_with('/') || !visible || check.path.len() > TARGET_BYTES_MAX {
        wrong("health_path", format!("{:?} is no path", check.path));
    }
    Some(HealthCheck {
        path: check.path.clone(),
        interval: Duration::from_millis(u64::from(check.interval_ms.max(HEALTH_INTERVAL_MS_MIN))),
        timeout: Duration::from_millis(u64::from(check.timeout_ms.max(1))),
    })
}

impl HttpPolicy {
    /// What looks for findings that refuse a request, if anything does.
    pub fn request_filter(&self, content_type: Option<&str>) -> Option<BodyFilter> {
        let rules = self.refuse.as_ref()?;
        Some(BodyFilter::new(Arc::clone(rules), Media::of(content_type)))
    }
}

/// Headers that say how a message is framed or where it goes: no rule may touch them.
const FRAMING: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "expect",
    "content-encoding",
    "content-type",
];

fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn routes(from: &wire::Http, wrong: &mut impl FnMut(&str, String)) -> Routes {
    let mut list = Vec::with_capacity(from.routes.len());
    for (index, route) in from.routes.iter().enumerate() {
        let query = route.query_listed.then(|| route.query.clone());
        match Route::new(route.methods.clone(), &route.path, query) {
            Ok(route) => list.push(route),
            Err(message) => wrong("routes", format!("set {:?}, route {}: {message}", route.set, index + 1)),
        }
    }
    Routes::new(list).unwrap_or_else(|message| {
        wrong("routes", message);
        Routes::default()
    })
}

fn header(rule: &wire::HttpHeader, wrong: &mut impl FnMut(&str, String)) -> HeaderRule {
    let token = !rule.name.is_empty() && rule.name.bytes().all(codecs::http::h1::head::is_token);
    let plain = rule.value.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !token || !plain || FRAMING.contains(&rule.name.as_str()) {
        wrong("headers", format!("{:?} cannot be set or removed", rule.name));
    }
    HeaderRule {
        response: rule.response,
        name: rule.name.to_ascii_lowercase(),
        value: (!rule.remove).then(|| rule.value.clone()),
    }
}

fn refuse(from: &wire::Http, wrong: &mut impl FnMut(&str, String)) -> Option<Arc<RuleSet>> {
    if from.refuse_findings.is_empty() {
        return None;
    }
    let mut detectors = Vec::new();
    for name in &from.refuse_findings {
        match Detector::from_name(name) {
            Some(detector) => detectors.push(detector),
            None => wrong("refuse_findings", format!("there is no detector {name:?}")),
        }
    }
    match Scanner::build(&Spec::of(&detectors)) {
        Ok(scanner) => Some(Arc::new(RuleSet::counting(Arc::new(scanner), &detectors))),
        Err(error) => {
            wrong("refuse_findings", error.to_string());
            None
        }
    }
}

/// Where a JSON value stands: `$.user.email`, `$..token`, `$.items[*].name`, `$['odd name']`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Name(Box<str>),
    /// Any member or element.
    Any,
    /// Any number of steps, none included.
    Deep,
}

/// One level on the way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level<'a> {
    Name(&'a [u8]),
    Element,
}

impl JsonPath {
    /// Reads a path (the part of RFC 9535 that needs no look at values).
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        let wrong = |why: &str| format!("{text:?}: {why}; write $.a.b, $..a, $.list[*].a or $['a']");
        let mut rest = text.strip_prefix('$').ok_or_else(|| wrong("a path begins with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() >= JSON_PATH_STEPS_MAX {
                return Err(wrong("too many steps"));
            }
            if let Some(deep) = rest.strip_prefix("..") {
                steps.push(Step::Deep);
                if deep.starts_with('[') {
                    rest = deep;
                    continue;
                }
                let (step, after) = named(deep).ok_or_else(|| wrong("a name must follow .."))?;
                steps.push(step);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let (step, after) = named(after).ok_or_else(|| wrong("a name must follow the dot"))?;
                steps.push(step);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("[*]") {
                steps.push(Step::Any);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = after.split_once("']").ok_or_else(|| wrong("['…'] does not end"))?;
                steps.push(Step::Name(name.into()));
                rest = after;
            } else {
                return Err(wrong("this step is not known"));
            }
        }
        match steps.last() {
            None | Some(Step::Deep) => Err(wrong("names no value")),
            Some(_) => Ok(JsonPath { steps }),
        }
    }

    /// Whether the value at the end of `levels` is meant.
    pub(crate) fn fits(&self, levels: &[Level<'_>]) -> bool {
        fits(&self.steps, levels)
    }

    /// The last name, for labels.
    pub(crate) fn label(&self) -> String {
        let name = self.steps.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(&**name),
            _ => None,
        });
        let word: String = name
            .unwrap_or("HIDDEN")
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        word.to_ascii_uppercase()
    }
}

fn named(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((Step::Any, rest));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (Step::Name(name.into()), rest))
}

/// Steps against levels, with `..` as in a glob: the last `..` is retried, so the work is bounded by the product.
fn fits(steps: &[Step], levels: &[Level<'_>]) -> bool {
    let (mut step, mut level) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (steps.get(step), levels.get(level)) {
            (None, None) => return true,
            (Some(Step::Deep), _) => {
                retry = Some((step + 1, level));
                step += 1;
                continue;
            }
            (Some(Step::Any), Some(_)) => {
                (step, level) = (step + 1, level + 1);
                continue;
            }
            (Some(Step::Name(name)), Some(Level::Name(key))) if name.as_bytes() == *key => {
                (step, level) = (step + 1, level + 1);
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after, from)) if from < levels.len() => {
                (step, level) = (after, from + 1);
                retry = Some((after, from + 1));
            }
            _ => return false,
        }
    }
}
