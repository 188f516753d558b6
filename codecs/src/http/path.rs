//! Paths and queries under one decoding rule: cut at raw `/` (and `&`), then decode each part once, never the whole.
//!
//! What a second reader could see differently is refused: empty segments, dot segments in any spelling, `\`, NUL and control
//! characters, broken or double percent-encoding. What is accepted is passed on byte for byte.

use std::borrow::Cow;

use super::Refused;
use super::limits::SEGMENTS_MAX;

/// A target cut into path segments and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// Decoded once; an encoded `/` is a `/` inside a segment here.
    pub segments: Vec<Cow<'a, str>>,
    /// The path ended with `/`.
    pub slash: bool,
    /// The path as it came.
    pub raw: &'a str,
    /// After `?`, as it came.
    pub query: Option<&'a str>,
}

/// Cuts and checks a target in origin-form.
///
/// # Errors
/// 400 for what readers could understand differently.
pub fn parse(target: &str) -> Result<Path<'_>, Refused> {
    if target.contains('#') {
        return Err(Refused::bad("a fragment in the request target"));
    }
    let (raw, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let inner = raw
        .strip_prefix('/')
        .ok_or(Refused::bad("the path does not begin with /"))?;
    let mut segments = Vec::new();
    let mut slash = false;
    if !inner.is_empty() {
        let (inner, ends) = match inner.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        slash = ends;
        for part in inner.split('/') {
            if segments.len() >= SEGMENTS_MAX {
                return Err(Refused::bad("the path has too many segments"));
            }
            segments.push(segment(part)?);
        }
    }
    Ok(Path {
        segments,
        slash,
        raw,
        query,
    })
}

fn segment(part: &str) -> Result<Cow<'_, str>, Refused> {
    if part.is_empty() {
        return Err(Refused::bad("an empty segment in the path"));
    }
    if part.bytes().any(|b| b"\\\"<>^`{|}".contains(&b)) {
        return Err(Refused::bad("a character in the path that must be encoded"));
    }
    let decoded = decode(part).ok_or(Refused::bad("the path's percent-encoding is broken"))?;
    if decoded.chars().any(char::is_control) || decoded.contains('\\') {
        return Err(Refused::bad("an encoded character in the path that is not served"));
    }
    // `%2520` decodes to `%20`, which the next reader may decode again.
    let twice = decoded
        .as_bytes()
        .windows(3)
        .any(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()));
    if twice {
        return Err(Refused::bad("the path is percent-encoded twice"));
    }
    // Parameters (`..;x`) are cut off by some servers before they look for dots.
    let dots = |piece: &str| matches!(piece.split(';').next(), Some("." | ".."));
    if decoded.split('/').any(|piece| dots(piece) || piece.is_empty()) {
        return Err(Refused::bad("a dot segment or an empty one in the path"));
    }
    Ok(decoded)
}

/// Percent-decodes once. `None`: broken encoding, or not UTF-8.
pub fn decode(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains('%') {
        return Some(Cow::Borrowed(part));
    }
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push((high << 4 | low) as u8);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// One parameter of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// As it came, with its value.
    pub raw: &'a str,
    /// Decoded, `+` as space; of `sudo[]=x` it is `sudo`.
    pub name: String,
}

/// The parameters of a query. Old servers also cut at `;`, so a query with one is refused.
///
/// # Errors
/// 400 for `;`, broken encoding and control characters in names.
pub fn parameters(query: &str) -> Result<Vec<Parameter<'_>>, Refused> {
    if query.contains(';') {
        return Err(Refused::bad("a semicolon in the query"));
    }
    let mut parameters = Vec::new();
    for raw in query.split('&').filter(|raw| !raw.is_empty()) {
        let name = raw.split('=').next().unwrap_or_default();
        let spaced = name.replace('+', " ");
        let decoded = decode(&spaced).ok_or(Refused::bad("the query's percent-encoding is broken"))?;
        if decoded.chars().any(char::is_control) {
            return Err(Refused::bad("a control character in the query"));
        }
        let base = decoded.split('[').next().unwrap_or_default();
        parameters.push(Parameter {
            raw,
            name: base.trim().to_owned(),
        });
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(target: &str) -> Option<Vec<String>> {
        let path = parse(target).ok()?;
        Some(path.segments.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn paths_are_cut_before_they_are_decoded() {
        let of = |parts: &[&str]| Some(parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
        assert_eq!(segments("/"), of(&[]));
        assert_eq!(segments("/a/b%2Fc?x=/../y"), of(&["a", "b/c"]));
        assert_eq!(segments("/a/"), of(&["a"]));
        assert_eq!(segments("/%C3%A4"), of(&["ä"]));
        assert!(parse("/a/").unwrap().slash && !parse("/a").unwrap().slash);
    }

    #[test]
    fn what_readers_see_differently_is_refused() {
        for target in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/..;x/b",
            "/a%2f..%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/a%0d%0ab",
            "/a%252fb",
            "/a%2",
            "/a%zz",
            "/a%ff",
            "/a#b",
            "/a%2F",
            "/%2Fa",
            "/a{b}",
        ] {
            assert!(parse(target).is_err(), "{target}");
        }
        assert!(parse("/a%25b").is_ok(), "a percent sign that begins no code");
        assert!(parse("/a..b/.gitignore/...").is_ok());
        assert!(parse(&"/a".repeat(SEGMENTS_MAX + 1)).is_err());
    }

    #[test]
    fn parameters_have_one_name() {
        let names = |query: &str| parameters(query).map(|all| all.into_iter().map(|p| p.name).collect::<Vec<_>>());
        assert_eq!(names("a=1&&b&private%5Ftoken=x").unwrap(), ["a", "b", "private_token"]);
        assert_eq!(names("sudo[]=1&+sudo+=2").unwrap(), ["sudo", "sudo"]);
        assert!(names("a;b").is_err() && names("%zz=1").is_err() && names("a%00=1").is_err());
    }
}
