//! EMAIL_ADDRESS: dot-atom local part and a domain name with a plausible top level (RFC 5321 section 4.1.2, RFC 1035).
//!
//! The local part is what people write: letters, digits and `. _ % + ~ -`, an apostrophe between letters. It starts with a
//! letter, digit or underscore (leading punctuation is left out), has no empty atom (after `..` it starts anew), and at most 64 bytes. The domain
//! has at least two labels and ends at the last label that is a top level: two letters or more, or `xn--…`.

use crate::class::{ALNUM, ALNUMS, APOSTROPHES, DASHES, DIGITS, DOTS, LOCAL, LOCALS, WORD, WORDS, is};
use crate::hit::Hit;
use crate::limits::{DOMAIN_LABEL_BYTES_MAX, EMAIL_DOMAIN_BYTES_MAX, EMAIL_LOCAL_BYTES_MAX};
use crate::text::Text;

/// What one look at 64 bytes on either side of an `@` says.
pub(crate) enum Look {
    Nothing,
    Found(Hit),
    /// One look is not enough.
    Unsure,
}

/// Judges the address around the `@` at `at`, where vectors see what it is made of.
#[inline(always)]
pub(crate) fn look(text: &Text<'_>, at: usize) -> Look {
    let Some([local, word, dot, quote]) = text.bits_before(at, [&LOCALS, &WORDS, &DOTS, &APOSTROPHES]) else {
        return Look::Unsure;
    };
    let own = !(u64::MAX.checked_shr(local.leading_ones()).unwrap_or(0));
    let (dot, words) = (dot & own, word & own);
    if own == u64::MAX || quote & own != 0 || dot & dot << 1 != 0 {
        return Look::Unsure;
    }
    if words == 0 || dot >> 63 == 1 {
        return Look::Nothing;
    }
    let start = at + words.trailing_zeros() as usize - 64;
    match domain_bytes(text, at + 1) {
        Some(Some(bytes)) => Look::Found(Hit::new(start, at + 1 + bytes, 95)),
        Some(None) => Look::Nothing,
        None => Look::Unsure,
    }
}

/// The same as [`domain_end`] for a name that ends within 64 bytes: its length, if it is one.
#[inline(always)]
fn domain_bytes(text: &Text<'_>, from: usize) -> Option<Option<usize>> {
    let [alnum, digit, dash, dot, word] = text.bits_at(from, [&ALNUMS, &DIGITS, &DASHES, &DOTS, &WORDS])?;
    if alnum | dash | dot == u64::MAX {
        return None;
    }
    let (mut label, mut best) = (0, None);
    while alnum >> label & 1 == 1 {
        let run = ((alnum | dash) >> label).trailing_ones();
        let own = alnum >> label & !(u64::MAX << run);
        let len = u64::BITS - own.leading_zeros();
        let end = label + len;
        let letters = own & !(digit >> label) & !(u64::MAX << len);
        let named = len >= 2 && letters.count_ones() == len;
        let top = named || len > 4 && text.has_any_case(from + label as usize, b"xn--");
        if label > 0 && top && word >> end & 1 == 0 {
            best = Some(end as usize);
        }
        if dot >> end & 1 == 0 {
            break;
        }
        label = end + 1;
    }
    Some(best)
}

/// A cheap necessary condition: a dot behind the first label of the domain, if that is all there.
#[inline(always)]
pub(crate) fn possible(text: &Text<'_>, at: usize) -> bool {
    let behind = text.bytes().get(at + 1..).unwrap_or_default();
    let label = |byte: &u8| is(*byte, ALNUM) || *byte == b'-';
    let mut label_and_dot = behind.iter().take(DOMAIN_LABEL_BYTES_MAX + 1);
    let ends = label_and_dot.find(|byte| !label(byte));
    ends.is_none_or(|byte| *byte == b'.')
}

/// Where the local part before the `@` at `at` starts.
pub(crate) fn local_start(text: &Text<'_>, at: usize) -> Option<usize> {
    let run = text.run_back(at, LOCAL, EMAIL_LOCAL_BYTES_MAX + 1);
    let bytes = &text.bytes()[run..at];
    let mut start = 0;
    let punctuation = |pair: &[u8]| (pair[0] == b'.' && pair[1] == b'.') | (pair[0] == b'\'') | (pair[1] == b'\'');
    // Nearly no address has two dots side by side or an apostrophe.
    if bytes.windows(2).fold(false, |any, pair| any | punctuation(pair)) {
        for (k, pair) in bytes.windows(2).enumerate() {
            let quote_at_edge = pair[0] == b'\'' && !is(pair[1], ALNUM) || pair[1] == b'\'' && !is(pair[0], ALNUM);
            if pair == b".." || quote_at_edge {
                start = k + 1;
            }
        }
    }
    let lead = bytes[start..].iter().position(|byte| is(*byte, WORD))?;
    let len = bytes.len() - start - lead;
    let last_is_sound = !matches!(bytes.last(), None | Some(b'.' | b'\''));
    (last_is_sound && len <= EMAIL_LOCAL_BYTES_MAX).then_some(at - len)
}

/// Judges the domain behind the `@` at `at`.
pub(crate) fn verify(text: &Text<'_>, start: usize, at: usize) -> Option<Hit> {
    let end = domain_end(text, at + 1)?;
    Some(Hit::new(start, end, 95))
}

/// End of the longest domain name that starts at `from` and ends in a top level.
pub(crate) fn domain_end(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut best = None;
    let mut label = from;
    for count in 1.. {
        let end = label_end(text, label)?;
        if end == label || end - from > EMAIL_DOMAIN_BYTES_MAX {
            break;
        }
        if count >= 2 && top_level(text, label, end) && text.boundary_at(end) {
            best = Some(end);
        }
        if text.at(end) != b'.' {
            break;
        }
        label = end + 1;
    }
    best
}

/// End of the label that starts at `from`: letters, digits, inner dashes. `from` itself when there is none; nothing when
/// it is too long.
fn label_end(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut end = from;
    while end - from <= DOMAIN_LABEL_BYTES_MAX && (text.is(end, ALNUM) || (end > from && text.at(end) == b'-')) {
        end += 1;
    }
    if end - from > DOMAIN_LABEL_BYTES_MAX {
        return None;
    }
    while end > from && text.before(end, 1) == b'-' {
        end -= 1;
    }
    Some(end)
}

fn top_level(text: &Text<'_>, start: usize, end: usize) -> bool {
    let label = &text.bytes()[start..end];
    let letters = label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic);
    letters || (label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--"))
}

#[cfg(test)]
mod tests {
    use crate::Detector::EmailAddress;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn addresses_are_found_with_exact_spans() {
        assert_spans(
            EmailAddress,
            &[
                "«a@b.co»",
                "mail «john.doe+tag@mail.example.com», or",
                "<«jane_doe%x@sub-domain.example.org»>",
                "«o'brien@example.ie»",
                "'«bob@example.com»'",
                "email=«bob@example.com»;",
                "mailto:«bob@example.com».",
                "«user@xn--80ak6aa92e.xn--p1ai»",
                "to «bob@example.com».123",
                "x..«bob@example.com»",
                "-«bob@example.com»-",
                "邮箱«bob@example.com»，谢谢",
                "«_x_@example.com»",
                "«a@b.co»@«c@d.co»".split("@«").next().unwrap(),
            ],
        );
    }

    #[test]
    fn near_misses_are_not_taken() {
        assert_misses(
            EmailAddress,
            &[
                "@example.com",
                "bob@",
                "bob@example",
                "bob@example.c",
                "bob@example.c1",
                "bob.@example.com",
                "bob@.com",
                "bob@-x-.1",
                "bob@example.com_",
                "bob @example.com",
                "bob@ example.com",
                "bob@1.2.3.4",
            ],
        );
        let long_local = format!("{}@example.com", "x".repeat(65));
        let long_label = format!("bob@{}.com", "x".repeat(64));
        assert_misses(EmailAddress, &[&long_local, &long_label]);
    }
}
