//! Redaction rules beyond what all objects of the policy can: trying them out.

pub mod test;
