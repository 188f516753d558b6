//! Effects of code that a statement carries in a string: bodies of `DO` and functions, texts that are executed.

use super::classify::{self, Context, Mode};
use super::effects::Effects;
use super::fingerprint::Fingerprinter;
use super::lexeme::{Lexeme, lexemes};
use super::lexer::LexOptions;
use super::limits::CODE_NESTING_MAX;
use super::names;

/// Effects of a text in SQL or PL/pgSQL, judged by its tokens.
pub(super) fn effects(text: &str, context: &mut Context<'_>) -> Effects {
    if text.is_empty() {
        return Effects::NONE;
    }
    if context.depth >= CODE_NESTING_MAX || !context.pay(text.len()) {
        return Effects::UNKNOWN;
    }
    let options = LexOptions {
        standard_conforming_strings: context.conforming,
    };
    let mut bytes = Vec::with_capacity(text.len() * 2);
    Fingerprinter::code(text, options, &mut bytes);
    let lexemes = lexemes(&bytes);
    let mut inner = Context {
        conforming: context.conforming,
        depth: context.depth + 1,
        functions: context.functions,
        steps: context.steps,
    };
    let found = classify::classify(&lexemes, Mode::Code, &mut inner);
    let steps = inner.steps;
    let functions = names::functions(&lexemes, inner.functions);
    context.steps = steps;
    found.all() | functions
}

/// The code of a `DO` or `CREATE FUNCTION` statement.
pub(super) struct Body {
    pub(super) effects: Effects,
    /// Whether the language is one that is read, and the body is where it is expected.
    pub(super) known: bool,
}

/// Finds and reads the body of a `DO`, `CREATE FUNCTION` or `CREATE PROCEDURE` statement.
pub(super) fn body(lexemes: &[Lexeme<'_>], default: &str, context: &mut Context<'_>) -> Body {
    let mut language = default.to_owned();
    let mut effects = Effects::NONE;
    let mut found = false;
    let mut depth = 0usize;
    let mut previous = "";
    for lexeme in lexemes {
        match lexeme {
            Lexeme::LeftParen => depth += 1,
            Lexeme::RightParen => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Lexeme::Word(name) | Lexeme::Name(name) if previous == "language" => {
                language = name.to_ascii_lowercase();
            }
            Lexeme::Code(text) if previous == "language" => language = text.to_ascii_lowercase(),
            Lexeme::Code(text) => {
                found = true;
                effects |= self::effects(text, context);
            }
            // The body follows as tokens of the statement itself.
            Lexeme::Word("atomic" | "return") => found = true,
            _ => {}
        }
        previous = lexeme.word();
    }
    let known = found && matches!(language.as_str(), "sql" | "plpgsql");
    if !known {
        effects |= Effects::UNKNOWN;
    }
    Body { effects, known }
}
