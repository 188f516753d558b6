//! Who a request is from and which connection it means, before anything is judged.

use super::Origin;
use crate::core::Core;
use codecs::http::RequestHead;
use proto::policy::Plaintext;
use session::admit::Admission;
use session::http::HttpPolicy;
use session::http::judge;
use session::policy::{ConnectionPolicy, Policy};
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

/// By what requests on one socket belong to one session: connection and key. A keyed hash of them, not the key; that two of them
/// are the same is only likely, so a session is told by its token, not by this.
pub fn lane(core: &Core, origin: &Origin, head: &RequestHead) -> u64 {
    thread_local! {
        static KEYED: RandomState = RandomState::new();
    }
    let policy = core.policy.borrow();
    let (connection, _) = meant(policy.as_deref(), origin, head);
    let key = connection
        .and_then(|connection| connection.http.as_ref())
        .and_then(|http| judge::key_of(head, &http.key_header));
    let name = connection.map_or("", |connection| connection.name.as_str());
    KEYED.with(|keyed| keyed.hash_one((name, key)))
}

/// The pool of the connection that a request means; `None`: of none, or it is reached without one.
pub fn pool_of(core: &Core, origin: &Origin, head: &RequestHead) -> Option<String> {
    let policy = core.policy.borrow();
    let (connection, _) = meant(policy.as_deref(), origin, head);
    let pool = &connection?.pool;
    (!pool.is_empty()).then(|| pool.clone())
}

pub(super) fn http_inspects(http: &HttpPolicy) -> bool {
    http.request_filter(None).is_some()
}

/// The connection that a request means, the path that named it, and the target without that.
pub(super) fn named(
    policy: Option<&Policy>,
    origin: &Origin,
    head: &RequestHead,
) -> (Option<Arc<ConnectionPolicy>>, String, String) {
    let (connection, cut) = meant(policy, origin, head);
    let (prefix, rest) = head.target.split_at_checked(cut).unwrap_or(("", &head.target));
    let target = match rest {
        rest if rest.starts_with('/') => rest.to_owned(),
        rest => format!("/{rest}"),
    };
    (connection.cloned(), prefix.to_owned(), target)
}

/// The connection that a request means, and how many bytes of its target named it.
fn meant<'a>(
    policy: Option<&'a Policy>,
    origin: &Origin,
    head: &RequestHead,
) -> (Option<&'a Arc<ConnectionPolicy>>, usize) {
    let Some(policy) = policy else {
        return (None, 0);
    };
    if let Some(name) = &origin.fixed {
        return (policy.connection(name), 0);
    }
    let host = head.authority.as_deref().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(connection) = policy.connection_of_host(host) {
        return (Some(connection), 0);
    }
    let Some(rest) = head.target.strip_prefix(BY_PATH) else {
        return (None, 0);
    };
    let name = rest.split(['/', '?']).next().unwrap_or_default();
    (policy.connection(name), BY_PATH.len() + name.len())
}

/// What stands before a connection's name in a path.
const BY_PATH: &str = "/c/";

/// The client behind trusted proxies: the last address of X-Forwarded-For that is none of theirs.
pub(super) fn client_address(origin: &Origin, head: &RequestHead, connection: Option<&ConnectionPolicy>) -> IpAddr {
    let peer = origin.peer.ip();
    let Some(http) = connection.and_then(|connection| connection.http.as_ref()) else {
        return peer;
    };
    if http.proxy_protocol || !http.trusted_proxies.contains(peer) {
        return peer;
    }
    let mut listed: Vec<&str> = Vec::new();
    for value in head.fields.values("x-forwarded-for") {
        listed.extend(std::str::from_utf8(value).unwrap_or_default().split(',').map(str::trim));
    }
    let mut client = peer;
    for text in listed.into_iter().rev() {
        // What cannot be read ends what can be believed.
        let Ok(address) = text.parse::<IpAddr>() else { break };
        client = address;
        if !http.trusted_proxies.contains(address) {
            break;
        }
    }
    client
}

pub(super) fn is_private(http: &HttpPolicy, origin: &Origin) -> bool {
    let loopback = match origin.peer.ip() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    };
    origin.https
        || match http.plaintext {
            Plaintext::Allow => true,
            Plaintext::Loopback => loopback,
            Plaintext::Refuse => false,
        }
}

pub(super) fn per_minute(http: &HttpPolicy, admission: &Admission) -> Option<u32> {
    let own = http
        .keys
        .get(&admission.user.name)
        .and_then(|key| key.requests_per_minute);
    own.or(http.requests_per_minute)
}

/// Path and names of the query's parameters.
pub(super) fn shown_path(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let names: Vec<&str> = query
        .split('&')
        .map(|parameter| parameter.split('=').next().unwrap_or_default())
        .collect();
    format!("{path}?{}", names.join("&"))
}

/// 128 random bits in hexadecimal.
pub(super) fn request_id() -> String {
    thread_local! {
        static AHEAD: RefCell<(Vec<u8>, usize)> = const { RefCell::new((Vec::new(), 0)) };
    }
    AHEAD.with_borrow_mut(|(bytes, at)| {
        if bytes.len() < *at + ID_BYTES {
            bytes.resize(IDS_AHEAD * ID_BYTES, 0);
            *at = 0;
            // An id that is not random is still an id.
            let _ = aws_lc_rs::rand::fill(bytes);
        }
        let mut id = String::with_capacity(2 * ID_BYTES);
        push_hex(&mut id, bytes.get(*at..*at + ID_BYTES).unwrap_or_default());
        *at += ID_BYTES;
        id
    })
}

const ID_BYTES: usize = 16;
/// Ids whose bits are drawn at once: one call of the generator costs as much as many ids.
const IDS_AHEAD: usize = 64;

fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}
