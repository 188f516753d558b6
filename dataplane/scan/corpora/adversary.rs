//! Hostile text: values that detectors find, values that differ from them by little, pieces of both, and glue that joins them badly.

#![allow(dead_code)]

/// A small generator of numbers (xorshift), so that a seed stands for a text.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = numbers.next());
        numbers
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 20) as usize % limit.max(1)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Values that some detector finds, and such as differ from one by little.
pub const VALUES: &[&str] = &[
    "john.doe@example.com",
    "a@b.co",
    "bob@example",
    "x@y.z",
    "o'brien@mail.example.org",
    "4111111111111111",
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "3782 822463 10005",
    "3056 930902 5904",
    "4111111111111112",
    "6304000000000000",
    "DE89370400440532013000",
    "GB82 WEST 1234 5698 7654 32",
    "GB82 WEST 1234 5698 7654 33",
    "gb82west12345698765432",
    "NO93-8601-1117-947",
    "536-22-1234",
    "536 22 1234",
    "ssn 536221234",
    "social security number: 536221234",
    "536221234",
    "+14155550132",
    "+44 (0)20 7946 0958",
    "+1 (415) 555-0132",
    "(415) 555-0132",
    "(415)-(555)-0132",
    "415-(555)-0132",
    "415-555-0132 x12",
    "415.555.0132",
    "1-415-555-0132",
    "001-415-555-0132",
    "49-415-555-0132",
    "phone: 4155550132",
    "callPhone 4155550132",
    "tel 0171 555 0132",
    "phones\t(0171) 5550132",
    "call me at 030 1234567",
    "mobil 089/1234567",
    "06 12 34 56 78",
    "(06) 12 34 56 78",
    "090-1234-5678",
    "0532 123 45 67",
    "0917 123 4567",
    "0412 345 678",
    "07700 900 123",
    "(11) 91234-5678",
    "2024-01-15 10:22:33",
    "2024-01-15 415-555-0132",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "aws_secret=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "secret: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYa",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1",
    "eyJhbGciOiJub25lIn0.e30.",
    "eyJ.eyJ.",
    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "bAsIc YTpi",
    "Bearer abcdef0123456789abcd",
    "BEARER  mF_9.B5f-4.1JqM1234",
    "password=hunter2",
    "\"password\": \"my secret\"",
    "\\\"password\\\" : \\\"my secret\\\"",
    "pwd: Abc123x",
    "Pass := Abc123x",
    "mot_de_passe = 'Abc 123'",
    "user_passphrase        =   Abc123x",
    "api_key='abcdef0123456789'",
    "X-Api-Key: 0123456789abcdef",
    "sessionId=abcdef0123456789",
    "['token'] => 'abcdef0123456789'",
    "PASSWORD 'it''s'",
    "IDENTIFIED BY 'secret'",
    "postgres://app:s3cret@db:5432/x",
    "https://u:p@ss@host",
    "https://example.com/a?b=c",
    "glpat-abcdefghij0123456789",
    "GR1348941abcdefghij0123456789",
    "sk_live_abcdef012345",
    "whsec_abcdefghijklmnopqrstuvwxyz012345",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "xoxe.xoxb-abcdefghij0123456789",
    "ya29.abcdefghij0123456789",
    "AIzaabcdefghijklmnopqrstuvwxyz012345678",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "--------BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ\\n",
    "-----END ",
    "192.168.0.1/16",
    "1.2.3.4.5",
    "256.1.1.1",
    "fe80::1",
    "::1",
    "2001:db8:0:0:0:0:2:1",
    "2001:db8::192.0.2.1%eth0",
    "std::abs",
    "00:1A:2b:3C:4D:5E",
    "00-1a-2b-3c-4d-5e",
    "00:1A:2b:3C:4D:5E:6F",
    "AB 12 34 56 C",
    "AB123456C",
    "529.982.247-25",
    "nhs 9434765919",
    "943 476 5919",
    "2341 2341 2346",
    "130-692-544",
    "550e8400-e29b-41d4-a716-446655440000",
    "1700000000000",
    "12345.67",
];

/// What stands between values.
pub const GLUE: &[&str] = &[
    "", " ", "  ", ",", "-", "--", ".", "..", "_", "x", "1", "@", ":", "=", "'", "\"", "\n", "/", "+", "(", ")", "é",
    "号", "\\n", "\0", "; phone ", " ssn=", "eyJ", "GB", "AB ", "\t", "://", "S", "]", "+1 ", "tel.", " aws ",
    "\u{a0}", "|", "password",
];

const SOUPS: &[&[u8]] = &[
    b"0123456789",
    b"0123456789-",
    b"0123456789 -.",
    b"0123456789 -./()+",
    b"0123456789abcdef:-",
    b"abcDEF019_-./+=",
    b"ab1 @.:='\"",
    b"GBDE0123456789 ",
    b"\x80\xc3\xa9\xff0a @",
];

/// Appends hostile text of about `bytes` bytes.
pub fn write(out: &mut Vec<u8>, numbers: &mut Numbers, bytes: usize) {
    let end = out.len() + bytes;
    while out.len() < end {
        let from = out.len();
        match numbers.below(24) {
            0..5 => out.extend_from_slice(numbers.pick(VALUES).as_bytes()),
            5..8 => case(out, numbers),
            8..12 => out.extend_from_slice(generated(numbers).as_bytes()),
            12..14 => {
                let value = numbers.pick(VALUES).as_bytes();
                let cut = numbers.below(value.len() + 1);
                out.extend_from_slice(if numbers.below(2) == 0 {
                    &value[..cut]
                } else {
                    &value[cut..]
                });
            }
            14..21 => out.extend_from_slice(numbers.pick(GLUE).as_bytes()),
            21 | 22 => soup(out, numbers),
            _ => {
                let filler = numbers.pick(b"x1 -a/\n=");
                let count = numbers.below(90);
                out.extend(std::iter::repeat_n(filler, count));
            }
        }
        if numbers.below(8) == 0 {
            mutate(&mut out[from..], numbers);
        }
    }
}

/// The committed cases of every detector.
const CASES: &str = include_str!("../tests/cases/detectors.txt");

/// A case as it stands, or one of its pieces between marks: mostly the value alone.
fn case(out: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(CASES.len());
    let bytes = CASES.as_bytes();
    let start = bytes[..place]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = bytes[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let marked = line.splitn(3, |byte| *byte == b'\t').nth(2).unwrap_or_default();
    let marked = std::str::from_utf8(marked).unwrap_or_default();
    let pieces: Vec<&str> = marked.split(['«', '»']).collect();
    match numbers.below(3) {
        0 => out.extend_from_slice(pieces.concat().as_bytes()),
        _ => out.extend_from_slice(pieces[(1 + numbers.below(4) / 3).min(pieces.len() - 1)].as_bytes()),
    }
}

fn soup(out: &mut Vec<u8>, numbers: &mut Numbers) {
    let alphabet = numbers.pick(SOUPS);
    for _ in 0..numbers.below(24) {
        let byte = numbers.pick(alphabet);
        out.push(byte);
    }
}

/// Changes one byte.
fn mutate(text: &mut [u8], numbers: &mut Numbers) {
    if text.is_empty() {
        return;
    }
    let place = numbers.below(text.len());
    text[place] = match numbers.below(4) {
        0 => text[place] ^ 0x20,
        1 => b'0' + numbers.below(10) as u8,
        2 => numbers.pick(b" -./()+@:='\"_xA\0\n"),
        _ => numbers.next() as u8,
    };
}

fn digits(numbers: &mut Numbers, count: usize) -> String {
    (0..count).map(|_| char::from(b'0' + numbers.below(10) as u8)).collect()
}

/// A value with random digits; of those with a check digit nearly half are right.
fn generated(numbers: &mut Numbers) -> String {
    match numbers.below(9) {
        0 => card(numbers),
        1 => iban(numbers),
        2 => {
            let joint = numbers.pick(&["-", " ", "."]);
            format!(
                "{}{joint}{}{joint}{}",
                digits(numbers, 3),
                digits(numbers, 2),
                digits(numbers, 4)
            )
        }
        3 => {
            let joint = numbers.pick(&["-", ".", " ", ""]);
            format!(
                "{}{joint}{}{joint}{}",
                200 + numbers.below(800),
                200 + numbers.below(800),
                digits(numbers, 4)
            )
        }
        4 => format!(
            "+{}{}",
            numbers.pick(&["1", "44", "49", "33", "351", "999"]),
            digits(numbers, 9)
        ),
        5 => format!(
            "user{}@mail{}.example.{}",
            digits(numbers, 2),
            digits(numbers, 1),
            numbers.pick(&["com", "o", "c1", "xn--p1ai"])
        ),
        6 => format!(
            "{}.{}.{}.{}",
            numbers.below(300),
            numbers.below(300),
            numbers.below(300),
            numbers.below(300)
        ),
        7 => {
            let word = numbers.pick(&[
                "phone ",
                "ssn: ",
                "Tel",
                "socialSecurity=",
                "secret ",
                "xphone ",
                "phonex ",
                "",
            ]);
            let count = 7 + numbers.below(9);
            let gap = " ".repeat(numbers.below(34));
            format!("{word}{gap}{}", digits(numbers, count))
        }
        _ => {
            let count = 1 + numbers.below(20);
            digits(numbers, count)
        }
    }
}

fn card(numbers: &mut Numbers) -> String {
    let length = numbers.pick(&[12, 13, 14, 15, 16, 16, 16, 19]);
    let mut card = numbers
        .pick(&["4", "51", "34", "37", "36", "6011", "2221", "5018", "62", "9"])
        .to_owned();
    card.push_str(&digits(numbers, length - 1 - card.len()));
    let sum: u32 = card
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let value = u32::from(byte - b'0');
            if place % 2 == 0 {
                value / 5 + value * 2 % 10
            } else {
                value
            }
        })
        .sum();
    let check = (10 - sum % 10) % 10 + u32::from(numbers.below(2) == 0) * numbers.below(2) as u32;
    card.push(char::from(b'0' + (check % 10) as u8));
    let lens: &[usize] = match (numbers.below(3), length) {
        (0, _) => return card,
        (_, 15) => &[4, 6, 5],
        (_, 14) => &[4, 6, 4],
        (_, 19) => numbers.pick(&[&[4, 4, 4, 4, 3], &[6, 13, 0, 0, 0]]),
        _ => &[4, 4, 4, 4],
    };
    let joint = numbers.pick(&[" ", "-", ".", "  "]);
    let mut rest = card.as_str();
    let mut groups = Vec::new();
    for len in lens.iter().filter(|len| **len > 0) {
        let (group, behind) = rest.split_at((*len).min(rest.len()));
        groups.push(group);
        rest = behind;
    }
    groups.join(joint) + rest
}

fn iban(numbers: &mut Numbers) -> String {
    let (country, length) = numbers.pick(&[
        ("DE", 18),
        ("FR", 23),
        ("NO", 11),
        ("BE", 12),
        ("AT", 16),
        ("PL", 24),
        ("XX", 18),
    ]);
    let account = digits(numbers, length);
    let value = |text: &str| {
        text.bytes().fold(0u32, |rest, byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            _ => (rest * 100 + u32::from(byte - b'A' + 10)) % 97,
        })
    };
    let check = 98 - value(&format!("{account}{country}00"));
    let check = if numbers.below(3) == 0 { check % 97 + 1 } else { check };
    let bare = format!("{country}{check:02}{account}");
    if numbers.below(2) == 0 {
        return bare;
    }
    let joint = numbers.pick(&[" ", "-"]);
    let groups: Vec<&str> = bare
        .as_bytes()
        .chunks(4)
        .map(|group| std::str::from_utf8(group).unwrap_or(""))
        .collect();
    groups.join(joint)
}
