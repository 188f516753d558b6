//! Matcher: finds personal data and secrets in bytes, with exact spans.
//!
//! Compile a policy with [`Scanner::build`], then scan complete values ([`Scanner::scan`]), many packed values at once
//! ([`Scanner::scan_cells`]), or text that arrives in parts ([`Stream`]). What is found never depends on how the text was cut, the
//! work is linear in its length, and a stream keeps back at most [`Report::hold_back_bytes_max`] bytes.
//!
//! One pass over the text looks every byte up in a table (`trigger`). Few bytes give away a candidate, which a verifier (`detect`,
//! one file per family) then judges exactly, reading a bounded distance around it. Verdicts that would need bytes beyond
//! the end wait (`text`). What overlaps is put in one total order (`order`).
//!
//! This is the scalar engine, written to be read; vector back ends find the same candidates faster and share the verifiers.

mod algebra;
mod allow;
mod arch;
mod bulk;
mod cells;
mod class;
mod context;
mod custom;
mod detect;
mod detector;
mod dictionary;
mod engine;
mod finding;
mod forms;
mod hit;
pub mod limits;
mod nested;
mod order;
mod plan;
mod report;
mod scanner;
mod scratch;
mod shape;
mod spec;
mod stream;
mod text;
mod trigger;
mod wide;
mod words;

pub use arch::{Level, places_of};
pub use cells::Cells;
pub use context::Context;
pub use detector::{Detector, Standing};
pub use finding::{CellFinding, DetectorId, Finding};
pub use report::Report;
pub use scanner::Scanner;
pub use scratch::{Counters, Scratch};
pub use spec::{Allow, Checksum, Custom, Region, Spec, SpecError};
pub use stream::Stream;
pub use wide::{Wide, WideStream, original_span};

#[cfg(test)]
mod tests;
