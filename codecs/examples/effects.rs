//! Tells the effects of texts: reads them from standard input, each ended by a NUL, and prints one line of rule names for each.

use std::io::{Read, Write};

use codecs::wire::sql::{Analyzer, LexOptions};

fn main() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let mut analyzer = Analyzer::new(16);
    let mut out = std::io::stdout().lock();
    for text in input.split(|byte| *byte == 0) {
        let analysis = analyzer.analyze(&String::from_utf8_lossy(text), LexOptions::default());
        let mut names: Vec<&str> = Vec::new();
        for statement in analysis.statements.iter() {
            names.extend(statement.effects.names());
        }
        names.sort_unstable();
        names.dedup();
        writeln!(out, "{}", names.join(" "))?;
    }
    Ok(())
}
