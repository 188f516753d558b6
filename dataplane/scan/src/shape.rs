//! What the candidates of a detector look like from afar: necessary conditions that vector back ends check in bulk.
//!
//! The reference looks at every trigger byte. A back end may leave out a place only where no shape of any enabled detector can
//! begin, so a shape must never say more than the detector's verifier demands. A detector without an entry is
//! [`Shape::Any`]: all its trigger places are looked at, which is always right and slow.

use crate::Detector::{self, *};
use crate::detect::national;

/// One form of a candidate. Any one of a detector's shapes suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing is known: every place that triggers is looked at.
    Any,
    /// A number of at least seven digits, separators not counted, that counts only with a hot word (or with the field's name).
    WeakNumber,
    /// An opening parenthesis before a digit that counts only with a hot word.
    WeakParenthesis,
    /// Digit groups of exactly these lengths (the last one: at least) with one of ` -./` between.
    Groups(&'static [u8]),
    /// Words whose forms `detect::national` or [`crate::plan::Words`] knows.
    Forms,
    /// A word that begins with this literal.
    Literal(&'static [u8]),
    /// A word that begins with this literal, given in lower case, in any case.
    LiteralAnyCase(&'static [u8]),
    /// `@` before a letter or digit.
    At,
    /// National phone layouts, with digits or a parenthesis first, and international ones behind `+`.
    Phone,
    /// Card numbers in their printed groups.
    Card,
    /// Two letters, two digits, and more of them or a separator.
    Iban,
    /// `://` before what may be user information.
    Url,
    /// `://`.
    Scheme,
    /// A dot before a letter or digit.
    Dot,
    /// A key with one of these ends (in lower case) before `=` or `:`, or before a quoted SQL literal.
    KeyEnds(&'static [&'static [u8]]),
    /// A run of forty base64 characters that counts only with a hot word.
    Secret,
    /// `-----BEGIN`.
    Armour,
    /// Three dotted numbers.
    Dotted,
    /// Colons as in an IPv6 address.
    Colons,
    /// Three pairs of hexadecimal digits joined by colons or dashes.
    Pairs,
}

/// Shapes of a detector.
pub(crate) fn of(detector: Detector) -> &'static [Shape] {
    match detector {
        EmailAddress => &[Shape::At],
        CreditCardNumber => &[Shape::Card],
        IbanCode => &[Shape::Iban],
        UsSocialSecurityNumber => &[Shape::Groups(&[3, 2, 4]), Shape::WeakNumber],
        PhoneNumber => &[Shape::Phone, Shape::WeakNumber, Shape::WeakParenthesis],
        AwsCredentials => &[
            Shape::Literal(b"AKIA"),
            Shape::Literal(b"ASIA"),
            Shape::Literal(b"ABIA"),
            Shape::Literal(b"ACCA"),
            Shape::Secret,
        ],
        JsonWebToken => &[Shape::Literal(b"eyJ")],
        EncryptionKey => &[Shape::Armour],
        GithubToken => &[
            Shape::Literal(b"ghp_"),
            Shape::Literal(b"gho_"),
            Shape::Literal(b"ghu_"),
            Shape::Literal(b"ghs_"),
            Shape::Literal(b"ghr_"),
            Shape::Literal(b"gith"),
        ],
        GitlabToken => &[
            Shape::Literal(b"glpa"),
            Shape::Literal(b"glpt"),
            Shape::Literal(b"gldt"),
            Shape::Literal(b"glrt"),
            Shape::Literal(b"glcb"),
            Shape::Literal(b"glft"),
            Shape::Literal(b"glim"),
            Shape::Literal(b"glag"),
            Shape::Literal(b"gloa"),
            Shape::Literal(b"glso"),
            Shape::Literal(b"GR13"),
        ],
        SlackToken => &[Shape::Literal(b"xox"), Shape::Literal(b"xapp"), Shape::Literal(b"xwfp")],
        StripeToken => &[
            Shape::Literal(b"sk_l"),
            Shape::Literal(b"sk_t"),
            Shape::Literal(b"sk_p"),
            Shape::Literal(b"rk_l"),
            Shape::Literal(b"rk_t"),
            Shape::Literal(b"rk_p"),
            Shape::Literal(b"whse"),
        ],
        GoogleToken => &[
            Shape::Literal(b"AIza"),
            Shape::Literal(b"GOCS"),
            Shape::Literal(b"ya29"),
        ],
        NpmToken => &[Shape::Literal(b"npm_")],
        BasicAuthHeader => &[Shape::LiteralAnyCase(b"basic")],
        AuthToken => &[Shape::LiteralAnyCase(b"bearer"), Shape::KeyEnds(TOKEN_KEY_ENDS)],
        Password => &[Shape::KeyEnds(PASSWORD_KEY_ENDS)],
        UrlWithCredentials => &[Shape::Url],
        IpAddress => &[Shape::Dotted, Shape::Colons],
        MacAddress => &[Shape::Pairs],
        Url => &[Shape::Scheme, Shape::Dot],
        DomainName => &[Shape::Dot],
        UkNationalInsuranceNumber | CryptoAddress | Date => &[Shape::Forms],
        other if national::rows().any(|row| row.detector == other) => &[Shape::Forms],
        _ => &[Shape::Any],
    }
}

/// Last three or four characters of the keys in `detect::assignment` that name a token; of SQL's keywords too.
const TOKEN_KEY_ENDS: &[&[u8]] = &[
    b"oken", b"cret", b"ikey", b"_key", b"-key", b"tkey", b"skey", b"n_id", b"onid",
];
const PASSWORD_KEY_ENDS: &[&[u8]] = &[
    b"word", b"sswd", b"rase", b"code", b"pwd", b"pass", b"wort", b"sena", b"asse", b"enha", b"d by",
];
