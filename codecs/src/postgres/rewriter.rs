//! Edits to PostgreSQL messages with right lengths.
