//! Texts on which speed is measured: every row is distinct, a seed gives the same text everywhere.

#![allow(dead_code)]

use std::fmt::Write;
use std::path::Path;

use super::adversary::Numbers;

const WORDS: &[&str] = &[
    "order",
    "shipped",
    "to",
    "the",
    "warehouse",
    "in",
    "north",
    "after",
    "customer",
    "asked",
    "for",
    "a",
    "refund",
    "because",
    "box",
    "was",
    "open",
    "Thanks",
    "and",
    "please",
    "check",
    "again",
    "invoice",
    "of",
    "last",
    "month",
    "it",
    "has",
    "two",
    "lines",
    "between",
    "which",
    "however",
    "delivery",
    "Tuesday",
    "manager",
    "account",
    "review",
    "status",
    "pending",
    "address",
    "changed",
    "material",
    "with",
    "without",
    "quality",
    "system",
    "report",
    "during",
    "only",
    "some",
    "other",
    "where",
    "would",
    "people",
    "number",
];
const NAMES: &[&str] = &[
    "anna", "bob", "carla", "dmitri", "elena", "farid", "grace", "hiro", "ines", "jonas", "karim", "lucia",
];

/// Rows as text: id, uuid, time, amount, flag, status, note; every `every`th row also holds personal data.
pub fn rows(bytes: usize, every: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut text = String::with_capacity(bytes + 512);
    let mut count = 0;
    while text.len() < bytes {
        count += 1;
        for cell in row(&mut numbers, every > 0 && count % every == 0) {
            text.push_str(&cell.text);
            text.push('|');
        }
        text.pop();
        text.push('\n');
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// One value of a row; `typed` columns cannot hold text.
pub struct Cell {
    pub text: String,
    pub typed: bool,
}

/// One row. A personal one holds an address, a phone number, a card, an SSN, an IBAN and an IP address besides.
pub fn row(numbers: &mut Numbers, personal: bool) -> Vec<Cell> {
    let typed = |text: String| Cell { text, typed: true };
    let (a, b) = (numbers.next(), numbers.next());
    let mut cells = vec![
        typed(format!("{}", a % 100_000_000)),
        typed(format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a as u32,
            b as u16,
            a >> 40 & 0xfff,
            b >> 40 & 0xfff,
            b >> 16
        )),
        typed(time(a, b)),
        typed(format!("{}.{:02}", b % 100_000, a % 100)),
        typed(if a.is_multiple_of(2) { "t".into() } else { "f".into() }),
    ];
    let text = |text: String| Cell { text, typed: false };
    cells.push(text(
        numbers.pick(&["pending", "shipped", "cancelled", "returned"]).into(),
    ));
    cells.push(text(words(numbers, 8)));
    if personal {
        cells.extend(personal_values(numbers).map(text));
    }
    cells
}

fn time(a: u64, b: u64) -> String {
    format!(
        "2024-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
        a % 12 + 1,
        b % 28 + 1,
        a % 24,
        b % 60,
        a % 60,
        b % 1_000_000
    )
}

fn words(numbers: &mut Numbers, count: usize) -> String {
    let words: Vec<&str> = (0..count).map(|_| numbers.pick(WORDS)).collect();
    words.join(" ")
}

fn personal_values(numbers: &mut Numbers) -> [String; 6] {
    let (a, b) = (numbers.next(), numbers.next());
    let name = numbers.pick(NAMES);
    [
        format!("{name}.{}@mail{}.example.com", a % 100_000, b % 30),
        format!("({}) {}-{:04}", 201 + b % 700, 220 + a % 700, a % 10_000),
        card(numbers),
        format!("{:03}-{:02}-{:04}", 100 + a % 500, 10 + b % 80, 1000 + a % 9000),
        iban(numbers),
        format!("10.{}.{}.{}", a % 256, b % 256, a >> 9 & 0xff),
    ]
}

fn card(numbers: &mut Numbers) -> String {
    let mut digits = [0u8; 16];
    digits[0] = 4;
    digits[1..15]
        .iter_mut()
        .for_each(|digit| *digit = numbers.below(10) as u8);
    let doubled = |digit: u8| digit / 5 + digit * 2 % 10;
    let sum: u8 = digits[..15]
        .iter()
        .enumerate()
        .map(|(k, d)| if k % 2 == 0 { doubled(*d) } else { *d })
        .sum();
    digits[15] = (10 - sum % 10) % 10;
    let joint = numbers.pick(&["", " ", "-"]);
    let groups: Vec<String> = digits
        .chunks(4)
        .map(|group| group.iter().map(|digit| char::from(b'0' + digit)).collect())
        .collect();
    groups.join(joint)
}

fn iban(numbers: &mut Numbers) -> String {
    let account: String = (0..18).map(|_| char::from(b'0' + numbers.below(10) as u8)).collect();
    let rest = format!("{account}131400")
        .bytes()
        .fold(0u32, |rest, byte| (rest * 10 + u32::from(byte - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

/// Rows of text whose cells begin with personal data and go on as prose.
pub fn notes(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut text = String::with_capacity(bytes + 512);
    while text.len() < bytes {
        for value in personal_values(&mut numbers) {
            let count = 1 + numbers.below(14);
            let _ = write!(text, "{value} {}|", words(&mut numbers, count));
        }
        text.push('\n');
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// Answers of an API: objects with the rows' values.
pub fn json(bytes: usize, every: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut text = String::with_capacity(bytes + 512);
    text.push('[');
    let mut count = 0;
    while text.len() < bytes {
        count += 1;
        let personal = every > 0 && count % every == 0;
        let cells = row(&mut numbers, personal);
        let names = [
            "id",
            "uuid",
            "createdAt",
            "amount",
            "active",
            "status",
            "note",
            "email",
            "phone",
            "card",
            "ssn",
            "iban",
            "ip",
        ];
        text.push('{');
        for (name, cell) in names.iter().zip(&cells) {
            let bare = cell.typed && matches!(*name, "id" | "amount");
            let quote = if bare { "" } else { "\"" };
            let _ = write!(text, "\"{name}\":{quote}{}{quote},", cell.text);
        }
        text.push_str("\"links\":{\"self\":\"https://api.example.com/v1/orders/");
        let _ = write!(
            text,
            "{}\"}},\"tags\":[\"{}\",\"{}\"]}},",
            count,
            numbers.pick(WORDS),
            numbers.pick(WORDS)
        );
    }
    text.truncate(bytes);
    text.into_bytes()
}

pub fn prose(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut text = String::with_capacity(bytes + 512);
    while text.len() < bytes {
        let count = 4 + numbers.below(16);
        text.push_str(&words(&mut numbers, count));
        match numbers.below(12) {
            0 => _ = write!(text, " ({})", 1900 + numbers.below(130)),
            1 => _ = write!(text, ", {}%", numbers.below(100)),
            2 => text.push_str(": see https://example.org/manual/index.html"),
            _ => {}
        }
        text.push_str(numbers.pick(&[". ", ". ", ", ", ";\n", ".\n\n"]));
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// Files below a directory, joined: real prose or code of this machine. Nothing when there is too little.
pub fn files(directory: &Path, endings: &[&str], bytes: usize) -> Option<Vec<u8>> {
    let mut paths = Vec::new();
    collect(directory, endings, &mut paths);
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        if text.len() >= bytes {
            break;
        }
        text.extend(std::fs::read(path).unwrap_or_default());
    }
    text.truncate(bytes);
    (text.len() == bytes).then_some(text)
}

fn collect(directory: &Path, endings: &[&str], paths: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, endings, paths),
            Ok(kind) if kind.is_file() && endings.iter().any(|end| path.to_string_lossy().ends_with(end)) => {
                paths.push(path)
            }
            _ => {}
        }
    }
}

/// Repeated pieces that make an engine look closer as often as possible.
#[rustfmt::skip]
pub const POISON: &[(&str, &str)] = &[
    ("digits", "7"), ("at", "@"), ("one-dash", "1-1-"), ("letter", "a"), ("capital", "A"), ("a-at", "a@"), ("mail", "a@a.aa "),
    ("dots", "1.1."), ("colons", ":"), ("colon-hex", "::a"), ("pair-colon", "ab:"), ("four-dash", "4444-"),
    ("luhn-groups", "4111 1111 1111 1112 "), ("luhn-bare", "4111111111111112 "), ("akia", "AKIA "), ("eyj", "eyJ "),
    ("eyj-dot", "eyJhbGciOiJIUzI1NiJ9.e30-"), ("ssn", "536-22-0000 "), ("phone", "115-555-0132 "), ("iban", "DE89370400440532013001 "),
    ("iban-groups", "GB82 WEST 1234 5698 7654 33 "), ("plus", "+1 "), ("begin", "-----BEGIN "), ("password", "password=x "),
    ("token", "token: "), ("equals", "="), ("parenthesis", "(415) "), ("quote", "by '"), ("basic", "Basic "), ("url", "http://a:"),
    ("weak", "phone 41555501 "), ("base64", "aB3/"), ("dashes", "-"), ("wide", "号1234567 "),
];

/// Poison of one kind.
pub fn poison(unit: &str, bytes: usize) -> Vec<u8> {
    let mut text = unit.repeat(bytes / unit.len() + 1).into_bytes();
    text.truncate(bytes);
    text
}

/// DataRow messages of the PostgreSQL protocol with these rows, and which columns are typed.
pub fn data_rows(bytes: usize, every: usize, seed: u64) -> (Vec<u8>, Vec<bool>) {
    let mut numbers = Numbers::new(seed);
    let mut stream = Vec::with_capacity(bytes + 1024);
    let mut typed = Vec::new();
    let mut count = 0;
    while stream.len() < bytes {
        count += 1;
        let mut cells = row(&mut numbers, every > 0 && count % every == 0);
        cells.resize_with(13, || Cell {
            text: String::new(),
            typed: false,
        });
        typed = cells.iter().map(|cell| cell.typed).collect();
        let start = stream.len();
        stream.push(b'D');
        stream.extend_from_slice(&[0; 4]);
        stream.extend_from_slice(&(cells.len() as u16).to_be_bytes());
        for cell in &cells {
            if cell.text.is_empty() {
                stream.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            stream.extend_from_slice(&(cell.text.len() as u32).to_be_bytes());
            stream.extend_from_slice(cell.text.as_bytes());
        }
        let len = (stream.len() - start - 1) as u32;
        stream[start + 1..start + 5].copy_from_slice(&len.to_be_bytes());
    }
    (stream, typed)
}
