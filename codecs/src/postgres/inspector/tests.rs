//! Conversations as the inspector sees them.
