//! Rows and messages that the cases work on: made by rule, every row distinct.

/// Type OIDs (PostgreSQL `pg_type.dat`).
pub const INT8: u32 = 20;
pub const NUMERIC: u32 = 1700;
pub const TEXT: u32 = 25;
pub const TIMESTAMPTZ: u32 = 1184;

const WORDS: [&str; 16] = [
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
    "again",
    "delivery",
    "window",
];

/// One message.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Bind, Execute, Sync of a prepared statement `s` with one parameter, as pgbench sends them.
pub fn prepared_query() -> Vec<u8> {
    let mut bind = b"\0s\0".to_vec();
    bind.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 6]);
    bind.extend_from_slice(b"424242");
    bind.extend_from_slice(&[0, 0]);
    [
        message(b'B', &bind),
        message(b'D', b"P\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ]
    .concat()
}

/// The answer to it.
pub fn prepared_answer() -> Vec<u8> {
    let row = data_row(&["1234"]);
    let shape = description(&[("abalance", 23)]);
    [
        message(b'2', b""),
        shape,
        row,
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// RowDescription in text format, of columns that come from no table.
pub fn description(columns: &[(&str, u32)]) -> Vec<u8> {
    let mut body = (columns.len() as i16).to_be_bytes().to_vec();
    for (name, oid) in columns {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0; 7]);
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&(-1i16).to_be_bytes());
        body.extend_from_slice(&(-1i32).to_be_bytes());
        body.extend_from_slice(&[0, 0]);
    }
    message(b'T', &body)
}

/// One DataRow of text cells.
pub fn data_row(cells: &[&str]) -> Vec<u8> {
    let mut body = (cells.len() as i16).to_be_bytes().to_vec();
    for cell in cells {
        body.extend_from_slice(&(cell.len() as i32).to_be_bytes());
        body.extend_from_slice(cell.as_bytes());
    }
    message(b'D', &body)
}

/// Cells of row number `index`; one in `every` holds an address and a card number, none when it is 0.
pub fn cells(index: u64, every: u64) -> [String; 5] {
    let a = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let word = |shift: u32| WORDS[((a >> shift) % 16) as usize];
    let note: Vec<&str> = (0..12).map(|at| word(at * 4)).collect();
    let mut note = note.join(" ");
    let mut contact = format!("{} {}", word(3), word(50));
    if every > 0 && index.is_multiple_of(every) {
        contact = format!("user{}@example.com", a % 100_000);
        note.push_str(" card 4111 1111 1111 1111");
    }
    [
        (1_000_000 + index).to_string(),
        format!(
            "2024-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
            a % 12 + 1,
            a % 28 + 1,
            a % 24,
            a % 60,
            (a >> 9) % 60,
            a % 1_000_000
        ),
        format!("{}.{:02}", a % 100_000, a % 100),
        note,
        contact,
    ]
}

/// DataRow frames of at least `bytes` bytes.
pub fn stream(bytes: usize, every: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for index in 1.. {
        if out.len() >= bytes {
            break;
        }
        let cells = cells(index, every);
        out.extend(data_row(&cells.each_ref().map(String::as_str)));
    }
    out
}

/// The same values as lines of text.
pub fn text(bytes: usize, every: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for index in 1.. {
        if out.len() >= bytes {
            break;
        }
        out.extend_from_slice(cells(index, every).join("\t").as_bytes());
        out.push(b'\n');
    }
    out
}
