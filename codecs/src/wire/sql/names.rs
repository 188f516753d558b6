//! Names of tables and functions, found in the tokens of a statement.

use std::collections::HashSet;

use super::effects::Effects;
use super::lexeme::Lexeme;
use super::limits::NAMES_MAX;
use super::statement::{FunctionName, Name, TableName};

/// Names without repetition, in the order of their first appearance.
#[derive(Default)]
pub(super) struct Names {
    list: Vec<Name>,
    known: HashSet<Name>,
    overflow: bool,
}

impl Names {
    /// Adds a name unless it is there.
    pub(super) fn add(&mut self, name: Name) {
        if self.overflow || self.known.contains(&name) {
            return;
        }
        if self.list.len() >= NAMES_MAX {
            self.overflow = true;
            return;
        }
        self.known.insert(name.clone());
        self.list.push(name);
    }

    /// Takes a name out again.
    pub(super) fn remove_unqualified(&mut self, name: &str) {
        self.list.retain(|known| known.schema.is_some() || known.name != name);
    }

    /// The names, and [`Effects::UNKNOWN`] if there were too many.
    pub(super) fn finish(self) -> (Vec<Name>, Effects) {
        let effects = if self.overflow { Effects::UNKNOWN } else { Effects::NONE };
        (self.list, effects)
    }
}

/// What calling a function of the server does beyond returning a value.
pub(super) fn function_effects(name: &str) -> Effects {
    match name {
        "set_config" => Effects::SET,
        "pg_read_file"
        | "pg_read_binary_file"
        | "pg_ls_dir"
        | "pg_stat_file"
        | "lo_import"
        | "lo_export"
        | "pg_ls_logdir"
        | "pg_ls_waldir"
        | "pg_ls_tmpdir"
        | "pg_ls_archive_statusdir"
        | "pg_ls_logicalsnapdir"
        | "pg_ls_logicalmapdir"
        | "pg_ls_replslotdir"
        | "pg_ls_summariesdir"
        | "pg_file_write"
        | "pg_file_read"
        | "pg_file_unlink"
        | "pg_file_rename"
        | "pg_logfile_rotate"
        | "pg_current_logfile"
        | "pg_logdir_ls" => Effects::SERVER_FILE,
        "lo_creat" | "lo_create" | "lo_from_bytea" => Effects::INSERT,
        "lowrite" | "lo_put" | "lo_truncate" | "lo_truncate64" => Effects::UPDATE,
        "lo_unlink" => Effects::DELETE,
        "dblink"
        | "dblink_connect"
        | "dblink_connect_u"
        | "dblink_exec"
        | "dblink_open"
        | "dblink_fetch"
        | "dblink_send_query"
        | "postgres_fdw_get_connections" => Effects::REMOTE,
        _ => Effects::NONE,
    }
}

/// Adds every name that is followed by `(` and is not a keyword that may stand there.
pub(super) fn functions(lexemes: &[Lexeme<'_>], out: &mut Names) -> Effects {
    let mut effects = Effects::NONE;
    for (at, lexeme) in lexemes.iter().enumerate() {
        let Some(before) = at.checked_sub(1) else {
            continue;
        };
        let called = match (lexeme, lexemes.get(before)) {
            (Lexeme::LeftParen, Some(called)) => *called,
            _ => continue,
        };
        let Some(name) = called.name() else { continue };
        let (schema, first) = qualifier(lexemes, before);
        let word = first.checked_sub(1).and_then(|at| lexemes.get(at));
        let introduced = matches!(word.map_or("", |lexeme| lexeme.word()), "into" | "references" | "copy");
        if introduced || (schema.is_none() && not_a_call(called.word())) {
            continue;
        }
        effects |= function_effects(name);
        out.add(FunctionName::new(schema, name));
    }
    effects
}

/// The part in front of `name` at `at`, and where the whole name starts.
fn qualifier<'f>(lexemes: &[Lexeme<'f>], at: usize) -> (Option<&'f str>, usize) {
    let mut schema = None;
    let mut first = at;
    while let Some(before) = first.checked_sub(2) {
        if lexemes.get(before + 1) != Some(&Lexeme::Dot) {
            break;
        }
        let Some(part) = lexemes.get(before).and_then(|lexeme| lexeme.name()) else {
            break;
        };
        schema = schema.or(Some(part));
        first = before;
    }
    (schema, first)
}

/// Keywords that stand in front of a parenthesis without being called.
fn not_a_call(word: &str) -> bool {
    matches!(
        word,
        "all"
            | "analyze"
            | "and"
            | "any"
            | "array"
            | "as"
            | "by"
            | "case"
            | "check"
            | "conflict"
            | "cube"
            | "distinct"
            | "else"
            | "except"
            | "exists"
            | "explain"
            | "filter"
            | "foreign"
            | "from"
            | "having"
            | "in"
            | "intersect"
            | "key"
            | "materialized"
            | "join"
            | "lateral"
            | "like"
            | "limit"
            | "not"
            | "offset"
            | "on"
            | "or"
            | "over"
            | "primary"
            | "returning"
            | "rollup"
            | "row"
            | "rows"
            | "select"
            | "set"
            | "sets"
            | "some"
            | "then"
            | "to"
            | "union"
            | "unique"
            | "using"
            | "values"
            | "when"
            | "where"
            | "window"
            | "with"
    )
}

/// Adds the names that stand where a table may stand. Used where no parser understood the statement, so it
/// takes rather too many than too few.
pub(super) fn tables(lexemes: &[Lexeme<'_>], out: &mut Names) {
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        at += 1;
        let introduces = matches!(
            lexeme.word(),
            "from"
                | "join"
                | "into"
                | "update"
                | "table"
                | "using"
                | "truncate"
                | "view"
                | "on"
                | "only"
                | "copy"
                | "references"
                | "lock"
                | "vacuum"
                | "analyze"
        );
        if introduces {
            at = name_list(lexemes, at, out);
        }
    }
}

/// Reads `name [alias] , name …` at `at`; gives where it stopped.
fn name_list(lexemes: &[Lexeme<'_>], mut at: usize, out: &mut Names) -> usize {
    loop {
        while matches!(
            lexemes.get(at).map_or("", |lexeme| lexeme.word()),
            "only" | "if" | "not" | "exists" | "table" | "concurrently" | "lateral" | "binary"
        ) {
            at += 1;
        }
        let Some(after) = name_at(lexemes, at, out) else {
            return at;
        };
        at = after;
        if lexemes.get(at) == Some(&Lexeme::Operator("*")) {
            at += 1;
        }
        if lexemes.get(at).is_some_and(|lexeme| lexeme.word() == "as") {
            at += 1;
        }
        if lexemes.get(at + 1) == Some(&Lexeme::Comma) && lexemes[at].name().is_some() {
            at += 1;
        }
        if lexemes.get(at) != Some(&Lexeme::Comma) {
            return at;
        }
        at += 1;
    }
}

/// Reads a dotted name at `at` and adds it, unless it is called as a function.
pub(super) fn name_at(lexemes: &[Lexeme<'_>], at: usize, out: &mut Names) -> Option<usize> {
    let (name, end) = dotted(lexemes, at)?;
    let reserved = name.schema.is_none() && starts_clause(lexemes.get(at)?.word());
    if !reserved {
        out.add(name);
    }
    (!reserved).then_some(end)
}

/// The dotted name at `at` and where it ends.
pub(super) fn dotted(lexemes: &[Lexeme<'_>], at: usize) -> Option<(TableName, usize)> {
    let mut name = lexemes.get(at)?.name()?;
    let mut schema = None;
    let mut end = at + 1;
    while lexemes.get(end) == Some(&Lexeme::Dot) {
        let Some(part) = lexemes.get(end + 1).and_then(|lexeme| lexeme.name()) else {
            break;
        };
        schema = Some(name);
        name = part;
        end += 2;
    }
    Some((TableName::new(schema, name), end))
}

fn starts_clause(word: &str) -> bool {
    matches!(
        word,
        "select" | "set" | "where" | "values" | "to" | "from" | "stdin" | "stdout" | "program"
    )
}
