//! The audit: taking records in exactly once, and showing sessions, statements and recordings.

pub mod ingest;
pub mod intake;
pub mod postgres;
pub mod view;
pub mod words;
