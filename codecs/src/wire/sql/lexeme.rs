//! Canonical tokens, read back from a fingerprint.

/// Tags of the tokens in a fingerprint.
pub(super) mod tag {
    use super::super::lexer::Kind;

    pub(in super::super) const WORD: u8 = 0x01;
    pub(in super::super) const NAME: u8 = 0x02;
    pub(in super::super) const CODE: u8 = 0x03;
    pub(in super::super) const STRING: u8 = 0x04;
    pub(in super::super) const NUMBER: u8 = 0x05;
    pub(in super::super) const PARAMETER: u8 = 0x06;
    pub(in super::super) const OPERATOR: u8 = 0x07;
    pub(in super::super) const OTHER: u8 = 0x08;
    pub(in super::super) const COMMA: u8 = 0x09;
    pub(in super::super) const LEFT_PAREN: u8 = 0x0a;
    pub(in super::super) const RIGHT_PAREN: u8 = 0x0b;
    pub(in super::super) const LEFT_BRACKET: u8 = 0x0c;
    pub(in super::super) const RIGHT_BRACKET: u8 = 0x0d;
    pub(in super::super) const SEMICOLON: u8 = 0x0e;
    pub(in super::super) const DOT: u8 = 0x0f;
    pub(in super::super) const DOUBLE_DOT: u8 = 0x10;
    pub(in super::super) const COLON: u8 = 0x11;
    pub(in super::super) const DOUBLE_COLON: u8 = 0x12;
    pub(in super::super) const ASSIGN: u8 = 0x13;
    pub(in super::super) const UNTERMINATED: u8 = 0x14;

    /// Whether the tag is that of a literal without its value.
    pub(in super::super) fn is_literal(tag: u8) -> bool {
        matches!(tag, STRING | NUMBER | PARAMETER)
    }

    /// Tag of a token that has no payload.
    pub(in super::super) fn of_punctuation(kind: Kind) -> u8 {
        match kind {
            Kind::Comma => COMMA,
            Kind::LeftParen => LEFT_PAREN,
            Kind::RightParen => RIGHT_PAREN,
            Kind::LeftBracket => LEFT_BRACKET,
            Kind::RightBracket => RIGHT_BRACKET,
            Kind::Semicolon => SEMICOLON,
            Kind::Dot => DOT,
            Kind::DoubleDot => DOUBLE_DOT,
            Kind::Colon => COLON,
            Kind::DoubleColon => DOUBLE_COLON,
            Kind::Assign => ASSIGN,
            _ => UNTERMINATED,
        }
    }
}

/// A canonical token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lexeme<'f> {
    /// Name or keyword without quotes, in lower case.
    Word(&'f str),
    /// Quoted name, with quotes and escapes taken out.
    Name(&'f str),
    /// String whose value matters.
    Code(&'f str),
    /// String, number, parameter: values dropped.
    String,
    Number,
    Parameter,
    Operator(&'f str),
    Comma,
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    Semicolon,
    Dot,
    DoubleDot,
    Colon,
    DoubleColon,
    Assign,
    /// A byte that starts no token.
    Other,
    /// Quoting or a comment without its end.
    Unterminated,
}

impl<'f> Lexeme<'f> {
    /// The keyword or unquoted name, empty for everything else.
    pub(super) fn word(self) -> &'f str {
        match self {
            Lexeme::Word(word) => word,
            _ => "",
        }
    }

    /// The name, quoted or not.
    pub(super) fn name(self) -> Option<&'f str> {
        match self {
            Lexeme::Word(name) | Lexeme::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// Reads a fingerprint back.
pub(super) fn lexemes(fingerprint: &[u8]) -> Vec<Lexeme<'_>> {
    let mut out = Vec::with_capacity(fingerprint.len() / 6 + 1);
    let mut rest = fingerprint.get(1..).unwrap_or_default();
    while let Some((tag, after)) = rest.split_first() {
        let (lexeme, used) = lexeme(*tag, after);
        out.push(lexeme);
        rest = after.get(used..).unwrap_or_default();
    }
    out
}

fn lexeme(tag: u8, payload: &[u8]) -> (Lexeme<'_>, usize) {
    match tag {
        tag::WORD => open_ended(payload, Lexeme::Word),
        tag::OPERATOR => open_ended(payload, Lexeme::Operator),
        tag::NAME => sized(payload, Lexeme::Name),
        tag::CODE => sized(payload, Lexeme::Code),
        tag::OTHER => (Lexeme::Other, 1),
        tag::STRING => (Lexeme::String, 0),
        tag::NUMBER => (Lexeme::Number, 0),
        tag::PARAMETER => (Lexeme::Parameter, 0),
        tag::COMMA => (Lexeme::Comma, 0),
        tag::LEFT_PAREN => (Lexeme::LeftParen, 0),
        tag::RIGHT_PAREN => (Lexeme::RightParen, 0),
        tag::LEFT_BRACKET => (Lexeme::LeftBracket, 0),
        tag::RIGHT_BRACKET => (Lexeme::RightBracket, 0),
        tag::SEMICOLON => (Lexeme::Semicolon, 0),
        tag::DOT => (Lexeme::Dot, 0),
        tag::DOUBLE_DOT => (Lexeme::DoubleDot, 0),
        tag::COLON => (Lexeme::Colon, 0),
        tag::DOUBLE_COLON => (Lexeme::DoubleColon, 0),
        tag::ASSIGN => (Lexeme::Assign, 0),
        _ => (Lexeme::Unterminated, 0),
    }
}

fn open_ended<'f>(payload: &'f [u8], make: fn(&'f str) -> Lexeme<'f>) -> (Lexeme<'f>, usize) {
    let length = payload.iter().position(|byte| *byte < 0x20);
    let length = length.unwrap_or(payload.len());
    (make(text(payload.get(..length).unwrap_or_default())), length)
}

fn sized<'f>(payload: &'f [u8], make: fn(&'f str) -> Lexeme<'f>) -> (Lexeme<'f>, usize) {
    let Some((length, after)) = payload.split_first_chunk::<4>() else {
        return (Lexeme::Unterminated, payload.len());
    };
    let length = (u32::from_le_bytes(*length) as usize).min(after.len());
    (make(text(after.get(..length).unwrap_or_default())), 4 + length)
}

/// Fingerprints are made from UTF-8 text that was cut at ASCII characters only.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
