//! One statement of a text as the rest of the program sees it.

use std::ops::Range;
use std::rc::Rc;

use super::copy::CopySpec;
use super::effects::Effects;
use super::limits::IDENTIFIER_BYTES_MAX;
use super::verb::Verb;

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Bytes of the text, from the first token to the last one, without the `;`.
    pub span: Range<usize>,
    /// What it does, including everything inside it.
    pub effects: Effects,
    /// Its leading command; for `WITH` the command behind it.
    pub verb: Verb,
    /// Whether the effects are exact: a full grammar understood the statement, or its leading keyword alone
    /// tells what it does. Bodies of `DO` and functions are always judged by their tokens, whatever this says.
    /// `false` means that the effects are what a conservative reading of the tokens gave.
    pub parsed: bool,
    /// The parts of a `COPY` that decide how its data is read.
    pub copy: Option<Rc<CopySpec>>,
    /// Tables that are named. Exact when `parsed`, otherwise a conservative guess.
    pub tables: Rc<[TableName]>,
    /// Functions that are called by name, also within bodies. May list more than are called, never fewer.
    pub functions: Rc<[FunctionName]>,
}

/// A name with its schema, folded and cut as PostgreSQL does it (Lexical Structure, 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Schema, where the text names one.
    pub schema: Option<String>,
    /// The name itself.
    pub name: String,
}

/// Name of a table, view or sequence.
pub type TableName = Name;

/// Name of a function or procedure.
pub type FunctionName = Name;

impl Name {
    /// A name from its last two parts; each is cut to what PostgreSQL keeps of an identifier.
    pub fn new(schema: Option<&str>, name: &str) -> Name {
        Name {
            schema: schema.map(|part| cut(part).to_owned()),
            name: cut(name).to_owned(),
        }
    }
}

fn cut(identifier: &str) -> &str {
    let mut end = identifier.len().min(IDENTIFIER_BYTES_MAX);
    while !identifier.is_char_boundary(end) {
        end -= 1;
    }
    identifier.get(..end).unwrap_or(identifier)
}
