//! URL_WITH_CREDENTIALS: the `user:password` before the host of a URL (RFC 3986 section 3.2.1).
//!
//! The match is the user information without its `@`. A password may hold unescaped `@`s; the last one before the host counts.

use crate::class::{ALNUM, LETTER, USERINFO, is};
use crate::hit::Hit;
use crate::limits::USERINFO_BYTES_MAX;
use crate::text::Text;

const SCHEME_BYTES_MAX: usize = 32;

/// Whether a scheme (RFC 3986 section 3.1) ends at the colon at `colon`.
pub(crate) fn scheme_ends(text: &Text<'_>, colon: usize) -> bool {
    let mut start = colon;
    while colon - start < SCHEME_BYTES_MAX
        && (is(text.before(start, 1), ALNUM) || matches!(text.before(start, 1), b'+' | b'-' | b'.'))
    {
        start -= 1;
    }
    start < colon && text.bytes()[start..colon].iter().any(|byte| is(*byte, LETTER))
}

/// Judges the URL whose scheme ends at the colon at `colon`.
pub(crate) fn verify(text: &Text<'_>, colon: usize) -> Option<Hit> {
    if !text.has(colon + 1, b"//") {
        return None;
    }
    let start = colon + 3;
    let mut end = None;
    let mut from = start;
    loop {
        let run = text.short_run(from, USERINFO, start + USERINFO_BYTES_MAX + 1 - from);
        if run - start > USERINFO_BYTES_MAX || text.at(run) != b'@' {
            break;
        }
        end = Some(run);
        from = run + 1;
    }
    let end = end?;
    let userinfo = &text.bytes()[start..end];
    let split = userinfo.iter().position(|byte| *byte == b':')?;
    let host = text.is(end + 1, ALNUM) || matches!(text.at(end + 1), b'[' | b'_') || text.at(end + 1) >= 0x80;
    (host && split + 1 < userinfo.len()).then(|| Hit::new(start, end, 95))
}

#[cfg(test)]
mod tests {
    use crate::Detector::UrlWithCredentials;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn credentials_in_urls_are_found() {
        assert_spans(
            UrlWithCredentials,
            &[
                "postgres://«app:s3cret»@db.internal:5432/x",
                "redis://«:pass»@localhost",
                "\"https://«u:p%40ss»@example.com/\"",
                "mongodb+srv://«a:b@c»@cluster.example",
                "ftp://«u:p»@[::1]/",
                "见https://«u:p»@h",
                "jdbc:postgresql://«u:p»@h/x",
            ],
        );
    }

    #[test]
    fn other_urls_are_left() {
        assert_misses(
            UrlWithCredentials,
            &[
                "https://example.com:8080/@x",
                "https://user@example.com",
                "https://user:@example.com",
                "https://u:p@",
                "//u:p@h",
                "http://a:b c@d",
                "https:/u:p@h",
                "mailto:bob@example.com",
                "https://example.com/?u:p@h",
            ],
        );
    }
}
