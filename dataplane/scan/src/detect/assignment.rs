//! PASSWORD and AUTH_TOKEN as assignments: `password = …`, `"api_key": "…"`, `?access_token=…`, and SQL's `PASSWORD '…'`.
//!
//! The match is the value. A quoted value reaches to its quote (if that stands in the same line within 256 bytes), an
//! unquoted one to white space, a quote or one of `, ; & < > ) ] } |`. What stands for a value and is none (`null`, `${NAME}`, `****`) is left.

use crate::Detector::{self, AuthToken, Password};
use crate::class::{LETTER, VALUE, WORD, is};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::limits::{LONG_MATCH_BYTES, QUOTED_VALUE_BYTES_MAX};
use crate::text::Text;

const KEY_BYTES_MAX: usize = 48;
const BLANKS_MAX: usize = 8;
/// Shortest unquoted value, and shortest one in what may be a sentence (`password: it was`).
const VALUE_BYTES_MIN: usize = 3;
const PROSE_VALUE_BYTES_MIN: usize = 6;
/// Shortest value of an assignment that names a token.
const TOKEN_BYTES_MIN: usize = 12;

/// Ends of keys that name a password. Those marked must be a word of their own.
const PASSWORD_KEYS: &[(&[u8], bool)] = &[
    (b"password", false),
    (b"passwd", false),
    (b"passphrase", false),
    (b"passcode", false),
    (b"pwd", false),
    (b"pass", true),
    (b"passwort", false),
    (b"contrasena", false),
    (b"mot_de_passe", false),
    (b"senha", true),
];

/// Ends of keys that name a token or shared secret; each must be a word of its own.
const TOKEN_KEYS: &[&[u8]] = &[
    b"token",
    b"secret",
    b"apikey",
    b"api_key",
    b"api-key",
    b"secret_key",
    b"secretkey",
    b"secret-key",
    b"auth_key",
    b"access_key",
    b"accesskey",
    b"access-key",
    b"authtoken",
    b"accesstoken",
    b"refreshtoken",
    b"private_token",
    b"client_secret",
    b"clientsecret",
    b"signing_key",
    b"encryption_key",
    b"session_id",
    b"sessionid",
];

/// What stands where a value would, in lower case.
const STAND_INS: &[&[u8]] = &[
    b"null",
    b"none",
    b"nil",
    b"undefined",
    b"true",
    b"false",
    b"yes",
    b"no",
    b"required",
    b"optional",
    b"string",
    b"text",
    b"password",
    b"env",
    b"prompt",
    b"redacted",
    b"changed",
    b"unset",
    b"empty",
    b"function",
    b"hidden",
];

/// A `=` or `:` at `place`.
pub(crate) fn candidate(engine: &mut Engine<'_, '_>, place: usize) {
    let Some(key) = Key::before(engine.text(), place) else {
        return;
    };
    if engine.on(key.detector) {
        engine.consider(key.detector, place + 1, |text| verify(text, place, &key));
    }
}

/// The key to the left of an operator.
struct Key {
    detector: Detector,
    quoted: bool,
    /// `PWD` is also the shell's working directory.
    directory: bool,
}

impl Key {
    fn before(text: &Text<'_>, operator: usize) -> Option<Key> {
        let mut end = operator;
        let before_operator = text.before(end, 1);
        if matches!(before_operator, b'=' | b'!' | b'<' | b'>' | b'~') {
            return None;
        }
        // `:=` assigns, `::` does not.
        if before_operator == b':' {
            if text.at(operator) == b':' {
                return None;
            }
            end -= 1;
        }
        let blanks_end = end;
        while blanks_end - end < BLANKS_MAX && text.before(end, 1) == b' ' {
            end -= 1;
        }
        let quoted = matches!(text.before(end, 1), b'"' | b'\'' | b'`' | b']');
        end -= usize::from(quoted);
        // `\"password\":` is JSON inside a JSON string.
        end -= usize::from(quoted && text.before(end, 1) == b'\\');
        if !is(text.before(end, 1), LETTER) {
            return None;
        }
        let mut start = text.run_back(end, WORD, KEY_BYTES_MAX);
        while start > 0 && end - start < KEY_BYTES_MAX && matches!(text.before(start, 1), b'-' | b'.') {
            start = text.run_back(start - 1, WORD, KEY_BYTES_MAX);
        }
        let key = &text.bytes()[start..end];
        let detector = detector_of(key)?;
        Some(Key {
            detector,
            quoted,
            directory: key.eq_ignore_ascii_case(b"pwd") || key.eq_ignore_ascii_case(b"oldpwd"),
        })
    }
}

fn detector_of(key: &[u8]) -> Option<Detector> {
    let mut candidates = BY_LAST_LETTER[usize::from(key.last()? & 31)];
    while candidates != 0 {
        let place = candidates.trailing_zeros() as usize;
        candidates &= candidates - 1;
        match place.checked_sub(PASSWORD_KEYS.len()) {
            None if ends_with(key, PASSWORD_KEYS[place].0, PASSWORD_KEYS[place].1) => return Some(Password),
            Some(place) if ends_with(key, TOKEN_KEYS[place], true) => return Some(AuthToken),
            _ => {}
        }
    }
    None
}

/// By the last letter of a key, in either case, the keys that end with it: first those of passwords, then those of tokens.
static BY_LAST_LETTER: [u64; 32] = {
    let mut table = [0; 32];
    let mut place = 0;
    while place < PASSWORD_KEYS.len() + TOKEN_KEYS.len() {
        let key = if place < PASSWORD_KEYS.len() {
            PASSWORD_KEYS[place].0
        } else {
            TOKEN_KEYS[place - PASSWORD_KEYS.len()]
        };
        table[(key[key.len() - 1] & 31) as usize] |= 1 << place;
        place += 1;
    }
    table
};

/// Whether the key ends with a word; `alone` asks that no letter of the same word stands before it.
fn ends_with(key: &[u8], end: &[u8], alone: bool) -> bool {
    let Some(split) = key.len().checked_sub(end.len()) else {
        return false;
    };
    let (before, word) = key.split_at(split);
    let new_word = match before.last() {
        Some(last) if last.is_ascii_alphabetic() => last.is_ascii_lowercase() && word[0].is_ascii_uppercase(),
        _ => true,
    };
    word.eq_ignore_ascii_case(end) && (new_word || !alone)
}

fn verify(text: &Text<'_>, operator: usize, key: &Key) -> Option<Hit> {
    let colon = text.at(operator) == b':';
    let mut place = operator + 1;
    match text.at(place) {
        // `:=` is judged at its `=`, `==` and `=~` compare, `=>` assigns.
        b'=' | b'~' => return None,
        b':' if colon => return None,
        b'>' if !colon => place += 1,
        _ => {}
    }
    let blanks = place;
    while place - blanks < BLANKS_MAX && matches!(text.at(place), b' ' | b'\t') {
        place += 1;
    }
    let spaced = place > blanks;
    let escaped = text.at(place) == b'\\' && matches!(text.at(place + 1), b'"' | b'\'');
    place += usize::from(escaped);
    let quote = text.at(place);
    if matches!(quote, b'"' | b'\'' | b'`') {
        place += 1;
        if let Some(end) = quoted_end(text, place, quote, escaped) {
            return accepted(text, place, end, key, 1).then(|| Hit::new(place, end, 85));
        }
    }
    let cap = place + LONG_MATCH_BYTES;
    let end = text.run(place, VALUE, LONG_MATCH_BYTES);
    if end == cap {
        return Some(Hit::run(place, end, VALUE, 70));
    }
    let prose = colon && spaced && !key.quoted;
    let bytes_min = if prose { PROSE_VALUE_BYTES_MIN } else { VALUE_BYTES_MIN };
    let end = if prose {
        without_full_stop(text, place, end)
    } else {
        end
    };
    let sound = accepted(text, place, end, key, bytes_min)
        && !(prose && text.bytes()[place..end].iter().all(u8::is_ascii_lowercase));
    sound.then(|| Hit::new(place, end, 70))
}

/// Place of the closing quote; nothing when it is in another line or far away.
fn quoted_end(text: &Text<'_>, from: usize, quote: u8, escaped: bool) -> Option<usize> {
    let mut place = from;
    while place - from <= QUOTED_VALUE_BYTES_MAX {
        match text.at(place) {
            byte if byte == quote => return Some(place),
            b'\\' if escaped && text.at(place + 1) == quote => return Some(place),
            // An escaped NUL is still the end of the cell.
            b'\\' if text.at(place + 1) != 0 => place += 2,
            b'\\' | b'\n' | b'\r' | 0 => return None,
            _ => place += 1,
        }
    }
    None
}

fn without_full_stop(text: &Text<'_>, start: usize, end: usize) -> usize {
    if end > start && text.before(end, 1) == b'.' {
        end - 1
    } else {
        end
    }
}

fn accepted(text: &Text<'_>, start: usize, end: usize, key: &Key, bytes_min: usize) -> bool {
    let Some(value) = text.bytes().get(start..end) else {
        return false;
    };
    let bytes_min = if key.detector == AuthToken {
        TOKEN_BYTES_MIN
    } else {
        bytes_min
    };
    let token = key.detector != AuthToken
        || (value.iter().any(u8::is_ascii_digit) && !value.iter().any(u8::is_ascii_whitespace));
    let path = key.directory && value.first() == Some(&b'/');
    value.len() >= bytes_min && token && !path && !stands_in(value)
}

/// The value is a placeholder, a variable, or the beginning of a nested object.
fn stands_in(value: &[u8]) -> bool {
    let variable = match value {
        [b'$', second, ..] => matches!(second, b'{' | b'(') || second.is_ascii_uppercase(),
        [b'%', second, ..] => matches!(second, b's' | b'(' | b'{'),
        [first, ..] => matches!(first, b'{' | b'[' | b'(' | b'<'),
        [] => true,
    };
    let blank = value
        .iter()
        .all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'?' | b' '));
    variable || blank || STAND_INS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// A single quote at `place`: `PASSWORD '…'` and `IDENTIFIED BY '…'` of SQL.
pub(crate) fn sql_literal(engine: &mut Engine<'_, '_>, place: usize) {
    let text = engine.text();
    if text.before(place, 1) != b' ' || !sql_keyword_before(text, place - 1) {
        return;
    }
    engine.consider(Password, place + 1, |text| {
        let start = place + 1;
        let end = sql_end(text, start)?;
        (end > start).then(|| Hit::new(start, end, 90))
    });
}

fn sql_keyword_before(text: &Text<'_>, end: usize) -> bool {
    let start = text.run_back(end, WORD, KEY_BYTES_MAX);
    let word = &text.bytes()[start..end];
    if word.eq_ignore_ascii_case(b"by") && text.before(start, 1) == b' ' {
        let first = text.run_back(start - 1, WORD, KEY_BYTES_MAX);
        return text.bytes()[first..start - 1].eq_ignore_ascii_case(b"identified");
    }
    word.eq_ignore_ascii_case(b"password")
}

/// Place of the quote that closes an SQL literal, in which `''` stands for a quote.
fn sql_end(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut place = from;
    while place - from <= QUOTED_VALUE_BYTES_MAX {
        match text.at(place) {
            b'\'' if text.at(place + 1) == b'\'' => place += 2,
            b'\'' => return Some(place),
            0 => return None,
            _ => place += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn passwords_are_found_where_they_are_assigned() {
        assert_spans(
            Password,
            &[
                "password=«hunter2»",
                "DB_PASSWORD = «s3cr3t!» # x",
                "{\"password\": \"«my secret pass»\", \"a\": 1}",
                "?user=bob&password=«abc»&x=1",
                "password: «hunter2».",
                "userPassword='«x1»'",
                "pwd:=«abcdef»",
                "passwd => «abcdef»",
                "host=x password=«s3cret» dbname=y",
                "{\\\"password\\\":\\\"«abc»\\\"}",
                "redis.pass=«abcdef»",
                "Password: «Tr0ub4dor&3»"
                    .split("&3")
                    .next()
                    .unwrap()
                    .replace("Tr0ub4dor", "Tr0ub4dor»")
                    .as_str(),
                "ALTER ROLE a PASSWORD '«it''s»'",
                "CREATE USER a IDENTIFIED BY '«b c»';",
                "PASSWORD=«号码»",
            ],
        );
    }

    #[test]
    fn what_is_no_value_is_left() {
        assert_misses(
            Password,
            &[
                "password=",
                "password==x12345",
                "password != x12345",
                "password=null",
                "password=${DB_PASSWORD}",
                "password=$PASSWORD",
                "password=****",
                "password: it was",
                "password: required",
                "\"password\": {\"a\": 1}",
                "compass=12345",
                "PWD=/root",
                "passwords are stored",
                "password : ",
                "password::abc",
                "IDENTIFIED BY PASSWORD",
            ],
        );
    }

    #[test]
    fn tokens_are_found_where_they_are_assigned() {
        assert_spans(
            AuthToken,
            &[
                "api_key=«abcdef0123456789»",
                "\"accessToken\": \"«abc.def.0123456789»\"",
                "X-Api-Key: «0123456789abcdef»",
                "?access_token=«abcdef0123456789»&x",
                "client_secret = '«abcdef0123456789»'",
            ],
        );
        assert_misses(
            AuthToken,
            &[
                "token=abc123",
                "secret: something else",
                "tokens=abcdef0123456789",
                "token: abcdefghijklmnop",
            ],
        );
    }
}
