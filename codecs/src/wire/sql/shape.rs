//! What a fingerprint says about its statement: the part of a [`Statement`](super::Statement) that is cached.

use std::rc::Rc;

use super::classify::{self, Classified, Context, Mode};
use super::code;
use super::copy::{self, CopySpec};
use super::effects::Effects;
use super::fingerprint::CONFORMING;
use super::lexeme::{Lexeme, lexemes};
use super::limits::{
    LOOKAHEAD_STEPS_MIN, LOOKAHEAD_STEPS_PER_BYTE, STATEMENT_PARSED_BYTES_MAX, STATEMENT_PARSED_TOKENS_MAX,
};
use super::names::{self, Names};
use super::statement::{FunctionName, TableName};
use super::tree;
use super::verb::Verb;

/// Everything about a statement but its place in the text.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) effects: Effects,
    pub(super) verb: Verb,
    pub(super) parsed: bool,
    pub(super) copy: Option<Rc<CopySpec>>,
    pub(super) tables: Rc<[TableName]>,
    pub(super) functions: Rc<[FunctionName]>,
}

/// Reads a fingerprint.
pub(super) fn shape(fingerprint: &[u8]) -> Shape {
    let conforming = fingerprint.first().is_some_and(|flags| flags & CONFORMING != 0);
    let lexemes = lexemes(fingerprint);
    let mut functions = Names::default();
    let mut context = Context {
        conforming,
        depth: 0,
        functions: &mut functions,
        steps: LOOKAHEAD_STEPS_MIN + LOOKAHEAD_STEPS_PER_BYTE * fingerprint.len(),
    };
    let parsable = fingerprint.len() <= STATEMENT_PARSED_BYTES_MAX && lexemes.len() <= STATEMENT_PARSED_TOKENS_MAX;
    let mut reading = Reading {
        effects: Effects::NONE,
        parsed: false,
        copy: None,
        tables: Names::default(),
        parsable,
    };
    let verb = reading.statement(&lexemes, &mut context);
    let mut effects = reading.effects | names::functions(&lexemes, &mut functions);
    let (tables, too_many_tables) = reading.tables.finish();
    let (functions, too_many_functions) = functions.finish();
    effects |= too_many_tables | too_many_functions;
    Shape {
        effects,
        verb,
        parsed: reading.parsed && !effects.contains(Effects::UNKNOWN),
        copy: reading.copy.map(Rc::new),
        tables: tables.into(),
        functions: functions.into(),
    }
}

struct Reading {
    effects: Effects,
    parsed: bool,
    copy: Option<CopySpec>,
    tables: Names,
    parsable: bool,
}

impl Reading {
    fn statement(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) -> Verb {
        let verb = leading_verb(lexemes);
        let first = lexemes.first().map_or("", |lexeme| lexeme.word());
        match verb {
            _ if first == "with" || first.is_empty() => self.whole(lexemes, context),
            Verb::Explain => self.explain(lexemes, context),
            Verb::Prepare if !prepares_transaction(lexemes) => self.behind(lexemes, "as", Verb::Prepare, context),
            Verb::Declare => self.declare(lexemes, context),
            Verb::Copy => self.copy(lexemes, context),
            Verb::Do => {
                self.effects |= Effects::DO;
                self.body(lexemes, "plpgsql", context);
            }
            Verb::Create if defines_function(lexemes) => {
                self.effects |= classify::classify(lexemes, Mode::Statement, context).all();
                self.body(lexemes, "sql", context);
            }
            _ => self.whole(lexemes, context),
        }
        verb
    }

    /// A statement that is understood as a whole, by the parser or by its leading keyword.
    fn whole(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) {
        let tokens = classify::classify(lexemes, Mode::Statement, context);
        self.effects |= tokens.all();
        let verb = Verb::from_keyword(lexemes.first().map_or("", |lexeme| lexeme.word()));
        if let Some(tree) = self.tree(lexemes, &tokens) {
            self.effects = (self.effects - tree::DECIDED) | tree.effects | tokens.code;
            self.parsed = true;
            for table in tree.tables {
                self.tables.add(table);
            }
            if !verb.tells_all() {
                return;
            }
        }
        // The parser does not tell which of the objects of DROP, GRANT and their like are tables.
        names::tables(lexemes, &mut self.tables);
        if self.parsed {
            return;
        }
        self.parsed = verb.tells_all() || prepares_transaction(lexemes);
        if leading_verb(lexemes) == Verb::Unknown {
            self.effects |= Effects::UNKNOWN;
        }
    }

    /// The parser's reading. It has to agree with the tokens on how many statements change rows; where the
    /// two differ, the tokens are believed.
    fn tree(&self, lexemes: &[Lexeme<'_>], tokens: &Classified) -> Option<tree::Tree> {
        if !self.parsable || tokens.all().contains(Effects::UNKNOWN) {
            return None;
        }
        let tree = tree::parse(lexemes)?;
        let agree = tree.deletes == tokens.deletes && tree.updates == tokens.updates;
        agree.then_some(tree)
    }

    /// A statement behind the first `word` at the top level.
    fn behind(&mut self, lexemes: &[Lexeme<'_>], word: &str, verb: Verb, context: &mut Context<'_>) {
        self.effects |= verb.effects();
        match top_level(lexemes, word) {
            Some(at) => self.inner(lexemes.get(at + 1..).unwrap_or_default(), context),
            None => self.effects |= Effects::UNKNOWN,
        }
    }

    /// A nested statement: its effects are added.
    fn inner(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) {
        let outer = std::mem::replace(&mut self.effects, Effects::NONE);
        self.whole(lexemes, context);
        self.effects |= outer;
    }

    /// `DECLARE name … CURSOR … FOR query`.
    fn declare(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) {
        self.effects |= Effects::CURSOR;
        let cursor = top_level(lexemes, "cursor").unwrap_or(0);
        let rest = lexemes.get(cursor..).unwrap_or_default();
        self.behind(rest, "for", Verb::Declare, context);
    }

    /// `EXPLAIN`: what is explained runs only with `ANALYZE`, whatever value that option is given here.
    fn explain(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) {
        let (inner, analyze) = explained(lexemes);
        let rest = lexemes.get(inner..).unwrap_or_default();
        match rest.first() {
            Some(Lexeme::Word("declare")) => self.declare(rest, context),
            _ => self.inner(rest, context),
        }
        if !analyze {
            self.effects = self.effects & Effects::UNKNOWN;
        }
        self.effects |= Effects::EXPLAIN;
    }

    fn copy(&mut self, lexemes: &[Lexeme<'_>], context: &mut Context<'_>) {
        let Some(copy) = copy::parse(lexemes) else {
            self.effects |= classify::classify(lexemes, Mode::Statement, context).all();
            self.effects |= Effects::COPY_IN | Effects::COPY_OUT | Effects::UNKNOWN;
            self.effects |= copy_words(lexemes);
            names::tables(lexemes, &mut self.tables);
            return;
        };
        self.parsed = true;
        if copy.spec.query {
            self.inner(lexemes.get(copy.query).unwrap_or_default(), context);
        }
        if let Some(table) = &copy.spec.table {
            self.tables.add(table.clone());
        }
        self.effects |= classify::copy_effects(&copy.spec);
        self.copy = Some(copy.spec);
    }

    fn body(&mut self, lexemes: &[Lexeme<'_>], language: &str, context: &mut Context<'_>) {
        let body = code::body(lexemes, language, context);
        self.effects |= body.effects;
        self.parsed = body.known;
    }
}

/// What a `COPY` that was not understood may do beyond moving data.
fn copy_words(lexemes: &[Lexeme<'_>]) -> Effects {
    let program = lexemes.iter().any(|lexeme| lexeme.word() == "program");
    let file = lexemes.iter().any(|lexeme| matches!(lexeme, Lexeme::Code(_)));
    let mut effects = Effects::NONE;
    if program {
        effects |= Effects::COPY_PROGRAM;
    }
    if file {
        effects |= Effects::COPY_FILE;
    }
    effects
}

/// The verb of a statement; for `WITH` and parentheses the one behind them.
fn leading_verb(lexemes: &[Lexeme<'_>]) -> Verb {
    let open = lexemes.iter().take_while(|lexeme| **lexeme == Lexeme::LeftParen);
    let rest = lexemes.get(open.count()..).unwrap_or_default();
    let word = rest.first().map_or("", |lexeme| lexeme.word());
    if word != "with" {
        return Verb::from_keyword(word);
    }
    let mut depth = 0usize;
    let mut closed = false;
    for lexeme in rest {
        match lexeme {
            Lexeme::LeftParen => depth += 1,
            Lexeme::RightParen => depth = depth.saturating_sub(1),
            Lexeme::Word(word) if depth == 0 && closed => {
                let verb = Verb::from_keyword(word);
                if matches!(
                    verb,
                    Verb::Select
                        | Verb::Values
                        | Verb::Table
                        | Verb::Insert
                        | Verb::Update
                        | Verb::Delete
                        | Verb::Merge
                ) {
                    return verb;
                }
            }
            _ => {}
        }
        closed = *lexeme == Lexeme::RightParen || (closed && depth > 0);
    }
    Verb::Unknown
}

/// `PREPARE TRANSACTION 'id'`, which prepares no statement.
fn prepares_transaction(lexemes: &[Lexeme<'_>]) -> bool {
    matches!(
        lexemes,
        [Lexeme::Word("prepare"), Lexeme::Word("transaction"), Lexeme::String]
    )
}

fn defines_function(lexemes: &[Lexeme<'_>]) -> bool {
    let words = [1, 3].map(|at| lexemes.get(at).map_or("", |lexeme| lexeme.word()));
    matches!(words, ["function" | "procedure", _] | ["or", "function" | "procedure"])
}

/// Place of the first `word` outside of parentheses.
fn top_level(lexemes: &[Lexeme<'_>], word: &str) -> Option<usize> {
    let mut depth = 0usize;
    lexemes.iter().position(|lexeme| {
        match lexeme {
            Lexeme::LeftParen => depth += 1,
            Lexeme::RightParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && lexeme.word() == word
    })
}

/// Where the explained statement starts, and whether it may be run.
fn explained(lexemes: &[Lexeme<'_>]) -> (usize, bool) {
    let is_analyze = |lexeme: &Lexeme<'_>| {
        let name = lexeme.name().unwrap_or_default();
        name.eq_ignore_ascii_case("analyze") || name.eq_ignore_ascii_case("analyse")
    };
    let mut at = 1;
    let mut analyze = false;
    let query_follows = matches!(
        lexemes.get(2).map_or("", |lexeme| lexeme.word()),
        "select" | "with" | "values" | "table"
    );
    if lexemes.get(1) == Some(&Lexeme::LeftParen) && !query_follows {
        let rest = lexemes.get(2..).unwrap_or_default();
        let close = rest.iter().position(|lexeme| *lexeme == Lexeme::RightParen);
        let close = close.unwrap_or(rest.len());
        analyze = rest.iter().take(close).any(is_analyze);
        at = (close + 3).min(lexemes.len());
    }
    while let Some(lexeme) = lexemes.get(at) {
        if !is_analyze(lexeme) && lexeme.word() != "verbose" {
            break;
        }
        analyze |= is_analyze(lexeme);
        at += 1;
    }
    (at, analyze)
}
