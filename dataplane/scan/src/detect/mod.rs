//! The detectors, one file per family, and the channels that lead from a trigger byte to them.

use crate::class::{DIGIT, LETTER, WORD, is};
use crate::context::Context;
use crate::engine::Engine;
use crate::{Detector, Detector::*, Standing};

pub(crate) mod assignment;
pub(crate) mod auth;
pub(crate) mod aws;
pub(crate) mod card;
pub(crate) mod checksums;
pub(crate) mod crypto;
pub(crate) mod date;
pub(crate) mod domain;
pub(crate) mod email;
pub(crate) mod iban;
pub(crate) mod jwt;
pub(crate) mod national;
pub(crate) mod network;
pub(crate) mod pattern;
pub(crate) mod pem;
pub(crate) mod phone;
pub(crate) mod ssn;
pub(crate) mod sums;
pub(crate) mod token;
pub(crate) mod tokens;
pub(crate) mod uk;
pub(crate) mod url;

/// What kind of candidate a byte gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Digits,
    Word,
    At,
    Plus,
    Parenthesis,
    Colon,
    Equals,
    Dash,
    Quote,
    Dot,
}

/// Shortest match of any built-in detector, in bytes; shorter cells are not looked at.
pub(crate) const MATCH_BYTES_MIN: usize = 2;

/// Longest match, plus look-around, of the detectors that are not in [`LONG`].
pub(crate) const BOUNDED_MATCH_BYTES_MAX: usize = 640;

/// Detectors whose matches have no longest length.
pub(crate) const LONG: &[Detector] = &[
    JsonWebToken,
    EncryptionKey,
    GithubToken,
    GitlabToken,
    SlackToken,
    StripeToken,
    GoogleToken,
    BasicAuthHeader,
    AuthToken,
    Password,
    Url,
];

/// Detectors whose candidates begin with a digit (or, for the IBAN, with two letters before a digit).
pub(crate) const DIGIT_BORNE: &[Detector] = &[
    CreditCardNumber,
    IbanCode,
    UsSocialSecurityNumber,
    PhoneNumber,
    IpAddress,
    MacAddress,
];

/// Detectors whose candidates are given away by a colon.
pub(crate) const COLON_BORNE: &[Detector] = &[UrlWithCredentials, Url, Password, AuthToken, IpAddress, MacAddress];

/// Detectors whose candidates begin with a literal, and the first bytes of those.
pub(crate) const WORD_FIRST_BYTES: &[(Detector, &[u8])] = &[
    (AwsCredentials, b"A"),
    (JsonWebToken, b"e"),
    (GithubToken, b"g"),
    (GitlabToken, b"gG"),
    (SlackToken, b"x"),
    (StripeToken, b"srw"),
    (GoogleToken, b"AGy"),
    (NpmToken, b"n"),
    (BasicAuthHeader, b"bB"),
    (AuthToken, b"bB"),
];

/// Whether content can be searched for the detector.
pub(crate) fn built(detector: Detector) -> bool {
    detector.standing() != Standing::ColumnOnly
}

/// Hot words of the detector's weak shapes.
pub(crate) fn hot_words(detector: Detector) -> &'static [&'static str] {
    match detector {
        UsSocialSecurityNumber => ssn::HOT_WORDS,
        PhoneNumber => phone::HOT_WORDS,
        AwsCredentials => aws::HOT_WORDS,
        UkNationalInsuranceNumber => uk::HOT_WORDS,
        CryptoAddress => crypto::HOT_WORDS,
        DomainName => domain::DOMAIN_HOT_WORDS,
        Url => domain::URL_HOT_WORDS,
        other => national::hot_words(other),
    }
}

/// A digit at `place`: judges the number that begins here, if one does. All channels return where to go on.
pub(crate) fn digits(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    let text = engine.text();
    let bits = text.digit_bits(place);
    let end = match bits {
        Some(bits) if bits != u64::MAX => place + bits.trailing_ones() as usize,
        _ => text.short_run(place, DIGIT, usize::MAX - place),
    };
    let next = text.bytes().get(end).copied().unwrap_or(0);
    if !text.boundary_before(place) {
        letters_before_digits(engine, place, end);
        return end;
    }
    if engine.scanner().forms.digits_first && !engine.words_apart {
        tokens::at(engine, place);
    }
    if is(next, WORD) {
        return end;
    }
    let len = end - place;
    if (len == 4 && date_at(engine, place)) || (len == 2 && in_date(engine, place)) {
        return end;
    }
    let behind = engine.text().bytes().get(end + 1).copied().unwrap_or(b'0');
    let grouped = matches!(next, b' ' | b'-' | b'.' | b'/' | b'(' | b')')
        && (behind.is_ascii_digit() || matches!(behind, b' ' | b'-' | b'.' | b'/' | b'('));
    let spaced = next == b' ' || next == b')' && behind == b' ';
    let head = [
        engine.text().bytes()[place],
        engine.text().bytes().get(place + 1).copied().unwrap_or(0),
    ];
    let layout = Layout::of(bits, head, spaced);
    if engine.on(CreditCardNumber) && layout.card && card::possible(engine.text(), place, len, grouped) {
        engine.consider(CreditCardNumber, place, |text| card::verify(text, place));
    }
    if engine.on(UsSocialSecurityNumber) {
        match len {
            3 if grouped && layout.social => {
                engine.consider(UsSocialSecurityNumber, place, |text| ssn::grouped(text, place))
            }
            9 if engine.maybe_hot() => {
                engine.consider_weak(UsSocialSecurityNumber, place, |text| ssn::compact(text, place))
            }
            _ => {}
        }
    }
    let phone = grouped && len <= 11 || (7..=15).contains(&len);
    // What only a hot word makes a number is asked for that first.
    let laid_out = layout.phone || engine.scanner().phone_plans.name_regions();
    if phone && engine.on(PhoneNumber) && (laid_out || engine.hot(Context::of(PhoneNumber), place)) {
        phone::national(engine, place);
    }
    if engine.on(IpAddress) && next == b'.' && len <= 3 {
        engine.consider(IpAddress, place, |text| network::ipv4(text, place));
    }
    end
}

/// What the lengths of digit groups leave possible, where vectors tell them at once. Elsewhere all is possible.
struct Layout {
    card: bool,
    social: bool,
    phone: bool,
}

impl Layout {
    #[inline(always)]
    fn of(bits: Option<u64>, head: [u8; 2], spaced: bool) -> Layout {
        let Some(digits) = bits else {
            return Layout {
                card: true,
                social: true,
                phone: true,
            };
        };
        Layout {
            card: card::layout_possible(digits),
            social: digits & 0xfff == ssn::GROUPED,
            phone: phone::layout_possible(digits, head, spaced),
        }
    }
}

const DATE_BYTES: usize = 10;

/// `2024-01-31`: the commonest number with separators in rows, and nothing that any detector looks for.
fn date_at(engine: &Engine<'_, '_>, place: usize) -> bool {
    let Some(shape) = engine.text().bytes().get(place..place + DATE_BYTES) else {
        return false;
    };
    let digit = |at: usize| shape[at].is_ascii_digit();
    let month = shape[5] <= b'1' && digit(5) && digit(6);
    let day = shape[8] <= b'3' && digit(8) && digit(9);
    let century = (shape[0] == b'1' && shape[1] == b'9') || (shape[0] == b'2' && shape[1] == b'0');
    let closed = engine
        .text()
        .bytes()
        .get(place + DATE_BYTES)
        .is_some_and(|next| !next.is_ascii_digit() && *next != b'-');
    century && shape[4] == b'-' && month && shape[7] == b'-' && day && closed
}

/// The two digits at `place` are the month or the day of a date.
fn in_date(engine: &Engine<'_, '_>, place: usize) -> bool {
    let begins = |year: usize| engine.text().boundary_before(year) && date_at(engine, year);
    engine.text().before(place, 1) == b'-'
        && (place.checked_sub(5).is_some_and(begins) || place.checked_sub(8).is_some_and(begins))
}

/// Two letters and then digits: IBAN and its like.
fn letters_before_digits(engine: &mut Engine<'_, '_>, place: usize, end: usize) {
    let text = engine.text();
    let Some(start) = place.checked_sub(2).filter(|start| text.boundary_before(*start)) else {
        return;
    };
    if !is(text.before(place, 1), LETTER) || !is(text.before(place, 2), LETTER) {
        return;
    }
    if engine.on(IbanCode) && end - place >= 2 && iban::country_known(engine.text(), start) {
        engine.consider(IbanCode, start, |text| iban::verify(text, start));
    }
}

/// A letter at the start of a word, with which a known literal may begin. The second letter rules most words out.
pub(crate) fn word(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    if engine.scanner().forms.letters_first && !engine.words_apart {
        tokens::at(engine, place);
    }
    let bytes = engine.text().bytes();
    let Some(second) = bytes.get(place + 1) else {
        return place + 1;
    };
    match (bytes[place], second) {
        (b'A', b'K' | b'S' | b'B' | b'C') => aws::key_id(engine, place),
        (b'e', b'y') => jwt::candidate(engine, place),
        (b'b' | b'B', b'a' | b'A' | b'e' | b'E') => auth::candidate(engine, place),
        (b'A', b'I')
        | (b'g', b'h' | b'i' | b'l')
        | (b'G', b'R' | b'O')
        | (b'n', b'p')
        | (b'r' | b's', b'k')
        | (b'w', b'h')
        | (b'x', b'o' | b'a' | b'w')
        | (b'y', b'a') => token::candidates(engine, place),
        _ => {}
    }
    place + 1
}

pub(crate) fn at_sign(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    match email::look(engine.text(), place) {
        email::Look::Nothing => return place + 1,
        email::Look::Found(hit) => {
            engine.consider(EmailAddress, hit.start, |_| Some(hit));
            return place + 1;
        }
        email::Look::Unsure => {}
    }
    if email::possible(engine.text(), place)
        && let Some(start) = email::local_start(engine.text(), place)
    {
        engine.consider(EmailAddress, start, |text| email::verify(text, start, place));
    }
    place + 1
}

pub(crate) fn plus(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    engine.consider(PhoneNumber, place, |text| phone::international(text, place));
    place + 1
}

pub(crate) fn parenthesis(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    phone::national(engine, place);
    place + 1
}

pub(crate) fn colon(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    let text = engine.text();
    let next = text.bytes().get(place + 1).copied().unwrap_or(0);
    let after = text.bytes().get(place + 2).copied().unwrap_or(0);
    if engine.on(UrlWithCredentials) && (next == b'/' || next == 0) && url::scheme_ends(text, place) {
        engine.consider(UrlWithCredentials, place + 1, |text| url::verify(text, place));
    }
    if engine.on(Url)
        && (next == b'/' || next == 0)
        && let Some(start) = domain::scheme_start(engine.text(), place)
    {
        engine.consider(Url, start, |text| domain::url(text, start, place));
    }
    if next == b'/' && after == b'/' {
        return place + 3;
    }
    network::colon(engine, place);
    assignment::candidate(engine, place);
    place + 1
}

pub(crate) fn equals(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    assignment::candidate(engine, place);
    place + 1
}

pub(crate) fn dash(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    if engine.on(EncryptionKey) && engine.text().before(place, 1) != b'-' && pem::possible(engine.text(), place) {
        engine.consider(EncryptionKey, place, |text| pem::verify(text, place));
    }
    network::dash(engine, place);
    place + 1
}

pub(crate) fn dot(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    domain::dot(engine, place);
    place + 1
}

pub(crate) fn quote(engine: &mut Engine<'_, '_>, place: usize) -> usize {
    assignment::sql_literal(engine, place);
    place + 1
}

/// Candidates that are runs of a fixed length, found by probing instead of by a trigger byte.
pub(crate) fn runs(engine: &mut Engine<'_, '_>, from: usize) {
    if engine.on(AwsCredentials) {
        aws::secret_runs(engine, from);
    }
}
