//! Effects from the tokens of a statement alone: what may be an effect counts as one.
//!
//! Row-changing statements are found at any place by the pair of words that each of them has to start with
//! (`DELETE FROM`, `INSERT INTO`, `MERGE INTO`, `UPDATE name … SET`); other commands only where a command may
//! start, because their keywords are ordinary names elsewhere.

use super::code;
use super::copy::{self, CopyDirection, CopyPlace, CopySpec};
use super::effects::Effects;
use super::fingerprint::runs_text;
use super::lexeme::Lexeme;
use super::limits::NAME_PARTS_MAX;
use super::names::Names;
use super::verb::Verb;

/// What the lexemes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One statement.
    Statement,
    /// A body in SQL or PL/pgSQL, with any number of statements.
    Code,
}

/// What is needed to look into code within code.
pub(super) struct Context<'n> {
    /// How the server reads backslashes.
    pub(super) conforming: bool,
    /// How deep this code lies.
    pub(super) depth: usize,
    /// Functions found in code.
    pub(super) functions: &'n mut Names,
    /// What is left for looking ahead, see [`LOOKAHEAD_STEPS_MIN`](super::limits::LOOKAHEAD_STEPS_MIN).
    pub(super) steps: usize,
}

impl Context<'_> {
    /// Pays for `count` steps; `false` if there are not that many left, and then none are.
    pub(super) fn pay(&mut self, count: usize) -> bool {
        let enough = self.steps >= count;
        self.steps = if enough { self.steps - count } else { 0 };
        enough
    }
}

/// Result of [`classify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Classified {
    /// What the tokens of the statement itself do.
    pub(super) effects: Effects,
    /// What the texts do that it runs.
    pub(super) code: Effects,
    /// How many `DELETE` and `UPDATE` statements.
    pub(super) deletes: usize,
    pub(super) updates: usize,
}

impl Classified {
    /// Everything that was found.
    pub(super) fn all(&self) -> Effects {
        self.effects | self.code
    }
}

struct Classifier<'l, 'f, 'c, 'n> {
    lexemes: &'l [Lexeme<'f>],
    mode: Mode,
    context: &'c mut Context<'n>,
    found: Classified,
    /// Code mode: a text put together at run time is executed.
    dynamic: bool,
}

/// Finds the effects of `lexemes`.
pub(super) fn classify(lexemes: &[Lexeme<'_>], mode: Mode, context: &mut Context<'_>) -> Classified {
    let mut classifier = Classifier {
        lexemes,
        mode,
        context,
        found: Classified::default(),
        dynamic: false,
    };
    for at in 0..lexemes.len() {
        classifier.visit(at);
    }
    if classifier.dynamic {
        classifier.every_string();
    }
    classifier.found
}

/// Effects of a `COPY` itself.
pub(super) fn copy_effects(spec: &CopySpec) -> Effects {
    let direction = match spec.direction {
        CopyDirection::In => Effects::COPY_IN,
        CopyDirection::Out => Effects::COPY_OUT,
    };
    match spec.place {
        CopyPlace::Client => direction,
        CopyPlace::File => direction | Effects::COPY_FILE,
        CopyPlace::Program => direction | Effects::COPY_PROGRAM,
    }
}

/// Whether the words behind a `SET` or `RESET` name the role or the session's user.
pub(super) fn names_role(lexemes: &[Lexeme<'_>]) -> bool {
    let mut rest = lexemes;
    while let Some((Lexeme::Word("local" | "session"), after)) = rest.split_first() {
        rest = after;
    }
    match rest.first() {
        Some(Lexeme::Word("authorization")) => true,
        Some(lexeme) => lexeme.name().is_some_and(is_role_setting),
        None => false,
    }
}

/// Whether the words behind a `SET`, `RESET` or `BEGIN` are about which transactions write.
fn names_read_write(lexemes: &[Lexeme<'_>]) -> bool {
    let clause = lexemes.iter().take_while(|lexeme| **lexeme != Lexeme::Semicolon);
    let mut before = "";
    for lexeme in clause {
        if before == "read" && lexeme.word() == "write" || lexeme.name().is_some_and(is_read_only_setting) {
            return true;
        }
        before = lexeme.word();
    }
    false
}

/// Whether a setting makes transactions read-only (PostgreSQL documentation, "Client Connection Defaults").
fn is_read_only_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case("transaction_read_only") || name.eq_ignore_ascii_case("default_transaction_read_only")
}

/// What setting this name to any value does, beyond [`Effects::SET`].
pub fn setting_effects(name: &str) -> Effects {
    if is_role_setting(name) {
        Effects::SET_ROLE
    } else if is_read_only_setting(name) {
        Effects::SET_READ_WRITE
    } else {
        Effects::NONE
    }
}

fn is_role_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case("role") || name.eq_ignore_ascii_case("session_authorization")
}

impl<'l, 'f> Classifier<'l, 'f, '_, '_> {
    fn at(&self, at: usize) -> Lexeme<'f> {
        let lexeme = self.lexemes.get(at).copied();
        lexeme.unwrap_or(Lexeme::Semicolon)
    }

    fn word(&self, at: usize) -> &'f str {
        self.at(at).word()
    }

    fn before(&self, at: usize) -> Lexeme<'f> {
        match at.checked_sub(1) {
            Some(before) => self.at(before),
            None => Lexeme::Semicolon,
        }
    }

    fn visit(&mut self, at: usize) {
        match self.at(at) {
            Lexeme::Unterminated => self.found.effects |= Effects::UNKNOWN,
            Lexeme::Word(word) => self.visit_word(at, word),
            Lexeme::Name(name) => self.visit_call(at, name),
            _ => {}
        }
    }

    fn visit_word(&mut self, at: usize, word: &str) {
        match word {
            "select" | "perform" => self.select(word),
            "delete" if at == 0 || self.word(at + 1) == "from" => self.delete(at),
            "insert" if self.word(at + 1) == "into" => self.found.effects |= Effects::INSERT,
            "merge" if self.word(at + 1) == "into" => self.merge(at),
            "update" => self.update(at),
            "for" => self.row_lock(at),
            "into" => self.select_into(at),
            "grant" if self.word(0) == "create" => self.schema_element(at),
            "set" if self.mode == Mode::Statement && at > 0 => self.set_clause(at),
            _ => {}
        }
        if self.starts_command(at) {
            self.command(at, word);
        } else if self.mode == Mode::Code && word == "execute" {
            self.execute_text(at);
        }
        if word == "execute" && self.before(at).word() == "as" {
            self.found.effects |= Effects::EXECUTE;
        }
        self.visit_call(at, word);
    }

    fn select(&mut self, word: &str) {
        if word == "select" || self.mode == Mode::Code {
            self.found.effects |= Effects::SELECT;
        }
    }

    fn delete(&mut self, at: usize) {
        self.found.deletes += 1;
        self.found.effects |= Effects::DELETE;
        if !self.has_where(at + 2) {
            self.found.effects |= Effects::DELETE_WITHOUT_WHERE;
        }
    }

    fn update(&mut self, at: usize) {
        if self.word(at + 1) == "set" && matches!(self.before(at).word(), "do" | "then") {
            // ON CONFLICT DO UPDATE SET, MERGE … THEN UPDATE SET: bound to single rows.
            self.found.effects |= Effects::UPDATE;
            return;
        }
        let leads = at == 0 && self.mode == Mode::Statement;
        let Some(set) = self.update_set(at + 1).or(leads.then_some(at)) else {
            return;
        };
        self.found.updates += 1;
        self.found.effects |= Effects::UPDATE;
        if !self.has_where(set + 1) {
            self.found.effects |= Effects::UPDATE_WITHOUT_WHERE;
        }
    }

    /// Place of the `SET` in `[ONLY] [(] name [)] [*] [[AS] alias] SET`, if that is what stands at `at`.
    fn update_set(&self, mut at: usize) -> Option<usize> {
        if self.word(at) == "only" && self.word(at + 1) != "set" {
            at += 1;
        }
        let paren = self.at(at) == Lexeme::LeftParen;
        at += usize::from(paren);
        self.at(at).name()?;
        at += 1;
        for _ in 0..NAME_PARTS_MAX {
            at += if self.at(at) == Lexeme::Dot { 2 } else { 0 };
        }
        at += usize::from(paren && self.at(at) == Lexeme::RightParen);
        at += usize::from(self.at(at) == Lexeme::Operator("*"));
        if self.word(at) == "as" {
            at += 1;
        }
        if self.word(at) != "set" || self.word(at + 1) == "set" {
            self.at(at).name()?;
            at += 1;
        }
        (self.word(at) == "set").then_some(at)
    }

    /// Whether a `WHERE` of the statement whose inside starts at `at` is found before the statement ends.
    fn has_where(&mut self, mut at: usize) -> bool {
        let mut depth = 0usize;
        while let Some(lexeme) = self.lexemes.get(at) {
            if !self.context.pay(1) {
                return false;
            }
            match lexeme {
                Lexeme::LeftParen => depth += 1,
                Lexeme::RightParen if depth == 0 => return false,
                Lexeme::RightParen => depth -= 1,
                Lexeme::Semicolon if depth == 0 => return false,
                Lexeme::Word("where") if depth == 0 => return true,
                Lexeme::Word("returning" | "loop" | "delete" | "insert" | "merge") if depth == 0 => {
                    return false;
                }
                _ => {}
            }
            at += 1;
        }
        false
    }

    fn merge(&mut self, at: usize) {
        self.found.effects |= Effects::MERGE;
        let rest = self.lexemes.get(at..).unwrap_or_default();
        if !self.context.pay(rest.len()) {
            self.found.effects |= Effects::DELETE | Effects::UPDATE | Effects::INSERT;
            return;
        }
        for pair in rest.windows(2) {
            self.found.effects |= match (pair[0].word(), pair[1].word()) {
                ("then", "delete") => Effects::DELETE,
                ("then", "update") => Effects::UPDATE,
                ("then", "insert") => Effects::INSERT,
                _ => Effects::NONE,
            };
        }
    }

    /// `FOR [NO KEY] UPDATE`, `FOR [KEY] SHARE`.
    fn row_lock(&mut self, at: usize) {
        let next = [self.word(at + 1), self.word(at + 2), self.word(at + 3)];
        let locks = matches!(
            next,
            ["update" | "share", ..] | ["key", "share", _] | ["no", "key", "update"]
        );
        if locks {
            self.found.effects |= Effects::LOCK_ROWS;
        }
    }

    /// `SELECT … INTO table`. In a body `INTO` names variables.
    fn select_into(&mut self, at: usize) {
        let other = matches!(self.before(at).word(), "insert" | "merge");
        if self.mode == Mode::Statement && !other && self.found.effects.contains(Effects::SELECT) {
            self.found.effects |= Effects::CREATE;
        }
    }

    fn schema_element(&mut self, at: usize) {
        if self.word(1) == "schema" && at > 2 {
            self.found.effects |= Effects::GRANT;
        }
    }

    /// `SET` as an option of `ALTER ROLE`, `ALTER DATABASE`, `CREATE FUNCTION` and their like.
    fn set_clause(&mut self, at: usize) {
        let defines = match self.word(0) {
            "alter" => true,
            "create" => self
                .lexemes
                .iter()
                .take(4)
                .any(|lexeme| matches!(lexeme.word(), "function" | "procedure")),
            _ => false,
        };
        if defines && names_role(self.lexemes.get(at + 1..).unwrap_or_default()) {
            self.found.effects |= Effects::SET_ROLE;
        }
    }

    /// Whether a command may start at `at`.
    fn starts_command(&self, at: usize) -> bool {
        let before = self.before(at);
        match before {
            Lexeme::Semicolon => true,
            Lexeme::Word("also" | "instead" | "atomic" | "do") => true,
            _ if self.mode == Mode::Statement => false,
            Lexeme::LeftParen | Lexeme::Operator(">>") => true,
            Lexeme::Word(word) => matches!(
                word,
                "begin"
                    | "then"
                    | "else"
                    | "loop"
                    | "declare"
                    | "query"
                    | "as"
                    | "is"
                    | "for"
                    | "in"
                    | "exception"
                    | "explain"
            ),
            _ => false,
        }
    }

    fn command(&mut self, at: usize, word: &str) {
        let verb = Verb::from_keyword(word);
        let rest = self.lexemes.get(at + 1..).unwrap_or_default();
        let next = self.word(at + 1);
        self.found.effects |= match verb {
            Verb::Set | Verb::Reset => {
                let role = if names_role(rest) {
                    Effects::SET_ROLE
                } else {
                    Effects::NONE
                };
                let writes = if names_read_write(rest) {
                    Effects::SET_READ_WRITE
                } else {
                    Effects::NONE
                };
                Effects::SET | role | writes
            }
            Verb::Begin if self.mode == Mode::Statement && names_read_write(rest) => {
                Effects::TRANSACTION | Effects::SET_READ_WRITE
            }
            Verb::Create | Verb::Alter | Verb::Drop => verb.effects() | remote_object(rest),
            // Pairs of words decide these; alone they may be names.
            Verb::Insert | Verb::Update | Verb::Delete | Verb::Merge if at > 0 => Effects::NONE,
            Verb::Unknown if self.mode == Mode::Code || at > 0 || word == "with" => Effects::NONE,
            Verb::Commit if word == "end" && at > 0 => Effects::NONE,
            Verb::Prepare if next == "transaction" => Effects::TRANSACTION,
            Verb::Import if next != "foreign" => Effects::NONE,
            Verb::Security if next != "label" => Effects::NONE,
            _ if self.mode == Mode::Code => return self.command_in_code(at, verb),
            _ => verb.effects(),
        };
    }

    fn command_in_code(&mut self, at: usize, verb: Verb) {
        match verb {
            // Words of PL/pgSQL itself.
            Verb::Begin | Verb::Declare => {}
            Verb::Execute => self.execute_text(at),
            Verb::Copy => self.copy_in_code(at),
            Verb::Do => {
                let string = self.lexemes.iter().skip(at + 1).take(3);
                let text = string.filter_map(|lexeme| match lexeme {
                    Lexeme::Code(text) => Some(*text),
                    _ => None,
                });
                for text in text.collect::<Vec<_>>() {
                    self.found.effects |= Effects::DO;
                    self.found.code |= code::effects(text, self.context);
                }
            }
            _ => self.found.effects |= verb.effects(),
        }
    }

    fn copy_in_code(&mut self, at: usize) {
        let piece = self.piece(at).unwrap_or_default();
        self.found.effects |= match copy::parse(piece) {
            Some(copy) => copy_effects(&copy.spec),
            None if matches!(piece.get(1), Some(Lexeme::Assign | Lexeme::Operator("="))) => Effects::NONE,
            None => Effects::COPY_IN | Effects::COPY_OUT | Effects::UNKNOWN,
        };
    }

    /// The piece of code from `at` to its `;` or the end; `None` if it would cost too much to look at.
    fn piece(&mut self, at: usize) -> Option<&'l [Lexeme<'f>]> {
        let rest = self.lexemes.get(at..).unwrap_or_default();
        let end = rest.iter().take(self.context.steps);
        let length = end.take_while(|lexeme| **lexeme != Lexeme::Semicolon).count();
        self.context
            .pay(length + 1)
            .then(|| rest.get(..length).unwrap_or_default())
    }

    /// `EXECUTE expression` in a body. Constants are read as code, one by one and put together; anything else
    /// makes the text unknown.
    fn execute_text(&mut self, at: usize) {
        if matches!(self.word(at + 1), "on" | "function" | "procedure") {
            return; // GRANT EXECUTE ON, CREATE TRIGGER … EXECUTE FUNCTION
        }
        let piece = self.piece(at + 1);
        let mut constant = piece.is_some();
        let mut joined = String::new();
        for lexeme in piece.unwrap_or_default() {
            match lexeme {
                Lexeme::Code(text) => joined.push_str(text),
                Lexeme::Operator("||") | Lexeme::LeftParen | Lexeme::RightParen => {}
                Lexeme::Word("into" | "using" | "loop") => break,
                _ => constant = false,
            }
        }
        self.found.effects |= Effects::EXECUTE;
        self.found.code |= code::effects(&joined, self.context);
        if !constant || joined.is_empty() {
            self.found.effects |= Effects::DYNAMIC | Effects::UNKNOWN;
            self.dynamic = true;
        }
    }

    /// Reads every string as code: one of them may be what is executed.
    fn every_string(&mut self) {
        for lexeme in self.lexemes {
            if let Lexeme::Code(text) = lexeme {
                self.found.code |= code::effects(text, self.context);
            }
        }
    }

    /// A call of a function that runs a text or changes the role.
    fn visit_call(&mut self, at: usize, name: &str) {
        if self.at(at + 1) != Lexeme::LeftParen || !runs_text(name) {
            return;
        }
        let Some(arguments) = self.group(at + 2) else {
            self.found.effects |= Effects::SET | Effects::SET_ROLE | Effects::SET_READ_WRITE | Effects::DYNAMIC;
            self.found.effects |= Effects::UNKNOWN;
            return;
        };
        if name == "set_config" {
            self.found.effects |= Effects::SET;
            let first_is_constant = matches!(arguments, [Lexeme::Code(_), Lexeme::Comma, ..]);
            let names_role = arguments
                .iter()
                .any(|lexeme| matches!(lexeme, Lexeme::Code(text) if is_role_setting(text)));
            if names_role || !first_is_constant {
                self.found.effects |= Effects::SET_ROLE;
            }
            let names_read_only = arguments
                .iter()
                .any(|lexeme| matches!(lexeme, Lexeme::Code(text) if is_read_only_setting(text)));
            if names_read_only || !first_is_constant {
                self.found.effects |= Effects::SET_READ_WRITE;
            }
            return;
        }
        self.found.effects |= Effects::DYNAMIC;
        for lexeme in arguments {
            self.found.code |= match lexeme {
                Lexeme::Code(text) => code::effects(text, self.context),
                Lexeme::Comma | Lexeme::Number | Lexeme::Word("true" | "false" | "null") => Effects::NONE,
                _ => Effects::UNKNOWN,
            };
        }
    }

    /// The lexemes from `at` up to the `)` that closes the group; `None` if it would cost too much to look.
    fn group(&mut self, at: usize) -> Option<&'l [Lexeme<'f>]> {
        let rest = self.lexemes.get(at..).unwrap_or_default();
        let mut depth = 1usize;
        let inside = rest.iter().take(self.context.steps).take_while(|lexeme| {
            match lexeme {
                Lexeme::LeftParen => depth += 1,
                Lexeme::RightParen => depth -= 1,
                _ => {}
            }
            depth > 0
        });
        let length = inside.count();
        self.context
            .pay(length + 1)
            .then(|| rest.get(..length).unwrap_or_default())
    }
}

/// Objects that make the server talk to another one.
fn remote_object(after_verb: &[Lexeme<'_>]) -> Effects {
    match after_verb.first().map_or("", |lexeme| lexeme.word()) {
        "subscription" | "server" => Effects::REMOTE,
        _ => Effects::NONE,
    }
}
