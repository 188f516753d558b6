//! Values in and out.
