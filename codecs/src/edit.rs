//! How a found value is replaced, whatever protocol carries it.

use aws_lc_rs::hmac;

/// A byte that a mask writes for every byte that it hides.
pub const MASK_BYTE: u8 = b'*';
/// Bytes of a hash mask: 64 bits of the HMAC, in hexadecimal.
pub const HASH_BYTES: usize = 16;

/// How a found value is replaced.
#[derive(Debug, Clone)]
pub enum Mask {
    /// `[LABEL]` padded with `*`, or cut, to the length of the value.
    Label,
    /// `*` for every byte.
    Full,
    /// `*` for every byte but those of the last `keep_last` characters. A value that is not longer is hidden whole.
    Partial { keep_last: usize },
    /// [`HASH_BYTES`] hexadecimal digits of the HMAC-SHA-256 of the value: equal values stay recognisable as equal.
    Hash(Box<hmac::Key>),
    /// The whole field becomes NULL.
    Null,
    /// This text.
    Replace(Box<[u8]>),
    /// For a run of base64, hexadecimal or URL encoding: `0` or `A` for every byte, so that the run can still be decoded.
    Encoded,
}

impl Mask {
    /// Whether the replacement is as long as the value, so that it can be written over it.
    pub fn keeps_length(&self) -> bool {
        matches!(self, Mask::Label | Mask::Full | Mask::Partial { .. } | Mask::Encoded)
    }

    /// Whether the replacement means the same in every textual encoding (JSON strings, CSV, array literals …),
    /// because it holds no character that any of them gives a meaning to.
    pub fn is_plain(&self) -> bool {
        match self {
            Mask::Replace(text) => {
                !text.is_empty()
                    && !text.eq_ignore_ascii_case(b"null")
                    && text.first() != Some(&b' ')
                    && text.last() != Some(&b' ')
                    && text
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || b" _*#.-[]".contains(b))
            }
            _ => true,
        }
    }

    /// Writes the replacement over `value`. Masks that change the length fall back to the label.
    pub fn overwrite(&self, label: &str, value: &mut [u8]) {
        match self {
            Mask::Full => value.fill(MASK_BYTE),
            Mask::Partial { keep_last } => {
                let kept = kept_from(value, *keep_last);
                if let Some(hidden) = value.get_mut(..kept) {
                    hidden.fill(MASK_BYTE);
                }
            }
            Mask::Encoded => overwrite_encoded(value),
            Mask::Label | Mask::Hash(_) | Mask::Null | Mask::Replace(_) => overwrite_label(label, value),
        }
    }

    /// Appends the replacement of `value` to `out`, whatever its length. NULL has no bytes: the label stands in.
    pub fn append(&self, label: &str, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Mask::Replace(text) => out.extend_from_slice(text),
            Mask::Hash(key) => {
                let tag = hmac::sign(key, value);
                for byte in tag.as_ref().iter().take(HASH_BYTES / 2) {
                    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
            }
            _ => {
                let start = out.len();
                out.extend_from_slice(value);
                if let Some(copy) = out.get_mut(start..) {
                    self.overwrite(label, copy);
                }
            }
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Where the last `keep` characters of `value` begin; its end if it has no more than that. Bytes that are not UTF-8
/// count as characters of their own.
fn kept_from(value: &[u8], keep: usize) -> usize {
    let starts = |b: &u8| b & 0xC0 != 0x80;
    if keep == 0 || value.iter().filter(|b| starts(b)).count() <= keep {
        return value.len();
    }
    value
        .iter()
        .rposition({
            let mut left = keep;
            move |b| {
                left -= usize::from(starts(b));
                left == 0
            }
        })
        .unwrap_or(value.len())
}

fn overwrite_label(label: &str, value: &mut [u8]) {
    let mut at = 0;
    for byte in [b'['].iter().chain(label.as_bytes()).chain(b"]") {
        match value.get_mut(at) {
            Some(to) => *to = *byte,
            None => return,
        }
        at += 1;
    }
    if let Some(rest) = value.get_mut(at..) {
        rest.fill(MASK_BYTE);
    }
}

/// What takes the place of a byte of an encoded run of which only a part is seen: `A` stands in every alphabet. Padding stays: without
/// it some decoders refuse the run.
pub fn encoded_byte(byte: u8) -> u8 {
    if byte == b'=' { byte } else { b'A' }
}

/// Padding stays here too.
fn overwrite_encoded(value: &mut [u8]) {
    let hexadecimal = value.iter().all(u8::is_ascii_hexdigit);
    let fill = if hexadecimal { b'0' } else { b'A' };
    value
        .iter_mut()
        .filter(|byte| **byte != b'=')
        .for_each(|byte| *byte = fill);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_runs_stay_in_their_alphabet() {
        assert_eq!(
            masked(&Mask::Encoded, "YWRhQGV4YW1wbGUuY29tIQ=="),
            "AAAAAAAAAAAAAAAAAAAAAA=="
        );
        assert_eq!(masked(&Mask::Encoded, "6d61696C"), "00000000");
        assert_eq!(masked(&Mask::Encoded, "ada%40example.com"), "AAAAAAAAAAAAAAAAA");
    }

    fn masked(mask: &Mask, value: &str) -> String {
        let mut bytes = value.as_bytes().to_vec();
        mask.overwrite("EMAIL", &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn label_is_padded_or_cut() {
        assert_eq!(masked(&Mask::Label, "alice@example.com"), "[EMAIL]**********");
        assert_eq!(masked(&Mask::Label, "a@b.c"), "[EMAI");
        assert_eq!(masked(&Mask::Label, ""), "");
    }

    #[test]
    fn partial_counts_characters_and_never_shows_all() {
        let keep = |keep_last| Mask::Partial { keep_last };
        assert_eq!(masked(&keep(4), "4111111111111111"), "************1111");
        assert_eq!(masked(&keep(2), "xyäö"), "**äö");
        assert_eq!(masked(&keep(4), "1234"), "****");
        assert_eq!(masked(&keep(0), "12"), "**");
    }

    #[test]
    fn hash_is_stable_keyed_and_short() {
        let of = |key: &[u8]| {
            let mask = Mask::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)));
            let mut out = Vec::new();
            mask.append("X", b"alice@example.com", &mut out);
            out
        };
        assert_eq!(of(b"k1"), of(b"k1"));
        assert_ne!(of(b"k1"), of(b"k2"));
        assert_eq!(of(b"k1").len(), HASH_BYTES);
    }

    #[test]
    fn replacements_with_syntax_are_not_plain() {
        assert!(Mask::Replace((*b"hidden").into()).is_plain());
        for text in ["a,b", "\"", "a\\b", "NULL", "", " x", "{x}"] {
            assert!(!Mask::Replace(text.as_bytes().into()).is_plain(), "{text}");
        }
    }
}
