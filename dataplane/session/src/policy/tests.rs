//! Snapshots with every kind of mistake.
