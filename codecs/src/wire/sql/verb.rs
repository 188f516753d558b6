//! Leading keywords of statements and what each of them tells.

use super::effects::Effects;

macro_rules! verbs {
    ($($name:ident $word:literal $effects:expr, $whole:literal;)*) => {
        /// The leading command of a statement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(#[doc = concat!("`", $word, "`")] $name,)*
            /// Not one of PostgreSQL's commands.
            Unknown,
        }

        impl Verb {
            /// The verb of a keyword in lower case.
            pub fn from_keyword(word: &str) -> Verb {
                match word {
                    $($word => Verb::$name,)*
                    "start" => Verb::Begin,
                    "end" => Verb::Commit,
                    "abort" => Verb::Rollback,
                    "analyse" => Verb::Analyze,
                    _ => Verb::Unknown,
                }
            }

            /// The keyword in lower case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Verb::$name => $word,)*
                    Verb::Unknown => "unknown",
                }
            }

            /// What the keyword alone says about a statement.
            pub(super) fn effects(self) -> Effects {
                match self {
                    $(Verb::$name => $effects,)*
                    Verb::Unknown => Effects::UNKNOWN,
                }
            }

            /// Whether the leading keywords tell everything: no statement can be nested in this one.
            pub(super) fn tells_all(self) -> bool {
                match self {
                    $(Verb::$name => $whole,)*
                    Verb::Unknown => false,
                }
            }
        }
    };
}

verbs! {
    Select "select" Effects::SELECT, false;
    Values "values" Effects::SELECT, false;
    Table "table" Effects::SELECT, true;
    Insert "insert" Effects::INSERT, false;
    Update "update" Effects::UPDATE, false;
    Delete "delete" Effects::DELETE, false;
    Merge "merge" Effects::MERGE, false;
    Truncate "truncate" Effects::TRUNCATE, true;
    Create "create" Effects::CREATE, false;
    Alter "alter" Effects::ALTER, true;
    Drop "drop" Effects::DROP, true;
    Grant "grant" Effects::GRANT, true;
    Revoke "revoke" Effects::REVOKE, true;
    Copy "copy" Effects::NONE, false;
    Call "call" Effects::CALL, false;
    Do "do" Effects::DO, false;
    Prepare "prepare" Effects::PREPARE, false;
    Execute "execute" Effects::EXECUTE, true;
    Deallocate "deallocate" Effects::DEALLOCATE, true;
    Explain "explain" Effects::EXPLAIN, false;
    Set "set" Effects::SET, true;
    Reset "reset" Effects::SET, true;
    Show "show" Effects::SHOW, true;
    Discard "discard" Effects::SET, true;
    Begin "begin" Effects::TRANSACTION, true;
    Commit "commit" Effects::TRANSACTION, true;
    Rollback "rollback" Effects::TRANSACTION, true;
    Savepoint "savepoint" Effects::TRANSACTION, true;
    Release "release" Effects::TRANSACTION, true;
    Lock "lock" Effects::LOCK, true;
    Vacuum "vacuum" Effects::VACUUM, true;
    Analyze "analyze" Effects::MAINTENANCE, true;
    Reindex "reindex" Effects::MAINTENANCE, true;
    Cluster "cluster" Effects::MAINTENANCE, true;
    Repack "repack" Effects::MAINTENANCE, true;
    Refresh "refresh" Effects::MAINTENANCE, true;
    Checkpoint "checkpoint" Effects::MAINTENANCE, true;
    Listen "listen" Effects::LISTEN, true;
    Unlisten "unlisten" Effects::LISTEN, true;
    Notify "notify" Effects::NOTIFY, true;
    Declare "declare" Effects::CURSOR, false;
    Fetch "fetch" Effects::CURSOR, true;
    Move "move" Effects::CURSOR, true;
    Close "close" Effects::CURSOR, true;
    Comment "comment" Effects::COMMENT, true;
    Security "security" Effects::COMMENT, true;
    Load "load" Effects::LOAD, true;
    Import "import" IMPORT, true;
    Reassign "reassign" Effects::REASSIGN, true;
}

/// `IMPORT FOREIGN SCHEMA` makes tables and asks another server for them.
const IMPORT: Effects = Effects::CREATE.with(Effects::REMOTE);
