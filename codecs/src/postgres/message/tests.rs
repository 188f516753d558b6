//! Every message there and back, and bodies that break their format.
