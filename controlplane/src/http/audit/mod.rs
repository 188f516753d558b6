//! `/api/audit`: whether the record is as it was taken in.

pub mod verify;
