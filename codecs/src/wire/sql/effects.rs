//! What a statement does, as a set of bits with the names that guardrail rules use.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// A set of effects. The effects of everything inside a statement are included: common table expressions,
/// the statement under `EXPLAIN ANALYZE` or `PREPARE`, the bodies of `DO` and `CREATE FUNCTION`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Effects(u64);

macro_rules! effects {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $rule:literal;)*) => {
        impl Effects {
            $($(#[$doc])* pub const $name: Effects = Effects(1 << $bit);)*
        }

        /// Every single effect with its rule name.
        const NAMES: &[(&str, Effects)] = &[$(($rule, Effects::$name)),*];
    };
}

effects! {
    /// Reads rows: `SELECT`, `VALUES`, `TABLE`.
    SELECT = 0, "select";
    /// Adds rows by `INSERT` (`COPY FROM` is [`Effects::COPY_IN`]).
    INSERT = 1, "insert";
    /// Changes rows, also by `ON CONFLICT DO UPDATE` and `MERGE … UPDATE`.
    UPDATE = 2, "update";
    /// Removes rows, also by `MERGE … DELETE`.
    DELETE = 3, "delete";
    /// `MERGE`, together with the effects of its actions.
    MERGE = 4, "merge";
    /// `TRUNCATE`.
    TRUNCATE = 5, "truncate";
    /// `DROP` of any object.
    DROP = 6, "drop";
    /// `ALTER` of any object, `ALTER SYSTEM`, `ALTER DEFAULT PRIVILEGES`.
    ALTER = 7, "alter";
    /// `CREATE` of any object, `SELECT INTO`, `IMPORT FOREIGN SCHEMA`.
    CREATE = 8, "create";
    /// `GRANT` of privileges or roles.
    GRANT = 9, "grant";
    /// `REVOKE` of privileges or roles.
    REVOKE = 10, "revoke";
    /// `COPY … FROM`.
    COPY_IN = 11, "copy-in";
    /// `COPY … TO`.
    COPY_OUT = 12, "copy-out";
    /// `COPY … PROGRAM`: the server runs a command.
    COPY_PROGRAM = 13, "copy-program";
    /// `COPY` from or to a file of the server.
    COPY_FILE = 14, "copy-file";
    /// `CALL` of a procedure.
    CALL = 15, "call";
    /// `DO` block.
    DO = 16, "do";
    /// `EXECUTE` of a prepared statement, or of a text inside a body.
    EXECUTE = 17, "execute";
    /// `PREPARE`, together with the effects of what is prepared.
    PREPARE = 18, "prepare";
    /// `SET`, `RESET`, `set_config()`, `DISCARD`.
    SET = 19, "set";
    /// Change of identity: `SET ROLE`, `SET SESSION AUTHORIZATION`, and `RESET` of these.
    SET_ROLE = 20, "set-role";
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT` and their like.
    TRANSACTION = 21, "transaction";
    /// `LOCK`.
    LOCK = 22, "lock";
    /// `VACUUM`.
    VACUUM = 23, "vacuum";
    /// `LISTEN`, `UNLISTEN`.
    LISTEN = 24, "listen";
    /// `NOTIFY`.
    NOTIFY = 25, "notify";
    /// `DECLARE`, `FETCH`, `MOVE`, `CLOSE`.
    CURSOR = 26, "cursor";
    /// `EXPLAIN`; without `ANALYZE` the explained statement does not run and its effects are not included.
    EXPLAIN = 27, "explain";
    /// `SHOW`.
    SHOW = 28, "show";
    /// `ANALYZE`, `REINDEX`, `CLUSTER`, `REFRESH MATERIALIZED VIEW`, `CHECKPOINT`.
    MAINTENANCE = 29, "maintenance";
    /// `COMMENT`, `SECURITY LABEL`.
    COMMENT = 30, "comment";
    /// `LOAD` of a library into the server.
    LOAD = 31, "load";
    /// Takes row locks: `FOR UPDATE`, `FOR SHARE` and their like.
    LOCK_ROWS = 32, "lock-rows";
    /// Reaches files of the server through functions such as `pg_read_file` or `lo_import`.
    SERVER_FILE = 33, "server-file";
    /// Reaches another server: `dblink`, `IMPORT FOREIGN SCHEMA`, `CREATE SUBSCRIPTION`, `CREATE SERVER`.
    REMOTE = 34, "remote";
    /// Runs a text: `EXECUTE` of an expression in a body, `query_to_xml`, `dblink`. If the text is not a constant,
    /// [`Effects::UNKNOWN`] is set too.
    DYNAMIC = 35, "dynamic";
    /// `REASSIGN OWNED`.
    REASSIGN = 36, "reassign";
    /// `DEALLOCATE`.
    DEALLOCATE = 37, "deallocate";
    /// `DELETE` that has no `WHERE`, at any place inside the statement. `WHERE true` is a `WHERE`: the rule is
    /// against accidents, not against intent.
    DELETE_WITHOUT_WHERE = 40, "delete-without-where";
    /// `UPDATE` that has no `WHERE`, at any place inside the statement. `WHERE true` is a `WHERE`.
    UPDATE_WITHOUT_WHERE = 41, "update-without-where";
    /// Asks for transactions that write, or changes which they are: `READ WRITE` behind `BEGIN` or `SET`, and the settings
    /// `transaction_read_only` and `default_transaction_read_only`.
    SET_READ_WRITE = 42, "set-read-write";
    /// Part of what the statement does cannot be told: leading keyword not known, code in a language that is
    /// not read, text put together at run time, quoting that does not end.
    UNKNOWN = 63, "unknown";
}

/// Rule names that stand for several effects.
const GROUPS: &[(&str, &[Effects])] = &[
    ("copy", &[Effects::COPY_IN, Effects::COPY_OUT]),
    (
        "ddl",
        &[
            Effects::CREATE,
            Effects::ALTER,
            Effects::DROP,
            Effects::TRUNCATE,
            Effects::GRANT,
            Effects::REVOKE,
            Effects::REASSIGN,
            Effects::COMMENT,
        ],
    ),
    (
        "write",
        &[
            Effects::INSERT,
            Effects::UPDATE,
            Effects::DELETE,
            Effects::MERGE,
            Effects::TRUNCATE,
            Effects::COPY_IN,
        ],
    ),
];

impl Effects {
    /// The empty set.
    pub const NONE: Effects = Effects(0);

    /// The effects that a rule name stands for: the name of one effect, or `copy`, `ddl`, `write`.
    pub fn from_rule_name(name: &str) -> Option<Effects> {
        if let Some((_, effects)) = NAMES.iter().find(|(rule, _)| *rule == name) {
            return Some(*effects);
        }
        let (_, members) = GROUPS.iter().find(|(rule, _)| *rule == name)?;
        Some(members.iter().fold(Effects::NONE, |all, one| all | *one))
    }

    /// Every rule name that [`Effects::from_rule_name`] knows.
    pub fn rule_names() -> impl Iterator<Item = &'static str> {
        let single = NAMES.iter().map(|(rule, _)| *rule);
        single.chain(GROUPS.iter().map(|(rule, _)| *rule))
    }

    /// The rule names of the effects in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let inside = NAMES.iter().filter(move |(_, effect)| self.contains(*effect));
        inside.map(|(rule, _)| *rule)
    }

    /// Both sets, as a constant expression.
    pub const fn with(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }

    /// The set as bits, stable within one version.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every effect of `other` is in this set.
    pub const fn contains(self, other: Effects) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any effect of `other` is in this set.
    pub const fn intersects(self, other: Effects) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Effects {
    type Output = Effects;
    fn bitor(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Effects) {
        self.0 |= other.0;
    }
}

impl BitAnd for Effects {
    type Output = Effects;
    fn bitand(self, other: Effects) -> Effects {
        Effects(self.0 & other.0)
    }
}

impl Sub for Effects {
    type Output = Effects;
    fn sub(self, other: Effects) -> Effects {
        Effects(self.0 & !other.0)
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        f.write_str("}")
    }
}
