//! Effects from the parser: exact where it understands the statement.
//!
//! The parser gets our tokens, never the text.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Insert, MergeAction, ObjectName, ObjectNamePart, OnConflictAction, OnInsert, Query, Select, SetExpr, Statement,
    Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::effects::Effects;
use super::lexeme::Lexeme;
use super::limits::PARSER_NESTING_MAX;
use super::names::Names;
use super::statement::TableName;

/// Effects that the parser decides where it understands a statement.
pub(super) const DECIDED: Effects = Effects::DELETE_WITHOUT_WHERE.with(Effects::UPDATE_WITHOUT_WHERE);

/// What the parser understood.
pub(super) struct Tree {
    pub(super) effects: Effects,
    pub(super) deletes: usize,
    pub(super) updates: usize,
    pub(super) tables: Vec<TableName>,
}

/// Parses one statement; `None` if the parser does not understand it or it nests too deep.
pub(super) fn parse(lexemes: &[Lexeme<'_>]) -> Option<Tree> {
    let tokens = lexemes.iter().map(|lexeme| token(*lexeme));
    let tokens = tokens.collect::<Option<Vec<Token>>>()?;
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(PARSER_NESTING_MAX)
        .with_tokens(tokens);
    let statement = parser.parse_statement().ok()?;
    if parser.peek_token_ref().token != Token::EOF {
        return None;
    }
    let mut walk = Walk::default();
    let _ = statement.visit(&mut walk);
    for name in &walk.local_names {
        walk.tables.remove_unqualified(name);
    }
    let (tables, too_many) = walk.tables.finish();
    Some(Tree {
        effects: walk.effects | too_many,
        deletes: walk.deletes,
        updates: walk.updates,
        tables,
    })
}

#[derive(Default)]
struct Walk {
    effects: Effects,
    deletes: usize,
    updates: usize,
    tables: Names,
    /// Names of common table expressions.
    local_names: Vec<String>,
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Delete(delete) => {
                self.deletes += 1;
                self.effects |= Effects::DELETE;
                if delete.selection.is_none() {
                    self.effects |= Effects::DELETE_WITHOUT_WHERE;
                }
            }
            Statement::Update(update) => {
                self.updates += 1;
                self.effects |= Effects::UPDATE;
                if update.selection.is_none() {
                    self.effects |= Effects::UPDATE_WITHOUT_WHERE;
                }
            }
            Statement::Insert(insert) => self.insert(insert),
            Statement::Merge(merge) => {
                self.effects |= Effects::MERGE;
                for clause in &merge.clauses {
                    self.effects |= match clause.action {
                        MergeAction::Insert(_) => Effects::INSERT,
                        MergeAction::Update { .. } => Effects::UPDATE,
                        MergeAction::Delete { .. } => Effects::DELETE,
                        MergeAction::DoNothing { .. } => Effects::NONE,
                    };
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            for table in &with.cte_tables {
                self.local_names.push(folded(&table.alias.name));
            }
        }
        if matches!(*query.body, SetExpr::Table(_)) {
            self.effects |= Effects::SELECT;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.effects |= Effects::SELECT;
        if select.into.is_some() {
            self.effects |= Effects::CREATE;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let mut parts = relation.0.iter().rev().filter_map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(folded(ident)),
            ObjectNamePart::Function(_) => None,
        });
        if let Some(name) = parts.next() {
            self.tables.add(TableName::new(parts.next().as_deref(), &name));
        }
        ControlFlow::Continue(())
    }
}

impl Walk {
    fn insert(&mut self, insert: &Insert) {
        self.effects |= Effects::INSERT;
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on
            && let OnConflictAction::DoUpdate(_) = conflict.action
        {
            self.effects |= Effects::UPDATE;
        }
    }
}

/// Words are in lower case already, quoted names are as they are meant.
fn folded(ident: &sqlparser::ast::Ident) -> String {
    ident.value.clone()
}

/// The parser's token for one of ours.
fn token(lexeme: Lexeme<'_>) -> Option<Token> {
    Some(match lexeme {
        Lexeme::Word(word) => Token::make_word(word, None),
        Lexeme::Name(name) => Token::make_word(name, Some('"')),
        Lexeme::Code(text) => Token::SingleQuotedString(text.to_owned()),
        Lexeme::String => Token::SingleQuotedString(String::new()),
        Lexeme::Number => Token::Number("0".to_owned(), false),
        Lexeme::Parameter => Token::Placeholder("$1".to_owned()),
        Lexeme::Operator(text) => operator(text),
        Lexeme::Comma => Token::Comma,
        Lexeme::LeftParen => Token::LParen,
        Lexeme::RightParen => Token::RParen,
        Lexeme::LeftBracket => Token::LBracket,
        Lexeme::RightBracket => Token::RBracket,
        Lexeme::Dot => Token::Period,
        Lexeme::Colon => Token::Colon,
        Lexeme::DoubleColon => Token::DoubleColon,
        Lexeme::Assign => Token::Assignment,
        Lexeme::Semicolon | Lexeme::DoubleDot | Lexeme::Other | Lexeme::Unterminated => {
            return None;
        }
    })
}

fn operator(text: &str) -> Token {
    match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "^" => Token::Caret,
        "||" => Token::StringConcat,
        "=>" => Token::RArrow,
        "#" => Token::Sharp,
        "~" => Token::Tilde,
        "~*" => Token::TildeAsterisk,
        "!~" => Token::ExclamationMarkTilde,
        "!~*" => Token::ExclamationMarkTildeAsterisk,
        "~~" => Token::DoubleTilde,
        "~~*" => Token::DoubleTildeAsterisk,
        "!~~" => Token::ExclamationMarkDoubleTilde,
        "!~~*" => Token::ExclamationMarkDoubleTildeAsterisk,
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        "&&" => Token::Overlap,
        "&" => Token::Ampersand,
        "|" => Token::Pipe,
        "!!" => Token::DoubleExclamationMark,
        "@" => Token::AtSign,
        "|/" => Token::PGSquareRoot,
        "||/" => Token::PGCubeRoot,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        "#>" => Token::HashArrow,
        "#>>" => Token::HashLongArrow,
        "#-" => Token::HashMinus,
        "@>" => Token::AtArrow,
        "<@" => Token::ArrowAt,
        "@?" => Token::AtQuestion,
        "@@" => Token::AtAt,
        "?" => Token::Question,
        "?&" => Token::QuestionAnd,
        "?|" => Token::QuestionPipe,
        other => Token::CustomBinaryOperator(other.to_owned()),
    }
}
