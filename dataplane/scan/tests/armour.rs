//! Keys in armour behind rules of dashes: any length of the rule, any cut, every level.

use scan::{Context, Detector, Level, Scanner, Scratch, Spec, Stream};

const KEY: &str = "BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ\\n";

fn pieces(scanner: &Scanner, text: &[u8], cuts: &[usize]) -> Vec<(u32, u32)> {
    let (mut stream, mut scratch, mut out) = (Stream::new(), Scratch::new(), Vec::new());
    let mut released = 0;
    let mut found = Vec::new();
    for end in cuts.iter().copied().chain([text.len()]) {
        out.clear();
        let window = &text[released..end];
        let decided = stream.advance(
            scanner,
            Context::NONE,
            &mut scratch,
            window,
            end == text.len(),
            &mut out,
        );
        found.extend(out.iter().map(|f| (f.start + released as u32, f.end + released as u32)));
        released += decided;
    }
    found
}

#[test]
fn dashes_before_a_key_are_cut_anywhere() {
    let spec = Spec::of(&[Detector::EncryptionKey, Detector::MacAddress]);
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        let scanner = Scanner::build(&spec)
            .and_then(|scanner| scanner.on_level(level))
            .unwrap();
        for dashes in (3..12).chain(34..70) {
            let text = format!("0,B{}{KEY}415.555", "-".repeat(dashes));
            let mut whole = Vec::new();
            scanner.scan(text.as_bytes(), Context::NONE, &mut Scratch::new(), &mut whole);
            let whole: Vec<_> = whole.iter().map(|f| (f.start, f.end)).collect();
            assert_eq!(whole.len(), usize::from((5..=64).contains(&dashes)), "{dashes} dashes");
            for cut in 0..=text.len() {
                let cuts = [cut, (cut + 5).min(text.len())];
                assert_eq!(
                    pieces(&scanner, text.as_bytes(), &cuts),
                    whole,
                    "{} {dashes} {cut}",
                    level.name()
                );
            }
        }
    }
}
