//! Where the columns of rules are on the target is looked up again when tables may have changed: on the session's own way, between
//! two requests, so that it sees what the session sees and the client notices nothing.
//!
//! ```text
//! client   Q "CREATE VIEW v AS SELECT name AS x FROM customers"               Q "SELECT x FROM v"
//! target   Q "CREATE VIEW …"                                  C P B E C C S Q "SELECT x FROM v"
//!                                                               our query
//! ```
//! Messages with names of their own are used, because a Query would end the client's unnamed statement.

use codecs::postgres::login::{CatalogAnswer, ColumnName, catalog_query};
use codecs::postgres::message::tag::frontend as tag;
use codecs::postgres::message::{DataRow, Target, TransactionStatus, encode};
use codecs::wire::sql::Effects;

use crate::limits::{COLUMNS_FRESH_TIME_MAX, LOOK_UP_RETRY_TIME};
use crate::policy::ConnectionPolicy;
use crate::session::{Now, ResolvedColumn, Scratch, Session};
use crate::text::Text;

/// Name of the statement and of the portal: no client has reason to take it.
const NAME: &[u8] = b"sluice catalog lookup";

/// When the columns are looked up again.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    /// A table may have changed.
    due: bool,
    /// Not before, after a look-up failed.
    not_before_micros: u64,
    /// When it was last known where the columns are; the session's beginning at first.
    fresh_at_micros: u64,
    /// What was seen may be undone with the transaction.
    in_transaction: bool,
    answer: Option<CatalogAnswer>,
}

impl Refresh {
    /// As known at a session's beginning.
    pub(crate) fn at(now: Now) -> Refresh {
        Refresh {
            fresh_at_micros: now.mono_micros(),
            ..Refresh::default()
        }
    }
}

/// What can make, change or rename a table or a view.
fn may_change_tables(effects: Effects) -> bool {
    effects.intersects(
        Effects::CREATE
            | Effects::ALTER
            | Effects::DROP
            | Effects::DO
            | Effects::CALL
            | Effects::UNKNOWN
            | Effects::DYNAMIC,
    )
}

impl Session {
    /// A statement was completed.
    pub(super) fn tables_may_have_changed(&mut self, text: &Text) {
        self.refresh.due |= text.effects.iter().copied().any(may_change_tables);
    }

    /// Rows came from a relation that nobody has looked at.
    pub(super) fn saw_unknown_relation(&mut self) {
        self.refresh.due = true;
    }

    /// The policy changed, and with it perhaps the columns.
    pub(crate) fn columns_changed(&mut self, before: &ConnectionPolicy) {
        if before.columns == self.connection.columns {
            return;
        }
        self.origins.rename(&before.columns, &self.connection.columns);
        self.refresh.due = true;
        self.refresh.not_before_micros = 0;
        // Its numbers mean other columns now.
        self.refresh.answer = None;
        self.plans.clear();
    }

    /// Asks the target where the columns are, in front of the request at `at`, if that is due and disturbs nothing.
    pub(super) fn look_up_columns(&mut self, request: u8, at: usize, scratch: &mut Scratch, now: Now) {
        let asks = matches!(
            request,
            tag::QUERY | tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE
        );
        if !asks || !self.inspector.rests() || !self.look_up_is_due(now.mono_micros()) {
            return;
        }
        let name = |column: &crate::policy::ColumnName| ColumnName {
            schema: column.schema.clone(),
            table: column.table.clone(),
            column: column.column.clone(),
        };
        let columns: Vec<ColumnName> = self.connection.columns.iter().map(name).collect();
        let text = catalog_query(&columns);
        let written = scratch.splice.write(at..at, |out| {
            // Left by a look-up that failed.
            encode::close(out, Target::Statement(NAME))?;
            encode::parse(out, NAME, text.as_bytes(), &[])?;
            encode::bind(out, NAME, NAME, &[], &[], &[])?;
            encode::execute(out, NAME, 0)?;
            encode::close(out, Target::Portal(NAME))?;
            encode::close(out, Target::Statement(NAME))?;
            encode::sync(out);
            Ok::<(), encode::EncodeError>(())
        });
        debug_assert_eq!(written, Ok(()), "names of policies have no NUL");
        self.inspector.look_up(now.mono_micros());
        self.refresh.answer = Some(CatalogAnswer::default());
    }

    fn look_up_is_due(&self, now_micros: u64) -> bool {
        let named = self.rules.as_deref().is_some_and(|rules| !rules.columns.is_empty());
        // A replication connection takes no such messages.
        if !named || self.replication.is_some() || now_micros < self.refresh.not_before_micros {
            return false;
        }
        let age = now_micros.saturating_sub(self.refresh.fresh_at_micros);
        match self.inspector.status() {
            TransactionStatus::Idle => {
                self.refresh.due || self.refresh.in_transaction || age >= COLUMNS_FRESH_TIME_MAX.as_micros() as u64
            }
            // What the transaction itself did. Anything else would be a first query of ours in somebody else's transaction, before
            // which its isolation level can be set and after which it cannot.
            TransactionStatus::InTransaction => self.refresh.due,
            TransactionStatus::Failed => false,
        }
    }

    /// A row of the answer.
    pub(super) fn look_up_row(&mut self, body: &[u8]) {
        let named = self.connection.columns.len();
        let Some(answer) = &mut self.refresh.answer else { return };
        let added = DataRow::parse(body).map(|row| answer.add(&row, named));
        if !matches!(added, Ok(Ok(()))) {
            self.refresh.answer = None;
        }
    }

    /// The answer is complete. One that failed leaves what was known, and every relation unknown that was not.
    pub(super) fn look_up_over(&mut self, failed: bool, now: Now) {
        let now_micros = now.mono_micros();
        // The time of the client's statement begins here.
        self.progress_at = now_micros;
        let answer = self
            .refresh
            .answer
            .take()
            .filter(|answer| !failed && answer.relation_oid_max > 0);
        self.plans.clear();
        let Some(answer) = answer else {
            self.origins.stale = true;
            self.refresh.not_before_micros = now_micros + LOOK_UP_RETRY_TIME.as_micros() as u64;
            self.refresh.due = true;
            return;
        };
        let found = answer.columns.iter().map(|column| ResolvedColumn {
            index: column.index,
            table_oid: column.table_oid,
            attribute: column.attribute,
        });
        self.origins.add(found, answer.relation_oid_max);
        self.refresh.due = false;
        self.refresh.fresh_at_micros = now_micros;
        self.refresh.in_transaction = self.inspector.status() != TransactionStatus::Idle;
    }
}
