//! What frames mean, in words that hold for every protocol.

use std::ops::Range;

/// How a statement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Text that is run at once.
    Simple,
    /// A prepared statement that is run.
    Extended,
    /// A statement that is only prepared.
    Prepare,
    /// A function called without text.
    Function,
    /// Work that ends without a statement of its own, such as the commit of an implicit transaction.
    Commit,
}

impl Form {
    /// The word in audit events.
    pub fn name(self) -> &'static str {
        match self {
            Form::Simple => "simple",
            Form::Extended => "extended",
            Form::Prepare => "prepare",
            Form::Function => "function",
            Form::Commit => "commit",
        }
    }
}

/// The column of a table that a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Number of the relation on the target.
    pub table: u32,
    /// Number of the column in it.
    pub attribute: i16,
}

/// Where text that is not a result can hold values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aside {
    Error,
    Notice,
    Notification,
    Parameter,
}

impl Aside {
    /// The word in audit events.
    pub fn name(self) -> &'static str {
        match self {
            Aside::Error => "error",
            Aside::Notice => "notice",
            Aside::Notification => "notification",
            Aside::Parameter => "status",
        }
    }
}

/// A piece of text to look at: where it is in its frame's body.
pub type Span = Range<usize>;
