//! PostgreSQL's lexical rules: text to tokens, in one pass without recursion.
//!
//! Follows `scan.l` of the server (PostgreSQL documentation 4.1, Lexical Structure): nested block comments,
//! string continuation over newlines, dollar quoting, the rules that end an operator. Numbers follow version
//! 16 and later (`0x1F`, `1_000`); older servers refuse these or read them as a number and a name.

use memchr::{memchr, memchr2, memmem};

/// Settings of the session that change how text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexOptions {
    /// The server's `standard_conforming_strings`: when off, a backslash in `'…'` is an escape.
    pub standard_conforming_strings: bool,
}

impl Default for LexOptions {
    fn default() -> Self {
        LexOptions {
            standard_conforming_strings: true,
        }
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Name or keyword without quotes.
    Word,
    /// `"name"`.
    QuotedIdentifier,
    /// `U&"name"`; a following `UESCAPE` is a token of its own.
    UnicodeIdentifier,
    /// `'text'` or `N'text'` without escapes.
    String,
    /// `E'text'`, and `'text'` with `standard_conforming_strings` off.
    EscapeString,
    /// `U&'text'`.
    UnicodeString,
    /// `B'0101'` or `X'1F'`.
    BitString,
    /// `$tag$text$tag$`.
    DollarString,
    /// `1`, `1.5e3`, `0x1F`.
    Number,
    /// `$1`.
    Parameter,
    /// Operator, including `=>` and the single characters `+ - * / % ^ < > =`.
    Operator,
    /// `,`
    Comma,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `;`
    Semicolon,
    /// `.`
    Dot,
    /// `..`
    DoubleDot,
    /// `:`
    Colon,
    /// `::`
    DoubleColon,
    /// `:=`
    Assign,
    /// A byte that starts no token.
    Other,
    /// A comment or quoted thing whose end is missing; runs to the end of the text.
    Unterminated,
}

/// A token and its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Reads tokens off a text; comments and white space are skipped. Linear in the length of the text.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    options: LexOptions,
    run: OperatorRun,
}

/// A run of operator characters that was looked at already, so that `+++++…`, which is read as one operator
/// per character, is not looked at again for each of them.
#[derive(Clone, Copy, Debug, Default)]
struct OperatorRun {
    end: usize,
    /// Place after the last character that lets an operator end in `+` or `-`.
    special_end: usize,
    /// Place after the last character that is neither `+` nor `-`.
    unsigned_end: usize,
}

const START: u8 = 1; // may start a name
const PART: u8 = 2; // may go on in a name
const SPACE: u8 = 4;
const OPERATOR: u8 = 8;
const DIGIT: u8 = 16;
const HEX: u8 = 32;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'a'..=b'f' | b'A'..=b'F' => START | PART | HEX,
            b'g'..=b'z' | b'G'..=b'Z' | b'_' | 0x80..=0xff => START | PART,
            b'0'..=b'9' => PART | DIGIT | HEX,
            b'$' => PART,
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<'
            | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        byte += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

impl<'t> Lexer<'t> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'t str, options: LexOptions) -> Self {
        Lexer {
            text: text.as_bytes(),
            at: 0,
            options,
            run: OperatorRun::default(),
        }
    }

    /// The bytes of a token that this lexer gave.
    pub fn bytes(&self, token: Token) -> &'t [u8] {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// The next token, `None` at the end of the text.
    #[inline]
    pub fn next_token(&mut self) -> Option<Token> {
        let start = match self.skip_blank() {
            Blank::Next(start) => start,
            Blank::End => return None,
            Blank::OpenComment(start) => return Some(self.unterminated(start)),
        };
        let byte = self.peek(start)?;
        let (kind, end) = if is(byte, START) {
            self.word_or_prefixed(start, byte)
        } else if is(byte, DIGIT) {
            (Kind::Number, self.number_end(start))
        } else if is(byte, OPERATOR) {
            (Kind::Operator, self.operator_end(start))
        } else {
            self.punctuation(start, byte)
        };
        self.at = end;
        Some(Token { kind, start, end })
    }

    fn peek(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn span_end(&self, from: usize, class: u8) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is(*byte, class));
        length.map_or(self.text.len(), |length| from + length)
    }

    fn unterminated(&mut self, start: usize) -> Token {
        self.at = self.text.len();
        Token {
            kind: Kind::Unterminated,
            start,
            end: self.at,
        }
    }

    /// Skips white space and comments.
    #[inline]
    fn skip_blank(&mut self) -> Blank {
        loop {
            let Some(byte) = self.peek(self.at) else {
                return Blank::End;
            };
            if is(byte, SPACE) {
                self.at += 1;
            } else if byte == b'-' && self.peek(self.at + 1) == Some(b'-') {
                self.at = self.line_end(self.at + 2);
            } else if byte == b'/' && self.peek(self.at + 1) == Some(b'*') {
                let start = self.at;
                match self.comment_end(start + 2) {
                    Some(end) => self.at = end,
                    None => return Blank::OpenComment(start),
                }
            } else {
                return Blank::Next(self.at);
            }
        }
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        memchr2(b'\n', b'\r', rest).map_or(self.text.len(), |at| from + at)
    }

    /// End of a block comment whose `/*` ends at `at`; comments nest.
    fn comment_end(&self, mut at: usize) -> Option<usize> {
        let mut depth = 1usize;
        loop {
            at += memchr2(b'*', b'/', self.text.get(at..)?)?;
            match (self.peek(at)?, self.peek(at + 1)?) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', b'*') => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
    }

    /// A word, or a string that has a letter in front of its quote.
    #[inline]
    fn word_or_prefixed(&self, start: usize, byte: u8) -> (Kind, usize) {
        match (byte | 0x20, self.peek(start + 1)) {
            (b'e', Some(b'\'')) => self.string(Kind::EscapeString, start + 2, true),
            (b'b' | b'x', Some(b'\'')) => self.string(Kind::BitString, start + 2, false),
            (b'n', Some(b'\'')) => self.plain_string(start + 2),
            (b'u', Some(b'&')) => match self.peek(start + 2) {
                Some(b'\'') => self.string(Kind::UnicodeString, start + 3, false),
                Some(b'"') => self.quoted(Kind::UnicodeIdentifier, start + 3),
                _ => (Kind::Word, start + 1),
            },
            _ => (Kind::Word, self.span_end(start + 1, PART)),
        }
    }

    fn plain_string(&self, inside: usize) -> (Kind, usize) {
        if self.options.standard_conforming_strings {
            self.string(Kind::String, inside, false)
        } else {
            self.string(Kind::EscapeString, inside, true)
        }
    }

    /// A string whose opening quote ends at `at`, with everything that continues it.
    fn string(&self, kind: Kind, mut at: usize, backslash: bool) -> (Kind, usize) {
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let found = if backslash {
                memchr2(b'\'', b'\\', rest)
            } else {
                memchr(b'\'', rest)
            };
            let Some(offset) = found else {
                return (Kind::Unterminated, self.text.len());
            };
            at += offset;
            let doubled = kind != Kind::BitString && self.peek(at + 1) == Some(b'\'');
            if doubled || self.peek(at) == Some(b'\\') {
                at = (at + 2).min(self.text.len());
                continue;
            }
            match self.continuation(at + 1) {
                Some(inside) => at = inside,
                None => return (kind, at + 1),
            }
        }
    }

    /// Where a string goes on after its closing quote: white space with a newline in it, then a quote. Line
    /// comments count as white space here, block comments do not.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.peek(at)? {
                b'\n' | b'\r' => {
                    newline = true;
                    at += 1;
                }
                byte if is(byte, SPACE) => at += 1,
                b'-' if self.peek(at + 1) == Some(b'-') => at = self.line_end(at + 2),
                b'\'' if newline => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// A quoted name whose opening quote ends at `at`.
    fn quoted(&self, kind: Kind, mut at: usize) -> (Kind, usize) {
        loop {
            let Some(offset) = memchr(b'"', self.text.get(at..).unwrap_or_default()) else {
                return (Kind::Unterminated, self.text.len());
            };
            at += offset + 1;
            if self.peek(at) != Some(b'"') {
                return (kind, at);
            }
            at += 1;
        }
    }

    fn punctuation(&self, start: usize, byte: u8) -> (Kind, usize) {
        let next = self.peek(start + 1);
        match (byte, next) {
            (b'\'', _) => self.plain_string(start + 1),
            (b'"', _) => self.quoted(Kind::QuotedIdentifier, start + 1),
            (b'$', _) => self.dollar(start),
            (b'.', Some(b'.')) => (Kind::DoubleDot, start + 2),
            (b'.', Some(b'0'..=b'9')) => (Kind::Number, self.number_end(start)),
            (b':', Some(b':')) => (Kind::DoubleColon, start + 2),
            (b':', Some(b'=')) => (Kind::Assign, start + 2),
            (b',', _) => (Kind::Comma, start + 1),
            (b'(', _) => (Kind::LeftParen, start + 1),
            (b')', _) => (Kind::RightParen, start + 1),
            (b'[', _) => (Kind::LeftBracket, start + 1),
            (b']', _) => (Kind::RightBracket, start + 1),
            (b';', _) => (Kind::Semicolon, start + 1),
            (b'.', _) => (Kind::Dot, start + 1),
            (b':', _) => (Kind::Colon, start + 1),
            _ => (Kind::Other, start + 1),
        }
    }

    /// `$1` or `$tag$…$tag$`; a `$` that starts neither stands alone.
    fn dollar(&self, start: usize) -> (Kind, usize) {
        let tag_end = match self.peek(start + 1) {
            Some(b'0'..=b'9') => return (Kind::Parameter, self.span_end(start + 1, DIGIT)),
            Some(b'$') => start + 1,
            Some(byte) if is(byte, START) => self.tag_end(start + 1),
            _ => return (Kind::Other, start + 1),
        };
        if self.peek(tag_end) != Some(b'$') {
            return (Kind::Other, start + 1);
        }
        let delimiter = self.text.get(start..=tag_end).unwrap_or_default();
        let inside = self.text.get(tag_end + 1..).unwrap_or_default();
        match memmem::find(inside, delimiter) {
            Some(at) => (Kind::DollarString, tag_end + 1 + at + delimiter.len()),
            None => (Kind::Unterminated, self.text.len()),
        }
    }

    /// A tag is a name without `$`.
    fn tag_end(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'$' || !is(*b, PART));
        length.map_or(self.text.len(), |length| from + length)
    }

    fn number_end(&self, start: usize) -> usize {
        if self.peek(start) == Some(b'0') {
            let class = match self.peek(start + 1).map(|b| b | 0x20) {
                Some(b'x') => HEX,
                Some(b'o' | b'b') => DIGIT,
                _ => 0,
            };
            if class != 0 {
                let end = self.digits_end(start + 2, class);
                if end > start + 2 {
                    return end;
                }
            }
        }
        let mut end = self.digits_end(start, DIGIT);
        if self.peek(end) == Some(b'.') && self.peek(end + 1) != Some(b'.') {
            end = self.digits_end(end + 1, DIGIT);
        }
        if matches!(self.peek(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(end + 1), Some(b'+' | b'-')));
            let exponent_end = self.digits_end(end + 1 + sign, DIGIT);
            if exponent_end > end + 1 + sign {
                end = exponent_end;
            }
        }
        end
    }

    /// Digits with single underscores between them.
    fn digits_end(&self, mut at: usize, class: u8) -> usize {
        loop {
            match (self.peek(at), self.peek(at + 1)) {
                (Some(byte), _) if is(byte, class) => at += 1,
                (Some(b'_'), Some(next)) if is(next, class) => at += 2,
                _ => return at,
            }
        }
    }

    /// The longest run of operator characters, cut where a comment starts, without trailing `+` and `-`
    /// unless the operator has one of `~!@#%^&|`?` (PostgreSQL documentation 4.1.3).
    fn operator_end(&mut self, start: usize) -> usize {
        if start >= self.run.end {
            self.run = self.operator_run(start);
        }
        let run = self.run;
        if run.special_end > start {
            return run.end;
        }
        run.unsigned_end.max(start + 1).min(run.end)
    }

    fn operator_run(&self, start: usize) -> OperatorRun {
        let mut run = OperatorRun {
            end: start,
            special_end: start,
            unsigned_end: start,
        };
        while let Some(byte) = self.peek(run.end) {
            let next = self.peek(run.end + 1);
            let comment = matches!((byte, next), (b'/', Some(b'*')) | (b'-', Some(b'-')));
            if !is(byte, OPERATOR) || comment {
                break;
            }
            run.end += 1;
            if byte != b'+' && byte != b'-' {
                run.unsigned_end = run.end;
                if !matches!(byte, b'*' | b'/' | b'<' | b'>' | b'=') {
                    run.special_end = run.end;
                }
            }
        }
        run.end = run.end.max(start + 1);
        run
    }
}

enum Blank {
    Next(usize),
    End,
    OpenComment(usize),
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.next_token()
    }
}
