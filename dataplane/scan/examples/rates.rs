//! Prints how often each detector finds something in files of ordinary text: what it finds there is mostly wrong.
//!
//! Run with `cargo run -p scan --example rates -- FILE…`. Every detector is on by itself, so that none hides another's findings.

use scan::{Context, Detector, Scanner, Scratch, Spec};

/// Findings shown for each detector.
const SHOWN: usize = 4;

fn main() {
    let files: Vec<Vec<u8>> = std::env::args()
        .skip(1)
        .filter_map(|path| std::fs::read(path).ok())
        .collect();
    let bytes: usize = files.iter().map(Vec::len).sum();
    println!("{} files, {bytes} bytes", files.len());
    for detector in Detector::all().filter(|detector| detector.built()) {
        let scanner = Scanner::build(&Spec::of(&[detector])).expect("a built detector compiles");
        let (mut count, mut shown) = (0, Vec::new());
        for file in &files {
            let mut out = Vec::new();
            scanner.scan(file, Context::NONE, &mut Scratch::new(), &mut out);
            count += out.len();
            let texts = out
                .iter()
                .map(|f| String::from_utf8_lossy(&file[f.start as usize..f.end as usize]).into_owned());
            shown.extend(texts.take(SHOWN.saturating_sub(shown.len())));
        }
        if count > 0 {
            println!("{:<44} {count:>6}  {shown:?}", detector.name());
        }
    }
}
