//! Values by type: how they become text to look at, and how a masked value stays valid for its type and format.

mod escape;
mod kind;
mod mask;
mod nested;

#[cfg(test)]
mod tests;

pub use escape::{Escaping, Marks, decode, hex_run, unfold};
pub use kind::{Kind, is_range_like};
pub use mask::{Walk, Whole, mask_span, mask_text, whole};
pub use nested::{Element, elements};

/// Appends the decimal digits of a binary integer or numeric, so that it can be looked at like text. False if the value
/// has no digits to look at, or is not valid.
pub fn decimal(kind: Kind, value: &[u8], out: &mut Vec<u8>) -> bool {
    use std::io::Write;
    match (kind, value) {
        (Kind::Int, &[a, b, c, d]) => write!(out, "{}", i32::from_be_bytes([a, b, c, d])).is_ok(),
        (Kind::Int, &[a, b, c, d, e, f, g, h]) => {
            write!(out, "{}", i64::from_be_bytes([a, b, c, d, e, f, g, h])).is_ok()
        }
        (Kind::Numeric, _) => mask::numeric_digits(value, out).is_some(),
        _ => false,
    }
}
