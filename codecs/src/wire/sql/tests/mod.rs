//! Tests of the SQL text analysis.

mod cases;
mod copying;
mod corpus;
mod lexing;
mod properties;
mod splits;

use super::{Analyzer, Effects, LexOptions, Statement};

/// The statements of `text`, read with standard conforming strings.
fn analyze(text: &str) -> Vec<Statement> {
    Analyzer::new(16)
        .analyze(text, LexOptions::default())
        .statements
        .to_vec()
}

/// All effects of `text`.
fn effects(text: &str) -> Effects {
    let statements = analyze(text);
    let each = statements.iter().map(|statement| statement.effects);
    each.fold(Effects::NONE, |all, one| all | one)
}
