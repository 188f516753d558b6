//! The same tests with PostgreSQL as the store.

#[path = "../it/main.rs"]
mod it;

// The tests name each other from the root of their crate.
use it::*;
