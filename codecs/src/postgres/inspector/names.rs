//! Prepared statements and portals by name, in the client's view (front) and the server's (back).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use smallvec::SmallVec;

use super::name_hash::NameHash;
use super::shape::Shape;
use crate::postgres::message::{Format, Formats};

/// A name as it stands in messages; the empty one is the unnamed statement or portal.
pub(super) type Name = Rc<[u8]>;

/// What is known about the rows that a statement or portal returns.
#[derive(Debug, Clone, Default)]
pub enum Described {
    #[default]
    Unknown,
    /// It returns no rows.
    Nothing,
    Rows(Rc<Shape>),
}

/// A prepared statement.
#[derive(Debug)]
pub struct Prepared<T> {
    pub(super) name: Name,
    /// `None` if it was prepared where its text could not be seen.
    pub statement: Option<T>,
    pub(super) shape: RefCell<Described>,
    /// The client's or our Describe of it is on its way or answered.
    pub(super) described: Cell<bool>,
    /// Answered by the server; text bytes it stands for in the bound of the table.
    pub(super) weight: usize,
}

/// The format of each result column as a Bind asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultFormats(SmallVec<[Format; 8]>);

impl ResultFormats {
    pub(super) fn set(&mut self, formats: &Formats<'_>) {
        self.0.clear();
        self.0.extend(formats.iter());
    }

    /// The format of column `index`: none given means text, one given holds for all.
    pub fn of(&self, index: usize) -> Option<Format> {
        match self.0.as_slice() {
            [] => Some(Format::Text),
            [only] => Some(*only),
            list => list.get(index).copied(),
        }
    }
}

/// A statement with values, ready to run.
#[derive(Debug)]
pub struct Portal<T> {
    pub(super) name: Name,
    pub(super) statement_name: Name,
    /// As the client believes; what the server bound is found when it confirms.
    pub(super) front: Option<Rc<Prepared<T>>>,
    pub(super) bound: RefCell<Option<Rc<Prepared<T>>>>,
    /// Result formats of its Bind.
    pub formats: ResultFormats,
    /// What the caller noted about the values.
    pub parameters: Vec<u8>,
    /// From a Describe of the portal itself; its formats are final.
    pub(super) shape: RefCell<Described>,
    pub(super) described: Cell<bool>,
    /// For the caller: rows and bytes that it gave in earlier Executes.
    pub delivered: Cell<(u64, u64)>,
}

impl<T: Clone> Portal<T> {
    fn new(name: Name, statement_name: Name) -> Self {
        Portal {
            name,
            statement_name,
            front: None,
            bound: RefCell::new(None),
            formats: ResultFormats::default(),
            parameters: Vec::new(),
            shape: RefCell::default(),
            described: Cell::new(false),
            delivered: Cell::new((0, 0)),
        }
    }

    /// The statement that it runs: the server's truth, or the client's before the server has confirmed.
    pub fn statement(&self) -> Option<T> {
        let bound = self.bound.borrow();
        bound
            .as_ref()
            .or(self.front.as_ref())
            .and_then(|prepared| prepared.statement.clone())
    }

    /// Name of that statement; empty if it has none.
    pub fn statement_name(&self) -> &[u8] {
        &self.statement_name
    }

    /// Its columns, and the formats that override theirs if they came from the statement.
    pub(super) fn result(&self) -> Described {
        match &*self.shape.borrow() {
            Described::Unknown => match &*self.bound.borrow() {
                Some(prepared) => prepared.shape.borrow().clone(),
                None => Described::Unknown,
            },
            known => known.clone(),
        }
    }

    /// Whether its own Describe was answered, so that the described formats are those of the rows.
    pub fn has_own_shape(&self) -> bool {
        !matches!(&*self.shape.borrow(), Described::Unknown)
    }
}

#[derive(Debug)]
struct Slot<X> {
    front: Option<Rc<X>>,
    back: Option<Rc<X>>,
}

impl<X> Default for Slot<X> {
    fn default() -> Self {
        Slot {
            front: None,
            back: None,
        }
    }
}

impl<X> Slot<X> {
    fn is_empty(&self) -> bool {
        self.front.is_none() && self.back.is_none()
    }
}

type Table<X> = HashMap<Name, Slot<X>, NameHash>;

/// Both views of all names. The unnamed ones have a slot of their own: no lookup, no allocation for them.
#[derive(Debug)]
pub(super) struct Names<T> {
    empty: Name,
    unnamed_statement: Slot<Prepared<T>>,
    unnamed_portal: Slot<Portal<T>>,
    /// The last unnamed portal, for its memory.
    spare: Option<Rc<Portal<T>>>,
    statements: Option<Box<Table<Prepared<T>>>>,
    portals: Option<Box<Table<Portal<T>>>>,
    /// Sum of the weights of all statements.
    pub(super) weight: usize,
    /// An error made the views differ.
    pub(super) diverged: bool,
}

impl<T: Clone> Names<T> {
    pub(super) fn new() -> Self {
        Names {
            empty: Rc::from([]),
            unnamed_statement: Slot::default(),
            unnamed_portal: Slot::default(),
            spare: None,
            statements: None,
            portals: None,
            weight: 0,
            diverged: false,
        }
    }

    pub(super) fn statements_len(&self) -> usize {
        self.statements.as_ref().map_or(0, |table| table.len())
    }

    pub(super) fn portals_len(&self) -> usize {
        self.portals.as_ref().map_or(0, |table| table.len())
    }

    /// The shared copy of a statement's name.
    pub(super) fn statement_name(&self, name: &[u8]) -> Name {
        intern(&self.empty, self.statements.as_deref(), name)
    }

    /// The shared copy of a portal's name.
    pub(super) fn portal_name(&self, name: &[u8]) -> Name {
        intern(&self.empty, self.portals.as_deref(), name)
    }

    pub(super) fn front_statement(&self, name: &[u8]) -> Option<&Rc<Prepared<T>>> {
        slot(&self.unnamed_statement, self.statements.as_deref(), name)?
            .front
            .as_ref()
    }

    pub(super) fn back_statement(&self, name: &[u8]) -> Option<&Rc<Prepared<T>>> {
        slot(&self.unnamed_statement, self.statements.as_deref(), name)?
            .back
            .as_ref()
    }

    pub(super) fn front_portal(&self, name: &[u8]) -> Option<&Rc<Portal<T>>> {
        slot(&self.unnamed_portal, self.portals.as_deref(), name)?
            .front
            .as_ref()
    }

    pub(super) fn back_portal(&self, name: &[u8]) -> Option<&Rc<Portal<T>>> {
        slot(&self.unnamed_portal, self.portals.as_deref(), name)?.back.as_ref()
    }

    pub(super) fn set_front_statement(&mut self, name: &Name, statement: Option<Rc<Prepared<T>>>) {
        set(&mut self.unnamed_statement, &mut self.statements, name, |slot| {
            slot.front = statement
        });
    }

    /// What the server holds under the name from now on; keeps count of the bytes of text.
    pub(super) fn set_back_statement(&mut self, name: &Name, statement: Option<Rc<Prepared<T>>>) {
        let added = statement.as_ref().map_or(0, |prepared| prepared.weight);
        let mut removed = 0;
        set(&mut self.unnamed_statement, &mut self.statements, name, |slot| {
            removed = slot.back.as_ref().map_or(0, |prepared| prepared.weight);
            slot.back = statement;
        });
        self.weight = (self.weight + added).saturating_sub(removed);
    }

    pub(super) fn set_front_portal(&mut self, name: &Name, portal: Option<Rc<Portal<T>>>) {
        set(&mut self.unnamed_portal, &mut self.portals, name, |slot| {
            slot.front = portal
        });
    }

    pub(super) fn set_back_portal(&mut self, name: &Name, portal: Option<Rc<Portal<T>>>) {
        let mut old = None;
        set(&mut self.unnamed_portal, &mut self.portals, name, |slot| {
            old = std::mem::replace(&mut slot.back, portal)
        });
        if name.is_empty() {
            self.spare = old.or(self.spare.take());
        }
    }

    /// A portal object for a Bind: the last unnamed one if nobody else holds it.
    pub(super) fn new_portal(&mut self, name: &[u8], statement: &[u8]) -> Rc<Portal<T>> {
        let statement_name = self.statement_name(statement);
        if name.is_empty()
            && let Some(mut spare) = self.spare.take()
            && let Some(portal) = Rc::get_mut(&mut spare)
        {
            portal.statement_name = statement_name;
            portal.front = None;
            *portal.bound.get_mut() = None;
            *portal.shape.get_mut() = Described::Unknown;
            portal.described.set(false);
            portal.parameters.clear();
            return spare;
        }
        Rc::new(Portal::new(self.portal_name(name), statement_name))
    }

    /// The transaction is over, and every portal with it. Those that the client bound since stay in its view.
    pub(super) fn end_portals(&mut self) {
        let slot = &mut self.unnamed_portal;
        let stale = matches!((&slot.front, &slot.back), (Some(f), Some(b)) if Rc::ptr_eq(f, b));
        if stale {
            slot.front = None;
        }
        if let Some(back) = slot.back.take() {
            self.spare = Some(back);
        }
        if let Some(table) = &mut self.portals {
            table.retain(|_, slot| {
                if matches!((&slot.front, &slot.back), (Some(f), Some(b)) if Rc::ptr_eq(f, b)) {
                    slot.front = None;
                }
                slot.back = None;
                !slot.is_empty()
            });
        }
    }

    /// A simple Query drops the unnamed statement and portal.
    pub(super) fn drop_unnamed_front(&mut self) {
        self.unnamed_statement.front = None;
        self.unnamed_portal.front = None;
    }

    pub(super) fn drop_unnamed_statement_front(&mut self) {
        self.unnamed_statement.front = None;
    }

    pub(super) fn drop_unnamed_back(&mut self) {
        let empty = Rc::clone(&self.empty);
        self.set_back_statement(&empty, None);
        self.set_back_portal(&empty, None);
    }

    /// Makes the front view that of the server again.
    pub(super) fn front_from_back(&mut self) {
        fn reset<X>(slot: &mut Slot<X>) -> bool {
            slot.front.clone_from(&slot.back);
            !slot.is_empty()
        }
        reset(&mut self.unnamed_statement);
        reset(&mut self.unnamed_portal);
        if let Some(table) = &mut self.statements {
            table.retain(|_, slot| reset(slot));
        }
        if let Some(table) = &mut self.portals {
            table.retain(|_, slot| reset(slot));
        }
        self.diverged = false;
    }

    pub(super) fn forget_statement(&mut self, name: &[u8]) {
        let name = self.statement_name(name);
        self.set_back_statement(&name, None);
        self.set_front_statement(&name, None);
    }

    pub(super) fn forget_statements(&mut self) {
        let unnamed = self
            .unnamed_statement
            .back
            .as_ref()
            .map_or(0, |prepared| prepared.weight);
        self.statements = None;
        self.weight = unnamed;
    }

    /// Nothing is known about named portals any more: the next run asks the server.
    pub(super) fn forget_portals(&mut self) {
        self.portals = None;
    }

    pub(super) fn prepared_by_sql(&mut self, name: &[u8], statement: T) {
        let name = self.statement_name(name);
        let prepared = Rc::new(Prepared {
            name: Rc::clone(&name),
            statement: Some(statement),
            shape: RefCell::default(),
            described: Cell::new(false),
            weight: 0,
        });
        self.set_back_statement(&name, Some(Rc::clone(&prepared)));
        self.set_front_statement(&name, Some(prepared));
    }
}

fn intern<X>(empty: &Name, table: Option<&Table<X>>, name: &[u8]) -> Name {
    if name.is_empty() {
        return Rc::clone(empty);
    }
    match table.and_then(|table| table.get_key_value(name)) {
        Some((known, _)) => Rc::clone(known),
        None => Rc::from(name),
    }
}

fn slot<'a, X>(unnamed: &'a Slot<X>, table: Option<&'a Table<X>>, name: &[u8]) -> Option<&'a Slot<X>> {
    if name.is_empty() {
        Some(unnamed)
    } else {
        table?.get(name)
    }
}

fn set<X>(unnamed: &mut Slot<X>, table: &mut Option<Box<Table<X>>>, name: &Name, write: impl FnOnce(&mut Slot<X>)) {
    if name.is_empty() {
        return write(unnamed);
    }
    let table = table.get_or_insert_default();
    let slot = table.entry(Rc::clone(name)).or_default();
    write(slot);
    if slot.is_empty() {
        table.remove(name);
    }
}
