//! The matcher with the default detectors: text as it comes, single cells, and nothing but personal data.

use std::hint::black_box;

use scan::{Context, Scanner, Scratch, Spec};

use crate::{Case, Make, case, rows};

pub const CASES: &[(&str, Make)] = &[
    ("scan/rows", || whole("scan/rows", rows::text(64 * 1024, 200))),
    ("scan/dense rows", || whole("scan/dense rows", rows::text(64 * 1024, 1))),
    ("scan/1 KiB", || {
        whole("scan/1 KiB", rows::text(64 * 1024, 0)[..1024].to_vec())
    }),
    ("scan/cell of 24 bytes", || {
        whole("scan/cell of 24 bytes", b"shipped to the warehouse".to_vec())
    }),
];

fn whole(name: &'static str, text: Vec<u8>) -> Case {
    let scanner = Scanner::build(&Spec::default()).expect("the default spec compiles");
    let (mut scratch, mut found) = (Scratch::new(), Vec::new());
    case(name, text.len(), move || {
        found.clear();
        scanner.scan(&text, Context::NONE, &mut scratch, &mut found);
        black_box(found.len());
    })
}
