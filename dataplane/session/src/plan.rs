//! Per result: which columns are passed over, looked at, or masked as a whole. Made once, used for every row.

use std::collections::BTreeMap;
use std::rc::Rc;

use codecs::fact::Origin;
use codecs::postgres::inspector::{Column, Described, ResultFormats, Shape};
use codecs::postgres::message::Format;
use codecs::postgres::rewriter::{Escaping, Kind};
use scan::Context;

use crate::limits::RESOLVED_COLUMNS_MAX;
use crate::policy::{ColumnName, RuleSet};
use crate::session::ResolvedColumn;

/// What happens to the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Skip,
    Scan,
    /// Masked whole by the rule for this index of the connection's columns.
    Hide(usize),
    /// Masked whole because it comes from no table.
    HideUnattributed,
    /// Comes from no table, so that the result is refused.
    Deny,
    /// Its type or format is not known.
    Unreadable,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnPlan {
    pub act: Act,
    /// Values up to this length are passed over.
    pub passed_bytes_max: usize,
    pub kind: Kind,
    pub format: Format,
    /// Values are text that a scan reads as it stands unless a backslash or an ampersand is in it: how it is written then.
    pub as_is: Option<Escaping>,
    pub context: Context,
}

impl ColumnPlan {
    /// What happens to values of this kind. [`Act::Scan`] becomes [`Act::Skip`] where there is nothing to look for.
    pub(crate) fn new(rules: &RuleSet, name: &[u8], kind: Kind, format: Format, act: Act) -> ColumnPlan {
        let act = match act {
            Act::Scan if is_skipped(rules, kind) => Act::Skip,
            act => act,
        };
        let context = match (&rules.scanner, std::str::from_utf8(name)) {
            (Some(scanner), Ok(name)) => scanner.context_of(name),
            _ => Context::default(),
        };
        ColumnPlan {
            act,
            passed_bytes_max: passed_bytes_max(act, kind, format, rules),
            kind,
            format,
            as_is: as_is(kind, format).filter(|_| act == Act::Scan),
            context,
        }
    }
}

/// The plan for a result.
#[derive(Debug)]
pub(crate) struct Plan {
    /// `None`: the columns are not known, every one is unreadable.
    pub columns: Option<Box<[ColumnPlan]>>,
    /// Nothing is asked of any column: rows are passed by their length.
    pub trivial: bool,
    /// It has text of unknown origin, and that is refused.
    pub denied: bool,
    /// It has columns of a relation that was made after the lookup.
    pub unknown_relation: bool,
    pub shape: Option<Rc<Shape>>,
    formats: Option<ResultFormats>,
    generation: u64,
}

/// Columns of the connection's rules as they are on the target.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// Sorted by origin.
    pub known: Box<[(Origin, usize)]>,
    /// Relations above this were made after the lookup; 0: not known.
    pub relation_oid_max: u32,
    /// The lookup does not tell of all columns, or of what tables are now: every relation that it did not find is unknown.
    pub stale: bool,
}

impl Origins {
    /// What the lookup found.
    pub(crate) fn of(columns: &[ResolvedColumn], relation_oid_max: u32) -> Origins {
        let origin = |column: &ResolvedColumn| Origin {
            table: column.table_oid,
            attribute: column.attribute,
        };
        let mut known: Vec<(Origin, usize)> = columns.iter().map(|column| (origin(column), column.index)).collect();
        known.sort_by_key(|(origin, _)| (origin.table, origin.attribute));
        Origins {
            known: known.into(),
            relation_oid_max,
            stale: false,
        }
    }

    /// A newer lookup. What an earlier one found stays: a table keeps its number whatever it is called, and numbers of tables that
    /// are gone are not used again.
    pub(crate) fn add(&mut self, found: impl Iterator<Item = ResolvedColumn>, relation_oid_max: u32) {
        let mut columns: BTreeMap<(u32, i16), usize> = BTreeMap::new();
        for (origin, index) in self.known.iter().take(RESOLVED_COLUMNS_MAX) {
            columns.insert((origin.table, origin.attribute), *index);
        }
        columns.extend(found.map(|column| ((column.table_oid, column.attribute), column.index)));
        let known = columns
            .into_iter()
            .map(|((table, attribute), index)| (Origin { table, attribute }, index));
        self.known = known.collect();
        self.relation_oid_max = self.relation_oid_max.max(relation_oid_max);
        self.stale = false;
    }

    /// The rules name other columns now, in another order.
    pub(crate) fn rename(&mut self, before: &[ColumnName], now: &[ColumnName]) {
        let known = self.known.iter().filter_map(|(origin, index)| {
            let name = before.get(*index)?;
            let index = now.iter().position(|column| column == name)?;
            Some((*origin, index))
        });
        self.known = known.collect();
        self.stale = true;
    }

    /// Whether nobody knows what the relation of this column is.
    pub(crate) fn is_unknown(&self, origin: Origin) -> bool {
        let found = || {
            self.known
                .binary_search_by_key(&(origin.table, origin.attribute), |(o, _)| (o.table, o.attribute))
        };
        self.is_young(origin.table) && found().is_err()
    }

    /// Whether the rule's column was found in this table.
    pub(crate) fn has_table(&self, table: u32, index: usize) -> bool {
        let first = self.known.partition_point(|(origin, _)| origin.table < table);
        let of_table = self
            .known
            .iter()
            .skip(first)
            .take_while(|(origin, _)| origin.table == table);
        of_table.into_iter().any(|(_, known)| *known == index)
    }

    /// Whether the relation was made after the lookup.
    pub(crate) fn is_young(&self, table: u32) -> bool {
        self.stale || self.relation_oid_max != 0 && table > self.relation_oid_max
    }

    fn find(&self, origin: Origin, name: &[u8], columns: &[ColumnName]) -> Option<usize> {
        let key = |o: &Origin| (o.table, o.attribute);
        if let Ok(at) = self.known.binary_search_by_key(&key(&origin), |(known, _)| key(known)) {
            return self.known.get(at).map(|(_, index)| *index);
        }
        // A relation that is younger than the lookup, such as a table that was made anew: the name has to do.
        self.is_young(origin.table)
            .then(|| columns.iter().position(|column| column.column.as_bytes() == name))
            .flatten()
    }
}

/// What a plan is made from.
pub(crate) struct Basis<'a> {
    pub rules: Option<&'a RuleSet>,
    pub origins: &'a Origins,
    pub columns: &'a [ColumnName],
    pub generation: u64,
}

impl Plan {
    /// The plan for rows described by `result`, whose formats `formats` override if given.
    pub(crate) fn make(basis: &Basis<'_>, result: &Described, formats: Option<&ResultFormats>) -> Plan {
        let nothing = |trivial| Plan {
            columns: None,
            trivial,
            denied: false,
            unknown_relation: false,
            shape: None,
            formats: formats.cloned(),
            generation: basis.generation,
        };
        let Some(rules) = basis.rules else {
            return Plan {
                shape: shape(result),
                ..nothing(true)
            };
        };
        let Described::Rows(shape) = result else {
            return nothing(false);
        };
        let columns: Box<[ColumnPlan]> = shape
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let format = match formats {
                    Some(formats) => formats.of(index),
                    None => Some(column.format),
                };
                let name = shape.name(column);
                let kind = Kind::of(column.type_oid);
                let hide = column
                    .origin
                    .and_then(|origin| basis.origins.find(origin, name, basis.columns));
                // A view that nobody has looked at may show a column under another name.
                let unresolved = column.origin.is_none_or(|origin| basis.origins.is_unknown(origin));
                let act = match (hide.filter(|index| rules.columns.contains_key(index)), format) {
                    (_, None) => Act::Unreadable,
                    (Some(index), _) => Act::Hide(index),
                    (None, _) if unresolved && holds_text(kind) && rules.unattributed_denied.is_some() => Act::Deny,
                    (None, _) if unresolved && holds_text(kind) && rules.unattributed.is_some() => {
                        Act::HideUnattributed
                    }
                    _ => Act::Scan,
                };
                ColumnPlan::new(rules, name, kind, format.unwrap_or(Format::Text), act)
            })
            .collect();
        let trivial = rules.scanner.is_none() && columns.iter().all(|column| column.act == Act::Skip);
        let unknown = |column: &ColumnPlan| column.act == Act::Deny;
        let is_unknown = |column: &Column| column.origin.is_some_and(|origin| basis.origins.is_unknown(origin));
        Plan {
            denied: columns.iter().any(unknown),
            unknown_relation: shape.columns.iter().any(is_unknown),
            columns: Some(columns),
            shape: Some(Rc::clone(shape)),
            ..nothing(trivial)
        }
    }

    /// Whether it is the plan for these rows under this policy.
    pub(crate) fn fits(&self, result: &Described, formats: Option<&ResultFormats>, generation: u64) -> bool {
        let same = match (result, &self.shape) {
            (Described::Rows(shape), Some(own)) => Rc::ptr_eq(shape, own),
            _ => false,
        };
        same && self.generation == generation && self.formats.as_ref() == formats
    }

    /// The column's name as the client sees it, for the record.
    pub(crate) fn name(&self, index: u16) -> String {
        let column = self.shape.as_ref().and_then(|shape| {
            let column = shape.columns.get(usize::from(index))?;
            Some(String::from_utf8_lossy(shape.name(column)).into_owned())
        });
        column.unwrap_or_else(|| format!("column {}", index + 1))
    }
}

fn shape(result: &Described) -> Option<Rc<Shape>> {
    match result {
        Described::Rows(shape) => Some(Rc::clone(shape)),
        _ => None,
    }
}

fn is_skipped(rules: &RuleSet, kind: Kind) -> bool {
    rules.scanner.is_none() || kind.is_number() && !rules.finds_digits
}

/// The longest value of a column at which nobody has to look.
fn passed_bytes_max(act: Act, kind: Kind, format: Format, rules: &RuleSet) -> usize {
    match act {
        Act::Skip => usize::MAX,
        Act::Scan => passed_when_scanned(kind, format, rules),
        // An empty value tells nothing.
        Act::Hide(_) | Act::HideUnattributed | Act::Deny | Act::Unreadable => 0,
    }
}

/// The longest value of a kind in which a scan would find nothing.
pub(crate) fn passed_when_scanned(kind: Kind, format: Format, rules: &RuleSet) -> usize {
    if rules.scanner.is_none() {
        return usize::MAX;
    }
    let too_short = match (kind.is_number(), format) {
        // A packed number has few bytes for many digits.
        (true, Format::Binary) => 0,
        (true, Format::Text) => rules.number_bytes_min.max(rules.finding_bytes_min).saturating_sub(1),
        (false, _) => rules.finding_bytes_min.saturating_sub(1),
    };
    too_short.max(kind.plain_bytes_max())
}

/// How values of a kind are written whose every other way of writing shows by a backslash or an ampersand.
fn as_is(kind: Kind, format: Format) -> Option<Escaping> {
    match (kind, format) {
        (Kind::Json | Kind::Jsonb, Format::Text) => Some(Escaping::Json),
        (Kind::Text | Kind::Int | Kind::Numeric, Format::Text) | (Kind::Text, Format::Binary) => Some(Escaping::None),
        _ => None,
    }
}

fn holds_text(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Text | Kind::Json | Kind::Jsonb | Kind::Xml | Kind::Bytea | Kind::Array | Kind::Composite | Kind::Other
    )
}
