//! Which statements are refused.
