//! DOMAIN_NAME and URL: names under a top-level domain that exists (RFC 1035 section 2.3.1, IANA's root zone database), and
//! addresses on the web with or without a scheme (RFC 3986).
//!
//! Source code is full of `object.member`, so a bare name counts by itself only under the endings that are domains nearly everywhere.

use std::sync::LazyLock;

use crate::Detector::{DomainName, Url};
use crate::class::{ALNUM, BASE64URL, DIGIT, URL, WORD, is};
use crate::engine::Engine;
use crate::hit::{Hit, Strength};
use crate::limits::{DOMAIN_LABEL_BYTES_MAX, EMAIL_DOMAIN_BYTES_MAX, LONG_MATCH_BYTES};
use crate::text::Text;

/// Longest scheme that is looked for.
const SCHEME_BYTES_MAX: usize = 16;

pub(crate) const DOMAIN_HOT_WORDS: &[&str] = &[
    "domain",
    "host",
    "hostname",
    "website",
    "site",
    "fqdn",
    "dns",
    "server",
    "domain name",
    "mx",
    "cname",
    "web",
];
pub(crate) const URL_HOT_WORDS: &[&str] = &[
    "url", "link", "website", "web site", "homepage", "href", "domain", "domains", "uri", "web", "site", "callback",
    "redirect",
];

/// Schemes whose `//` is followed by a host.
const SCHEMES: &[&[u8]] = &[
    b"http",
    b"https",
    b"ftp",
    b"ftps",
    b"sftp",
    b"ws",
    b"wss",
    b"ssh",
    b"git",
    b"ldap",
    b"ldaps",
    b"smb",
    b"rtsp",
    b"s3",
    b"gs",
    b"postgres",
    b"postgresql",
    b"mysql",
    b"redis",
    b"rediss",
    b"mongodb",
    b"mongodb+srv",
    b"amqp",
    b"amqps",
    b"mqtt",
    b"kafka",
    b"jdbc",
    b"nats",
    b"telnet",
    b"imap",
    b"smtp",
    b"file",
];

/// Endings under which two labels make a domain nearly everywhere. `net` is a namespace in some languages, in upper case.
const SURE: &[&str] = &[
    "com", "org", "net", "edu", "gov", "mil", "arpa", "xyz", "online", "website", "biz", "de", "fr", "uk", "jp", "cn",
    "ru", "br", "nl", "es", "ch", "se", "au", "ca", "kr", "tr", "mx", "za", "fi", "dk", "cz", "gr", "pt", "ro", "hu",
    "ie", "nz", "ua", "tw", "hk", "sk", "bg", "hr", "eu",
];

/// Second levels under which countries give out names.
const SECOND_LEVELS: &[&str] = &[
    "co", "com", "org", "net", "ac", "edu", "gov", "gob", "gouv", "or", "ne", "go", "in",
];

static TOP_LEVELS: LazyLock<TopLevels> = LazyLock::new(|| TopLevels::of(include_str!("tld.txt")));

/// Sorted names, which all begin with two letters.
struct TopLevels {
    names: Vec<&'static str>,
    /// Where the names with a pair of letters begin in `names`, and where the last of them end.
    by_head: Vec<u16>,
}

impl TopLevels {
    fn of(list: &'static str) -> TopLevels {
        let names: Vec<&str> = list.lines().collect();
        let heads = 0..=HEAD_COUNT;
        let by_head = heads.map(|head| names.partition_point(|name| head_of(name.as_bytes()) < Some(head)) as u16);
        TopLevels {
            by_head: by_head.collect(),
            names,
        }
    }

    /// Whether a name in lower case is one of them.
    fn has(&self, name: &[u8]) -> bool {
        let Some(head) = head_of(name) else {
            return false;
        };
        let (from, to) = (self.by_head[head], self.by_head[head + 1]);
        self.names[usize::from(from)..usize::from(to)]
            .iter()
            .any(|known| known.as_bytes() == name)
    }
}

/// Pairs of letters.
const HEAD_COUNT: usize = 26 * 26;

fn head_of(name: &[u8]) -> Option<usize> {
    let letter = |at: usize| {
        let byte = name.get(at).filter(|byte| byte.is_ascii_lowercase());
        byte.map(|byte| usize::from(byte - b'a'))
    };
    Some(letter(0)? * 26 + letter(1)?)
}

/// Longest top-level domain: the root zone has none beyond 24 bytes.
const TOP_LEVEL_BYTES_MAX: usize = 24;

/// Letters in lower case, for short texts.
struct Lowered {
    bytes: [u8; TOP_LEVEL_BYTES_MAX],
    len: usize,
}

impl Lowered {
    /// Nothing when the text is too long.
    fn of(text: &[u8]) -> Option<Lowered> {
        let mut bytes = [0; TOP_LEVEL_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        bytes.make_ascii_lowercase();
        Some(Lowered { bytes, len: text.len() })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A dot at `place`, perhaps the first one of a bare name.
pub(crate) fn dot(engine: &mut Engine<'_, '_>, place: usize) {
    if !(engine.on(DomainName) || engine.on(Url)) {
        return;
    }
    let text = engine.text();
    if ends_in_number(text, place) {
        return;
    }
    let start = text.run_back(place, BASE64URL, DOMAIN_LABEL_BYTES_MAX + 1);
    let before = text.before(start, 1);
    // In JSON a slash may be written `\/`.
    let behind_escape = before == b'/' && text.before(start, 2) == b'\\';
    let free = behind_escape || !matches!(before, b'.' | b'@' | b'%' | b'/' | b'\\' | b'$');
    let begins = start < place && place - start <= DOMAIN_LABEL_BYTES_MAX && free;
    if !begins {
        return domain_behind_scheme(engine, start, place);
    }
    // Most names are members of objects, which neither detector wants.
    text.forget_edge();
    let known = host(text, start).is_some_and(|host| host.known);
    if !known && !text.needs_more() {
        return;
    }
    if engine.on(DomainName) {
        engine.consider(DomainName, start, |text| domain(text, start));
    }
    if engine.on(Url) {
        engine.consider(Url, start, |text| bare_url(text, start));
    }
}

/// Behind the dot stands a number with which the name ends, as in `12.50`: no top-level domain is one.
#[inline(always)]
fn ends_in_number(text: &Text<'_>, dot: usize) -> bool {
    let Some(label) = text.word_start(dot + 1) else {
        return false;
    };
    label.words & 1 == 1 && label.number() && label.run() < 64 && !matches!(label.behind, b'.' | b'-')
}

/// The host of a URL is a domain name as well.
fn domain_behind_scheme(engine: &mut Engine<'_, '_>, start: usize, place: usize) {
    let text = engine.text();
    let authority = text.before(start, 1) == b'/' && text.before(start, 2) == b'/';
    if engine.on(DomainName) && start < place && authority {
        engine.consider(DomainName, start, |text| {
            let host = host(text, start)?;
            host.known.then(|| Hit::new(start, host.end, 85))
        });
    }
}

/// A name of labels.
struct Host {
    end: usize,
    labels: usize,
    /// The last label is a top-level domain.
    known: bool,
    /// How much the name says by itself.
    strength: Strength,
}

/// Reads the name that begins at `start`.
fn host(text: &Text<'_>, start: usize) -> Option<Host> {
    let (mut place, mut labels, mut last) = (start, 0, start);
    loop {
        let end = text.short_run(place, BASE64URL, DOMAIN_LABEL_BYTES_MAX + 1);
        let label = text.bytes().get(place..end)?;
        let sound = (1..=DOMAIN_LABEL_BYTES_MAX).contains(&label.len())
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
            && !label.contains(&b'_');
        if !sound || end - start > EMAIL_DOMAIN_BYTES_MAX {
            return None;
        }
        let second = last;
        (last, labels) = (place, labels + 1);
        if text.at(end) != b'.' || !text.is(end + 1, ALNUM) {
            return judged(text, start, second, last, end, labels);
        }
        place = end + 1;
    }
}

fn judged(text: &Text<'_>, start: usize, second: usize, last: usize, end: usize, labels: usize) -> Option<Host> {
    let part = |from: usize, to: usize| text.bytes().get(from..to);
    let lowered = Lowered::of(part(last, end)?);
    let ending = lowered.as_ref().map_or(&[][..], Lowered::bytes);
    let known = labels >= 2 && TOP_LEVELS.has(ending);
    let second_level = part(second, last.saturating_sub(1)).unwrap_or_default();
    let country = ending.len() == 2
        && SECOND_LEVELS
            .iter()
            .any(|level| level.as_bytes().eq_ignore_ascii_case(second_level));
    let www = text.has_any_case(start, b"www.");
    let written_low = !part(last, end)?.iter().any(u8::is_ascii_uppercase) || matches!(ending, b"com" | b"org");
    let sure = SURE.iter().any(|known| known.as_bytes() == ending) && written_low;
    let name = sure || (labels >= 3 && (country || www));
    let has_letter = part(start, last)?.iter().any(u8::is_ascii_alphabetic) || end - last > 2;
    let strength = if name && has_letter {
        Strength::Strong
    } else {
        Strength::Weak
    };
    Some(Host {
        end,
        labels,
        known,
        strength,
    })
}

fn domain(text: &Text<'_>, start: usize) -> Option<Hit> {
    let host = host(text, start)?;
    let called = matches!(text.at(host.end), b'(' | b'@');
    let sound = host.known
        && !called
        && text.boundary_at(host.end)
        && text.boundary_before(start)
        && !is(text.at(host.end), WORD);
    sound.then(|| Hit::new(start, host.end, 80).of(host.strength))
}

/// A name without a scheme, with what follows it: `example.com/path?x=1`.
fn bare_url(text: &Text<'_>, start: usize) -> Option<Hit> {
    let host = host(text, start)?;
    if !host.known
        || !text.boundary_at(host.end)
        || !text.boundary_before(start)
        || matches!(text.at(host.end), b'(' | b'@')
    {
        return None;
    }
    let end = rest(text, start, host.end);
    Some(finish(start, end, 75).of(host.strength))
}

/// A colon at `colon`: the URL whose scheme ends there.
pub(crate) fn scheme_start(text: &Text<'_>, colon: usize) -> Option<usize> {
    let mut start = colon;
    while colon - start < SCHEME_BYTES_MAX && (is(text.before(start, 1), ALNUM) || text.before(start, 1) == b'+') {
        start -= 1;
    }
    let scheme = text.bytes().get(start..colon)?;
    let known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (known && text.boundary_before(start)).then_some(start)
}

/// Judges the URL whose scheme is `start..colon`.
pub(crate) fn url(text: &Text<'_>, start: usize, colon: usize) -> Option<Hit> {
    if !text.has(colon + 1, b"//") {
        return None;
    }
    let authority = authority_start(text, colon + 3);
    let end = match text.at(authority) {
        b'[' => {
            let end = text.short_run(authority + 1, WORD, 1).max(authority + 1);
            let close = (end..end + 48)
                .find(|place| !(text.is(*place, ALNUM) || matches!(text.at(*place), b':' | b'.' | b'%')))?;
            (text.at(close) == b']').then_some(close + 1)?
        }
        _ => named_end(text, authority)?,
    };
    let end = rest(text, start, end);
    Some(finish(start, end, 92))
}

/// Behind `user:password@`, if there is one.
fn authority_start(text: &Text<'_>, start: usize) -> usize {
    let end = text.short_run(start, URL, 128);
    let before_path = (start..end).take_while(|place| text.at(*place) != b'/');
    let at_sign = before_path.filter(|place| text.at(*place) == b'@').last();
    at_sign.map_or(start, |place| place + 1)
}

/// End of a host that is a name, a dotted address, or a single label with a port or a path.
fn named_end(text: &Text<'_>, start: usize) -> Option<usize> {
    let host = host(text, start)?;
    let dotted = host.labels == 4
        && text
            .bytes()
            .get(start..host.end)?
            .iter()
            .all(|byte| is(*byte, DIGIT) || *byte == b'.');
    let local = text.has_any_case(start, b"localhost") && host.labels == 1;
    let follows = match text.at(host.end) {
        b':' => text.is(host.end + 1, DIGIT),
        b'/' => text.is(host.end + 1, URL) && text.at(host.end + 1) != b'/',
        _ => false,
    };
    (host.known || dotted || local || follows).then_some(host.end)
}

/// Port, path, query and fragment behind a host.
fn rest(text: &Text<'_>, start: usize, host_end: usize) -> usize {
    let mut end = host_end;
    if text.at(end) == b':' && text.is(end + 1, DIGIT) {
        end = text.short_run(end + 1, DIGIT, 5);
    }
    if matches!(text.at(end), b'/' | b'?' | b'#') {
        end = text.run(end, URL, start + LONG_MATCH_BYTES - end);
    }
    if end - start >= LONG_MATCH_BYTES {
        end
    } else {
        without_punctuation(text, host_end, end)
    }
}

/// Signs that end a sentence rather than an address; a closing bracket stays when its opening one is part of the address.
fn without_punctuation(text: &Text<'_>, floor: usize, mut end: usize) -> usize {
    let count = |bracket: u8| {
        let part = text.bytes().get(floor..end).unwrap_or_default();
        part.iter().filter(|byte| **byte == bracket).count()
    };
    let mut unopened = count(b')').saturating_sub(count(b'('));
    while end > floor {
        match text.before(end, 1) {
            b'.' | b',' | b';' | b':' | b'!' | b'?' | b'\'' | b'*' => end -= 1,
            b')' if unopened > 0 => {
                unopened -= 1;
                end -= 1;
            }
            _ => break,
        }
    }
    end
}

fn finish(start: usize, end: usize, confidence: u8) -> Hit {
    Hit::run(start, end, URL, confidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn top_levels_are_sorted() {
        assert!(TOP_LEVELS.names.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SURE.iter().all(|name| TOP_LEVELS.has(name.as_bytes())));
    }

    #[test]
    fn urls_are_found() {
        assert_spans(
            Url,
            &[
                "«https://www.example.com/»",
                "see «http://example.com/a/b?x=1&y=2#z», then",
                "(«https://en.wikipedia.org/wiki/Rust_(language)»)",
                "\"«https://example.com»\"",
                "<a href='«http://example.site/x»'>",
                "«http://localhost:8080/x»",
                "«http://10.0.0.1»",
                "«https://[2001:db8::1]:8443/x».",
                "«ftp://user:pw@files.example.org/pub/»",
                "my domains: «example.com» «google.co.il»",
                "«www.example.com».",
                "«example.com/path».",
                "\"https:\\/\\/«example.com»",
            ],
        );
        assert_misses(
            Url,
            &[
                "http://intranet",
                "www.microsoft",
                "x://y",
                "std::fmt",
                "object.member",
                "file.rs",
                "1.2.3.4",
                "e.g. this",
                "..........",
                "a.b.c",
            ],
        );
    }

    #[test]
    fn domain_names_are_found() {
        assert_spans(
            DomainName,
            &[
                "«example.com»",
                "«mail.example.org».",
                "«bbc.co.uk»",
                "https://«www.example.de»/x",
                "host: «db1.internal.cloud»",
                "«xn--80ak6aa92e.com»",
            ],
        );
        assert_misses(
            DomainName,
            &[
                "bob@example.com",
                "example.comx",
                "-a.com",
                "self.id",
                "main.rs",
                "log.info(",
                "a_b.com",
                "System.Net",
                "README.md",
                "1.5",
                "x..com",
            ],
        );
    }
}
