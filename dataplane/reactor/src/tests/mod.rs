//! Tests on both back ends.
