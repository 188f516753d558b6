//! Whether a request may pass: network, key, rate, route, query. Pure: the answer depends on policy, request and time.

use std::net::IpAddr;
use std::sync::Arc;

use codecs::http::RequestHead;
use codecs::http::path::{self, Path};
use codecs::http::route::{Route, Routed};
use subtle::ConstantTimeEq;

use super::policy::HttpPolicy;
use crate::judge::access::{self, Admission, Denied};
use crate::policy::{ConnectionPolicy, Policy, User};
use crate::verdict::Verdict;

/// Names of query parameters that carry credentials or change who asks: always taken off.
const SECRET_PARAMETERS: &[&str] = &[
    "private_token",
    "access_token",
    "oauth_token",
    "job_token",
    "auth_token",
    "authenticity_token",
    "token",
    "api_key",
    "apikey",
    "api_token",
    "sudo",
    "_method",
];

/// A request as it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub head: &'a RequestHead,
    /// The target without the part that named the connection.
    pub target: &'a str,
    /// The client, after trusted proxies.
    pub client: IpAddr,
    /// Whether the client's leg is encrypted or needs no encryption.
    pub private: bool,
    pub now_micros: u64,
}

/// A request that may pass.
#[derive(Debug)]
pub struct Granted<'a> {
    pub route: &'a Route,
    /// The target for the target: path byte for byte as it came, query without secrets.
    pub target: String,
    /// The same with names of parameters alone, for the record.
    pub shown: String,
}

/// Why not, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The client's network is not allowed.
    Network,
    /// Without TLS from another machine.
    Plaintext,
    /// No key, a wrong one, or one that may not be used here: all one answer.
    Key,
    /// The key may be used here once reviewers gave a grant.
    Grant,
    /// The policy is too old.
    Expired,
    /// The request is ambiguous.
    Malformed(&'static str),
    /// No route has this path.
    Route,
    /// The path's routes have other methods.
    Method,
    /// A query parameter that the route does not list.
    Query,
    /// WebSockets are not let through.
    Upgrade,
}

impl Denial {
    /// Status for the client.
    pub fn status(self) -> u16 {
        match self {
            Denial::Key => 401,
            Denial::Malformed(_) => 400,
            Denial::Expired => 503,
            _ => 403,
        }
    }

    /// Sentence for the client.
    pub fn detail(self) -> &'static str {
        match self {
            Denial::Network => "your network may not use this connection",
            Denial::Plaintext => "this connection is served by https alone",
            Denial::Grant => "access to this connection needs a review",
            Denial::Key => "a valid access token is needed in the header of this connection",
            Denial::Expired => "the gateway's policy has expired",
            Denial::Malformed(reason) => reason,
            Denial::Route => "no route of this connection has this path",
            Denial::Method => "the routes of this path have other methods",
            Denial::Query => "a parameter of the query is not listed by the route",
            Denial::Upgrade => "upgrades are not let through on this connection",
        }
    }

    /// Word for the record.
    pub fn rule(self) -> &'static str {
        match self {
            Denial::Network => "allow_from",
            Denial::Plaintext => "plaintext",
            Denial::Key => "key",
            Denial::Grant => "access_review",
            Denial::Expired => "policy-expired",
            Denial::Malformed(_) => "malformed",
            Denial::Route | Denial::Method => "routes",
            Denial::Query => "query",
            Denial::Upgrade => "websocket",
        }
    }
}

/// Who asks. Networks come first, so that a stranger learns nothing by trying keys.
///
/// # Errors
/// [`Denial`]; the reason behind [`Denial::Key`] is for the log.
pub fn authenticate(
    policy: &Policy,
    connection: &Arc<ConnectionPolicy>,
    http: &HttpPolicy,
    asked: &Asked<'_>,
) -> Result<Admission, (Denial, Option<Denied>)> {
    if !http.allow_from.is_empty() && !http.allow_from.contains(asked.client) {
        return Err((Denial::Network, None));
    }
    if !asked.private {
        return Err((Denial::Plaintext, None));
    }
    let denied = |why| (Denial::Key, Some(why));
    let key = key_of(asked.head, &http.key_header).ok_or(denied(Denied::UnknownToken))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key);
    let (user, index) = policy.token(digest.as_ref()).ok_or(denied(Denied::UnknownUser))?;
    let token = user.tokens.get(index).ok_or(denied(Denied::UnknownToken))?;
    if !bool::from(token.sha256.as_slice().ct_eq(digest.as_ref())) {
        return Err(denied(Denied::UnknownToken));
    }
    let admission = access::admit(policy, &user.name, &connection.name, &token.id, asked.now_micros);
    // A missing grant is told last, to whom everything else would let in.
    if !matches!(admission, Ok(_) | Err(Denied::NoGrant)) {
        return admission.map_err(|why| match why {
            Denied::PolicyExpired => (Denial::Expired, Some(why)),
            why => denied(why),
        });
    }
    if let Some(key) = http.keys.get(&user.name)
        && !key.allow_from.is_empty()
        && !key.allow_from.contains(asked.client)
    {
        return Err((Denial::Network, None));
    }
    admission.map_err(|why| (Denial::Grant, Some(why)))
}

/// The user whose key the request has.
pub fn user_of<'a>(policy: &'a Policy, head: &RequestHead, http: &HttpPolicy) -> Option<&'a Arc<User>> {
    let key = key_of(head, &http.key_header)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key);
    policy.token(digest.as_ref()).map(|(user, _)| user)
}

/// The token that the client sent: the header's value, of `authorization` what follows `Bearer` or Basic's password.
pub fn key_of(head: &RequestHead, header: &str) -> Option<Vec<u8>> {
    let mut values = head.fields.values(header);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let key = if header == "authorization" {
        let text = std::str::from_utf8(value).ok()?;
        let (scheme, rest) = text.split_once(' ')?;
        let rest = rest.trim_start_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            rest.as_bytes().to_vec()
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = decode_base64(rest.as_bytes())?;
            let colon = decoded.iter().position(|b| *b == b':')?;
            decoded.get(colon + 1..)?.to_vec()
        } else {
            return None;
        }
    } else {
        value.to_vec()
    };
    (!key.is_empty() && key.len() <= KEY_BYTES_MAX).then_some(key)
}

const KEY_BYTES_MAX: usize = 1024;

/// Where the request may go.
///
/// # Errors
/// [`Denial`].
pub fn route<'a>(http: &'a HttpPolicy, asked: &Asked<'_>) -> Result<Granted<'a>, Denial> {
    let path = path::parse(asked.target).map_err(|refused| Denial::Malformed(refused.reason))?;
    let route = match http.routes.find(&asked.head.method, &path) {
        Routed::To(route) => route,
        Routed::Method => return Err(Denial::Method),
        Routed::None => return Err(Denial::Route),
    };
    if asked.head.fields.has("upgrade") && is_upgrade(asked.head) && !http.websocket {
        return Err(Denial::Upgrade);
    }
    let (target, shown) = targets(&path, route)?;
    Ok(Granted { route, target, shown })
}

/// Whether the connection has guardrails at all.
pub fn has_guardrails(connection: &ConnectionPolicy) -> bool {
    !connection.guard.is_empty()
}

/// What a guardrail of the connection says against `METHOD /path?query`, if any does.
pub fn guarded(connection: &ConnectionPolicy, text: &str) -> Option<String> {
    match crate::judge::guard::judge(&connection.guard, text.as_bytes(), std::iter::empty()) {
        Verdict::Deny(refusal) => Some(refusal.message.clone()),
        // Patterns are all that guardrails have for HTTP, and they only refuse.
        Verdict::Hold(_) => Some("refused: reviews are for statements of SQL".to_owned()),
        Verdict::Pass => None,
    }
}

/// Whether the client asks for another protocol (RFC 9110 section 7.8).
pub fn is_upgrade(head: &RequestHead) -> bool {
    head.fields.has_token("connection", "upgrade") && head.fields.has("upgrade")
}

fn targets(path: &Path<'_>, route: &Route) -> Result<(String, String), Denial> {
    let mut target = path.raw.to_owned();
    let mut shown = target.clone();
    let Some(query) = path.query else {
        return Ok((target, shown));
    };
    let parameters = path::parameters(query).map_err(|refused| Denial::Malformed(refused.reason))?;
    let mut separator = '?';
    for parameter in parameters {
        let name = parameter.name.to_ascii_lowercase();
        if SECRET_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        if let Some(listed) = &route.query
            && !listed.contains(&parameter.name)
        {
            return Err(Denial::Query);
        }
        target.push(separator);
        target.push_str(parameter.raw);
        shown.push(separator);
        shown.push_str(parameter.raw.split('=').next().unwrap_or_default());
        separator = '&';
    }
    Ok((target, shown))
}

/// Base64 with or without padding (RFC 4648 section 4).
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: &[u8] = match text {
        [rest @ .., b'=', b'='] | [rest @ .., b'='] => rest,
        text => text,
    };
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(decode_base64(b"dTpwYXNz").as_deref(), Some(&b"u:pass"[..]));
        assert_eq!(decode_base64(b"dTpw").as_deref(), Some(&b"u:p"[..]));
        assert_eq!(decode_base64(b"dTo=").as_deref(), Some(&b"u:"[..]));
        assert_eq!(decode_base64(b"d!"), None);
    }
}
