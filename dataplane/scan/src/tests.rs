//! Tests of the whole matcher, and the notation that the detectors' tests share.
//!
//! In a text, `«` and `»` stand around what must be found; a text without them must give nothing.

use crate::{Context, Detector, Finding, Scanner, Scratch, Spec};

/// Splits a marked text into the plain text and the spans that were marked.
pub(crate) fn unmark(marked: &str) -> (String, Vec<(usize, usize)>) {
    let mut plain = String::new();
    let mut spans = Vec::new();
    let mut start = 0;
    for c in marked.chars() {
        match c {
            '«' => start = plain.len(),
            '»' => spans.push((start, plain.len())),
            other => plain.push(other),
        }
    }
    (plain, spans)
}

pub(crate) fn scan(scanner: &Scanner, text: &[u8]) -> Vec<Finding> {
    let mut out = Vec::new();
    scanner.scan(text, Context::default(), &mut Scratch::new(), &mut out);
    out
}

pub(crate) fn assert_spans_with(spec: &Spec, detector: Detector, marked: &[&str]) {
    let scanner = Scanner::build(spec).unwrap();
    for text in marked {
        let (plain, spans) = unmark(text);
        let found = scan(&scanner, plain.as_bytes());
        let found: Vec<_> = found.iter().map(|f| (f.start as usize, f.end as usize)).collect();
        assert_eq!(found, spans, "{} in {plain:?}", detector.name());
    }
}

/// The detector alone finds exactly what is marked.
pub(crate) fn assert_spans<S: AsRef<str>>(detector: Detector, marked: &[S]) {
    let marked: Vec<&str> = marked.iter().map(AsRef::as_ref).collect();
    assert_spans_with(&Spec::of(&[detector]), detector, &marked);
}

/// The detector alone finds nothing.
pub(crate) fn assert_misses<S: AsRef<str>>(detector: Detector, texts: &[S]) {
    assert_spans(detector, texts);
}

mod corpus;
mod custom;
mod long;
mod policy;
mod properties;
