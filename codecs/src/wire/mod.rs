//! Building blocks that several protocols share: checked reading, SCRAM, SQL text to effects.

pub mod cursor;
pub mod scram;
pub mod sql;
