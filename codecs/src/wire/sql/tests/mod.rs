//! Tests of the SQL text analysis.
