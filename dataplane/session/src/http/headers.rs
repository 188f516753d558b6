//! What becomes of header fields on their way: credentials and hop-by-hop fields go, hosts are put right, rules apply.

use std::net::IpAddr;

use codecs::http::{Fields, RequestHead, ResponseHead};
use scan::Context;

use super::policy::HttpPolicy;
use crate::judge::tally::{Finder, Place, Tally};
use crate::policy::RuleSet;
use crate::session::Scratch;

/// Fields of a request that never reach the target: they belong to the socket, are credentials, change who asks or which
/// path or method is meant, or would be believed although a client wrote them.
static REQUEST_STRIPPED: NameSet = NameSet::of(&[
    // the socket's own (RFC 9110 section 7.6.1)
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "host",
    // credentials
    "authorization",
    "cookie",
    "cookie2",
    "private-token",
    "job-token",
    "deploy-token",
    "x-gitlab-token",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-vault-token",
    "x-amz-security-token",
    // who asks, and for what
    "sudo",
    "x-sudo",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-rewrite-url",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-host",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "forwarded",
    "via",
    "http2-settings",
]);

/// Fields of an answer that belong to the target's socket or name its software.
static RESPONSE_STRIPPED: NameSet = NameSet::of(&[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "trailer",
    "alt-svc",
    "strict-transport-security",
    "server",
    "x-powered-by",
]);

/// Fields that say something about the exact bytes of a body, wrong once it may be changed.
const BYTES_EXACT: &[&str] = &[
    "etag",
    "last-modified",
    "content-md5",
    "digest",
    "content-digest",
    "repr-digest",
    "accept-ranges",
    "content-range",
];

/// Fields that ask for a part of a body, or for none if it has not changed: with redaction the whole body is needed.
const CONDITIONS: &[&str] = &[
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];

/// Names of fields, told from others by first letter and length before they are compared.
struct NameSet {
    names: &'static [&'static str],
    /// Bit `n` of entry `b`: a name begins with byte `b` and has `n` bytes.
    lengths: [u64; 256],
}

impl NameSet {
    /// A set of names of 1 to 63 bytes.
    const fn of(names: &'static [&'static str]) -> NameSet {
        let mut lengths = [0; 256];
        let mut at = 0;
        while at < names.len() {
            let name = names[at].as_bytes();
            lengths[name[0] as usize] |= 1 << name.len();
            at += 1;
        }
        NameSet { names, lengths }
    }

    fn has(&self, name: &str) -> bool {
        let first = name.bytes().next().unwrap_or_default();
        let lengths = self.lengths.get(usize::from(first)).copied().unwrap_or_default();
        name.len() < 64 && lengths >> name.len() & 1 == 1 && self.names.contains(&name)
    }
}

/// What is known of the client.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub address: IpAddr,
    pub https: bool,
    /// `host[:port]` by which it came.
    pub authority: &'a str,
    /// Path by which the connection was named, without the last slash; or empty.
    pub prefix: &'a str,
    pub request_id: &'a str,
}

/// Fields for the target, without those that the writer adds (Host, framing, credential).
pub fn request(head: &RequestHead, http: &HttpPolicy, client: &Client<'_>, redacts: bool, inspects: bool) -> Fields {
    let mut fields = Fields::new();
    let names_hops = head.fields.has("connection");
    for (name, value) in head.fields.iter() {
        let text = std::str::from_utf8(name).unwrap_or_default();
        let stripped = REQUEST_STRIPPED.has(text)
            || text == http.key_header
            || text == http.credential_header
            || name.contains(&b'_')
            || names_hops && head.fields.has_token("connection", text)
            || redacts && CONDITIONS.contains(&text)
            || (redacts || inspects) && text == "accept-encoding";
        if !stripped {
            fields.push(name, value);
        }
    }
    if redacts {
        fields.push(b"accept-encoding", b"identity");
    }
    if head.fields.has_token("te", "trailers") {
        fields.push(b"te", b"trailers");
    }
    fields.push(b"x-forwarded-for", client.address.to_string().as_bytes());
    fields.push(b"x-forwarded-proto", if client.https { b"https" } else { b"http" });
    fields.push(b"x-request-id", client.request_id.as_bytes());
    apply(&mut fields, http, false);
    fields
}

/// Fields for the client.
pub fn response(head: &ResponseHead, http: &HttpPolicy, client: &Client<'_>, redacts: bool, version: &str) -> Fields {
    let mut fields = Fields::new();
    let hosts = Hosts::new(http, client);
    let names_hops = head.fields.has("connection");
    for (name, value) in head.fields.iter() {
        let text = std::str::from_utf8(name).unwrap_or_default();
        let stripped = RESPONSE_STRIPPED.has(text)
            || names_hops && head.fields.has_token("connection", text)
            || redacts && BYTES_EXACT.contains(&text);
        if stripped {
            continue;
        }
        match text {
            "location"
            | "content-location"
            | "refresh"
            | "link"
            | "access-control-allow-origin"
            | "x-next-page-url" => {
                fields.push(name, hosts.rewritten(value).as_slice());
            }
            "set-cookie" => {
                if let Some(cookie) = hosts.cookie(value) {
                    fields.push(name, cookie.as_slice());
                }
            }
            _ => fields.push(name, value),
        }
    }
    apply(&mut fields, http, true);
    stamp(&mut fields, http, client, version);
    fields
}

/// Fields that every answer carries, ours included.
pub fn stamp(fields: &mut Fields, http: &HttpPolicy, client: &Client<'_>, version: &str) {
    if !http.version_header.is_empty() {
        fields.set(&http.version_header, version.as_bytes());
    }
    fields.set("x-request-id", client.request_id.as_bytes());
}

fn apply(fields: &mut Fields, http: &HttpPolicy, response: bool) {
    for rule in http.headers.iter().filter(|rule| rule.response == response) {
        match &rule.value {
            Some(value) => fields.set(&rule.name, value.as_bytes()),
            None => fields.remove(&rule.name),
        }
    }
}

/// Masks what is found in the values of an answer's fields, in place.
pub fn redact(fields: &mut Fields, rules: &RuleSet, tally: &mut FieldTally, scratch: &mut Scratch) {
    let Some(scanner) = &rules.scanner else { return };
    let redactor = &mut scratch.redactor;
    fields.for_each_value(|name, value| {
        if value.len() < rules.finding_bytes_min || NEVER_PERSONAL.contains(&name) {
            return;
        }
        redactor.findings.clear();
        scanner.scan(value, Context::default(), &mut redactor.scan, &mut redactor.findings);
        for finding in &redactor.findings {
            let action = rules.action(finding.detector);
            tally
                .0
                .add(Finder::Detector(finding.detector), Place::Header, action.enforce);
            if action.enforce {
                let span = value.get_mut(finding.start as usize..finding.end as usize);
                let mask = action.mask_of(finding.detector);
                mask.overwrite(&action.label, span.unwrap_or_default());
            }
        }
    });
}

/// Fields whose values are dates, types and numbers of the protocol.
const NEVER_PERSONAL: &[&[u8]] = &[
    b"date",
    b"expires",
    b"content-type",
    b"vary",
    b"cache-control",
    b"x-request-id",
];

/// Counts of an exchange.
#[derive(Debug, Clone, Default)]
pub struct FieldTally(pub(crate) Tally);

/// The target's own address, and what clients shall see instead.
struct Hosts<'a> {
    target: &'a str,
    client: &'a Client<'a>,
}

impl<'a> Hosts<'a> {
    fn new(http: &'a HttpPolicy, client: &'a Client<'a>) -> Hosts<'a> {
        Hosts {
            target: &http.authority,
            client,
        }
    }

    /// Replaces `scheme://target` everywhere in a value, and puts the prefix before absolute paths.
    fn rewritten(&self, value: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(value) else {
            return value.to_vec();
        };
        let scheme = if self.client.https { "https" } else { "http" };
        let to = format!("{scheme}://{}{}", self.client.authority, self.client.prefix);
        if text.starts_with('/') && !text.starts_with("//") {
            return format!("{}{text}", self.client.prefix).into_bytes();
        }
        let lower = text.to_ascii_lowercase();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(found) = lower.get(at..).and_then(|rest| rest.find("//")) {
            let slashes = at + found;
            let host = slashes + 2;
            let before = lower.get(..slashes).unwrap_or_default();
            let scheme_len = ["https:", "http:"]
                .iter()
                .find(|s| before.ends_with(**s))
                .map(|s| s.len());
            let end = host + authority_len(lower.get(host..).unwrap_or_default());
            if self.is_target(lower.get(host..end).unwrap_or_default()) {
                let start = slashes - scheme_len.unwrap_or(0);
                out.push_str(text.get(at..start).unwrap_or_default());
                out.push_str(&to);
            } else {
                out.push_str(text.get(at..end).unwrap_or_default());
            }
            at = end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out.into_bytes()
    }

    /// Whether an authority in a link is the target's, with or without port and user.
    fn is_target(&self, authority: &str) -> bool {
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let bare = |text: &str| -> String {
            let plain = text
                .strip_suffix(":443")
                .or_else(|| text.strip_suffix(":80"))
                .unwrap_or(text);
            plain.to_ascii_lowercase()
        };
        bare(authority) == bare(self.target)
    }

    /// A cookie without the target's domain. Credentials of the target in cookies stay with it: a client's cookies are
    /// never passed on, so it need not keep any.
    fn cookie(&self, _value: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

fn authority_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || "-._:@[]".contains(c)))
        .unwrap_or(text.len())
}
