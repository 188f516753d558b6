//! Fingerprints: a text cut into statements, each as a run of canonical tokens without literals.
//!
//! ```text
//! fingerprint = flags (1 byte), then per token: tag (1 byte, < 0x20), payload
//!   WORD, OPERATOR      the characters, folded to lower case; they end where the next tag stands
//!   NAME, CODE          length (4 bytes, little endian), then the text with quotes and escapes taken out
//!   OTHER               the byte
//!   everything else     nothing
//! ```
//!
//! A string is only a tag, except where it is code or decides how data is read: in `DO`, `COPY`,
//! `CREATE FUNCTION`, `CREATE PROCEDURE`, and in calls of functions that run a text ([`runs_text`]). Lists of
//! literals shrink to their first member, and lists of such lists too, so that an `IN` list or a `VALUES` list
//! has one fingerprint whatever its length.

use super::lexeme::tag;
use super::lexer::{Kind, LexOptions, Lexer, Token};
use super::limits::STATEMENTS_MAX;
use super::literal;

/// Flag in the first byte of a fingerprint: `standard_conforming_strings` is on.
pub(super) const CONFORMING: u8 = 1;

/// Functions that run a text that they are given, or change who the session is.
pub(super) fn runs_text(name: &str) -> bool {
    matches!(
        name,
        "set_config"
            | "query_to_xml"
            | "query_to_xmlschema"
            | "query_to_xml_and_xmlschema"
            | "ts_stat"
            | "ts_rewrite"
            | "dblink"
            | "dblink_exec"
            | "dblink_open"
            | "dblink_send_query"
            | "crosstab"
            | "crosstab2"
            | "crosstab3"
            | "crosstab4"
            | "crosstabn"
            | "connectby"
            | "xpath_table"
            | "schedule"
            | "schedule_in_database"
    )
}

/// Cuts a text into statements and makes the fingerprint of each.
pub(super) struct Fingerprinter<'t, 'b> {
    lexer: Lexer<'t>,
    bytes: &'b mut Vec<u8>,
    options: LexOptions,
    statements: usize,
    pending: Option<Token>,
    state: State,
}

/// What is known of the statement that is being read.
#[derive(Default)]
struct State {
    start: usize,
    end: usize,
    words: u8,
    lead: Lead,
    /// Literals are kept from here on.
    keep: bool,
    parens: usize,
    /// Nesting of `BEGIN ATOMIC` and of the `CASE` in it.
    atomic: usize,
    after_begin: bool,
    recent: Recent,
}

/// The last tokens: tag and where each starts in the fingerprint. A ring, because every token goes in here.
#[derive(Default)]
struct Recent {
    ring: [(u8, usize); 8],
    count: usize,
}

/// How the statement starts, as far as that decides how it is cut and what is kept.
#[derive(Clone, Copy, Default, PartialEq)]
enum Lead {
    #[default]
    Unknown,
    Create,
    CreateOr,
    CreateOrReplace,
    Function,
    Plain,
}

impl<'t, 'b> Fingerprinter<'t, 'b> {
    /// Starts on `text`; fingerprints are built in `bytes`.
    pub(super) fn new(text: &'t str, options: LexOptions, bytes: &'b mut Vec<u8>) -> Self {
        Fingerprinter {
            lexer: Lexer::new(text, options),
            bytes,
            options,
            statements: 0,
            pending: None,
            state: State::default(),
        }
    }

    /// Reads one whole body of code without cutting it, with every literal kept.
    pub(super) fn code(text: &'t str, options: LexOptions, bytes: &'b mut Vec<u8>) {
        let mut this = Fingerprinter::new(text, options, bytes);
        this.begin();
        this.state.keep = true;
        while let Some(token) = this.next() {
            this.push(token);
        }
    }

    /// Reads the next statement that has at least one token; gives the span of its tokens. Its fingerprint
    /// is then in [`Fingerprinter::fingerprint`].
    pub(super) fn next_statement(&mut self) -> Option<std::ops::Range<usize>> {
        self.begin();
        let mut empty = true;
        while let Some(token) = self.next() {
            if token.kind == Kind::Semicolon && self.at_top() {
                if empty {
                    continue;
                }
                break;
            }
            if empty {
                self.state.start = token.start;
                empty = false;
            }
            self.state.end = token.end;
            self.push(token);
        }
        if empty {
            return None;
        }
        self.statements += 1;
        Some(self.state.start..self.state.end)
    }

    /// The fingerprint of the statement read last.
    pub(super) fn fingerprint(&self) -> &[u8] {
        self.bytes
    }

    fn begin(&mut self) {
        self.bytes.clear();
        let conforming = self.options.standard_conforming_strings;
        self.bytes.push(if conforming { CONFORMING } else { 0 });
        self.state = State::default();
    }

    fn next(&mut self) -> Option<Token> {
        self.pending.take().or_else(|| self.lexer.next_token())
    }

    /// Whether a `;` here ends the statement.
    fn at_top(&self) -> bool {
        let cutting = self.statements + 1 < STATEMENTS_MAX;
        cutting && self.state.parens == 0 && self.state.atomic == 0
    }

    #[inline]
    fn push(&mut self, token: Token) {
        match token.kind {
            Kind::Word => self.push_word(token),
            Kind::Number => self.push_literal(tag::NUMBER),
            Kind::Parameter => self.push_literal(tag::PARAMETER),
            Kind::String | Kind::EscapeString | Kind::UnicodeString | Kind::BitString | Kind::DollarString => {
                self.push_string(token)
            }
            Kind::QuotedIdentifier | Kind::UnicodeIdentifier => self.push_name(token),
            Kind::Operator => {
                self.mark(tag::OPERATOR);
                self.bytes.extend_from_slice(self.lexer.bytes(token));
            }
            Kind::Other => {
                self.mark(tag::OTHER);
                self.bytes.extend_from_slice(self.lexer.bytes(token));
            }
            Kind::LeftParen => self.open_paren(),
            Kind::RightParen => self.close_paren(),
            kind => self.mark(tag::of_punctuation(kind)),
        }
    }

    /// Starts a token in the fingerprint.
    #[inline]
    fn mark(&mut self, tag: u8) {
        self.state.recent.push(tag, self.bytes.len());
        self.bytes.push(tag);
    }

    fn push_sized(&mut self, tag: u8, text: &str) {
        self.mark(tag);
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn push_word(&mut self, token: Token) {
        self.mark(tag::WORD);
        let at = self.bytes.len();
        let word = self.lexer.bytes(token);
        self.bytes.extend(word.iter().map(u8::to_ascii_lowercase));
        if self.state.lead != Lead::Plain {
            self.follow_word(at);
        }
    }

    /// Follows the words that decide how a statement is cut and what is kept of it.
    fn follow_word(&mut self, at: usize) {
        let word = self.bytes.get(at..).unwrap_or_default();
        let state = &mut self.state;
        state.words = state.words.saturating_add(1);
        state.lead = match (state.lead, word) {
            (Lead::Unknown, b"create") if state.words == 1 => Lead::Create,
            (Lead::Unknown, b"do" | b"copy") if state.words == 1 => {
                state.keep = true;
                Lead::Plain
            }
            (Lead::Create, b"or") if state.words == 2 => Lead::CreateOr,
            (Lead::CreateOr, b"replace") if state.words == 3 => Lead::CreateOrReplace,
            (Lead::Create, b"function" | b"procedure") if state.words == 2 => Lead::Function,
            (Lead::CreateOrReplace, b"function" | b"procedure") if state.words == 4 => Lead::Function,
            (Lead::Function, _) => Lead::Function,
            _ => Lead::Plain,
        };
        if state.lead != Lead::Function {
            return;
        }
        state.keep = true;
        let begun = std::mem::take(&mut state.after_begin);
        match word {
            b"begin" if state.parens == 0 && state.atomic == 0 => state.after_begin = true,
            b"atomic" if begun => state.atomic = 1,
            b"case" if state.atomic > 0 => state.atomic += 1,
            b"end" => state.atomic = state.atomic.saturating_sub(1),
            _ => {}
        }
    }

    fn push_name(&mut self, token: Token) {
        let raw = self.lexer.bytes(token);
        if token.kind == Kind::QuotedIdentifier {
            self.push_sized(tag::NAME, &literal::identifier_value(raw));
        } else {
            let name = literal::unicode_identifier_raw(raw);
            let escape = self.unicode_escape();
            self.push_sized(tag::NAME, &literal::unicode_value(&name, escape));
        }
    }

    /// The character of a following `UESCAPE 'c'`, which is taken off; else the backslash.
    fn unicode_escape(&mut self) -> char {
        let Some(token) = self.lexer.next_token() else {
            return '\\';
        };
        let word = self.lexer.bytes(token);
        if token.kind != Kind::Word || !word.eq_ignore_ascii_case(b"uescape") {
            self.pending = Some(token);
            return '\\';
        }
        let Some(token) = self.lexer.next_token() else {
            return '\\';
        };
        if !matches!(token.kind, Kind::String | Kind::EscapeString) {
            self.pending = Some(token);
            return '\\';
        }
        self.state.end = token.end;
        let value = literal::string_value(token.kind, self.lexer.bytes(token));
        value.chars().next().unwrap_or('\\')
    }

    fn push_string(&mut self, token: Token) {
        if !self.state.keep {
            self.push_literal(tag::STRING);
            if token.kind == Kind::UnicodeString {
                self.unicode_escape();
            }
            return;
        }
        let raw = self.lexer.bytes(token);
        let mut value = literal::string_value(token.kind, raw);
        if token.kind == Kind::UnicodeString {
            let escape = self.unicode_escape();
            if escape != '\\' {
                let plain = literal::string_value(Kind::String, raw.get(2..).unwrap_or_default());
                value = literal::unicode_value(&plain, escape);
            }
        }
        self.push_sized(tag::CODE, &value);
    }

    /// A literal whose value does not matter. Behind `literal ,` it adds nothing.
    #[inline]
    fn push_literal(&mut self, literal: u8) {
        if self.state.keep {
            return self.mark(literal);
        }
        self.drop_sign();
        let [(comma, comma_at), (before, _)] = self.state.recent.newest();
        if comma == tag::COMMA && tag::is_literal(before) {
            self.bytes.truncate(comma_at);
            self.state.recent.drop_newest(1);
            return;
        }
        self.mark(literal);
    }

    /// Drops the sign of a literal that follows `(` or `,`.
    fn drop_sign(&mut self) {
        let [(sign, sign_at), (before, _)] = self.state.recent.newest();
        let operator = self.bytes.get(sign_at + 1..).unwrap_or_default();
        let list = before == tag::LEFT_PAREN || before == tag::COMMA;
        if sign == tag::OPERATOR && list && (operator == b"-" || operator == b"+") {
            self.bytes.truncate(sign_at);
            self.state.recent.drop_newest(1);
        }
    }

    fn open_paren(&mut self) {
        self.state.parens += 1;
        if !self.state.keep {
            let [(called, at)] = self.state.recent.newest();
            self.state.keep = match called {
                tag::WORD => self.name_runs_text(at + 1),
                tag::NAME => self.name_runs_text(at + 5),
                _ => false,
            };
        }
        self.mark(tag::LEFT_PAREN);
    }

    fn name_runs_text(&self, at: usize) -> bool {
        let name = self.bytes.get(at..).unwrap_or_default();
        std::str::from_utf8(name).is_ok_and(runs_text)
    }

    /// `( literal ) , ( literal )` keeps the first group only.
    fn close_paren(&mut self) {
        self.state.parens = self.state.parens.saturating_sub(1);
        let recent = self.state.recent.newest();
        let [(a, _), (b, _), (c, comma_at), (d, _), (e, _), (f, _)] = recent;
        let groups = tag::is_literal(a)
            && b == tag::LEFT_PAREN
            && c == tag::COMMA
            && d == tag::RIGHT_PAREN
            && tag::is_literal(e)
            && f == tag::LEFT_PAREN;
        if groups && !self.state.keep {
            self.bytes.truncate(comma_at);
            self.state.recent.drop_newest(3);
            return;
        }
        self.mark(tag::RIGHT_PAREN);
    }
}

impl Recent {
    #[inline]
    fn push(&mut self, tag: u8, at: usize) {
        self.ring[self.count % 8] = (tag, at);
        self.count += 1;
    }

    /// The last `N` tokens, newest first; at most as many as are never dropped together with later ones.
    #[inline]
    fn newest<const N: usize>(&self) -> [(u8, usize); N] {
        std::array::from_fn(|back| self.ring[(self.count + 7 - back) % 8])
    }

    fn drop_newest(&mut self, count: usize) {
        for back in 0..count {
            self.ring[(self.count + 7 - back) % 8] = (0, 0);
        }
        self.count -= count;
    }
}
