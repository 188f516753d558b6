//! Every place where values hide, each first shown to hold the value.

use super::*;

const EMAIL: &str = "alice@example.com";

/// Runs one simple query with this answer; returns what the client sees.
fn through(talk: &mut Talk, statement: &str, answer: &[u8]) -> Vec<u8> {
    talk.client(&query(statement));
    talk.to_client.clear();
    talk.target(&[answer, &ready()].concat());
    assert!(talk.close.is_none(), "{:?}", talk.close);
    std::mem::take(&mut talk.to_client)
}

fn cell(type_oid: u32, format: Format, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    cell_with(&snapshot(), type_oid, format, value)
}

/// A result of one cell: as it was, and what the client gets of its frames.
fn cell_with(snapshot: &wire::Snapshot, type_oid: u32, format: Format, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let shape = columns(&[("x", 0, 0, type_oid, format)]);
    let answer = [shape.clone(), row(&[Some(value)]), complete("SELECT 1")].concat();
    let mut talk = Talk::with(snapshot);
    let seen = through(&mut talk, "select x", &answer);
    let end = [complete("SELECT 1"), ready()].concat();
    let rows = seen
        .strip_prefix(shape.as_slice())
        .unwrap()
        .strip_suffix(end.as_slice())
        .unwrap();
    (row(&[Some(value)]), rows.to_vec())
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn text_like_types_in_both_formats() {
    for type_oid in [25, 1043, 1042, 114, 142, 0, 99_999, 705] {
        for format in [Format::Text, Format::Binary] {
            let value = format!("mail {EMAIL} end");
            let (before, after) = cell(type_oid, format, value.as_bytes());
            assert!(
                contains(&before, EMAIL) && !contains(&after, EMAIL),
                "{type_oid} {format:?}"
            );
            assert_eq!(before.len(), after.len());
        }
    }
}

#[test]
fn json_stays_json() {
    let (_, after) = cell(
        114,
        Format::Text,
        br#"{"a": "alice@example.com", "n": 4111111111111111, "q": "\""}"#,
    );
    let expected = br#"{"a": "[EMAIL]**********", "n":                0, "q": "\""}"#;
    assert_eq!(after, row(&[Some(expected)]));
    let (_, after) = cell(3802, Format::Binary, b"\x01{\"a\":\"alice@example.com\"}");
    assert_eq!(after, row(&[Some(b"\x01{\"a\":\"[EMAIL]**********\"}")]));
}

#[test]
fn escapes_do_not_hide() {
    let (_, after) = cell(114, Format::Text, br#""alice\u0040example.com""#);
    assert_eq!(after, row(&[Some(br#""[EMAIL]***************""#)]));
    let (_, after) = cell(142, Format::Text, b"<a>alice&#64;example.com</a>");
    assert!(!contains(&after, "alice&#64;") && contains(&after, "<a>[EMAIL]"));
    let hex: String = EMAIL.bytes().map(|b| format!("{b:02x}")).collect();
    for type_oid in [17, 25] {
        let (before, after) = cell(type_oid, Format::Text, format!("\\x{hex}").as_bytes());
        assert!(contains(&before, &hex) && !contains(&after, &hex), "{type_oid}");
        let masked: String = "[EMAIL]**********".bytes().map(|b| format!("{b:02x}")).collect();
        assert_eq!(after, row(&[Some(format!("\\x{masked}").as_bytes())]));
    }
}

#[test]
fn arrays_and_composites_in_text() {
    let (_, after) = cell(1009, Format::Text, br#"{alice@example.com,"b \" c",NULL}"#);
    assert_eq!(after, row(&[Some(br#"{[EMAIL]**********,"b \" c",NULL}"#)]));
    let (_, after) = cell(2249, Format::Text, br#"(1,"alice@example.com",x)"#);
    assert_eq!(after, row(&[Some(br#"(1,"[EMAIL]**********",x)"#)]));
    let (_, after) = cell(1016, Format::Text, b"{4111111111111111,7}");
    assert_eq!(after, row(&[Some(b"{0000000000000000,7}")]));
}

#[test]
fn binary_arrays_composites_and_pairs() {
    let mut array = Vec::new();
    for word in [1i32, 0, 25, 1, 1, EMAIL.len() as i32] {
        array.extend_from_slice(&word.to_be_bytes());
    }
    array.extend_from_slice(EMAIL.as_bytes());
    let mut record = Vec::new();
    for word in [1i32, 25, EMAIL.len() as i32] {
        record.extend_from_slice(&word.to_be_bytes());
    }
    record.extend_from_slice(EMAIL.as_bytes());
    let mut pairs = vec![0, 0, 0, 1, 0, 0, 0, 1, b'k'];
    pairs.extend_from_slice(&(EMAIL.len() as i32).to_be_bytes());
    pairs.extend_from_slice(EMAIL.as_bytes());
    for (type_oid, value) in [
        (1009, &array),
        (2249, &record),
        (77_777, &array),
        (77_777, &record),
        (77_777, &pairs),
    ] {
        let (before, after) = cell(type_oid, Format::Binary, value);
        assert!(contains(&before, EMAIL) && !contains(&after, EMAIL), "{type_oid}");
        assert_eq!(before.len(), after.len());
    }
}

#[test]
fn numbers_stay_numbers() {
    let (_, after) = cell(1700, Format::Text, b"4111111111111111");
    assert_eq!(after, row(&[Some(b"0000000000000000")]));
    let mut numeric = Vec::new();
    for word in [4u16, 3, 0, 0, 4111, 1111, 1111, 1111] {
        numeric.extend_from_slice(&word.to_be_bytes());
    }
    let (_, after) = cell(1700, Format::Binary, &numeric);
    let mut zero = numeric.clone();
    zero[8..].fill(0);
    assert_eq!(after, row(&[Some(&zero)]));
    let (before, after) = cell(701, Format::Text, b"4111111111111111");
    assert_eq!(before, after, "floats are passed over");
}

#[test]
fn column_rules_bind_to_the_origin_not_to_the_alias() {
    let shape = columns(&[
        ("alias", TABLE, 2, 25, Format::Text),
        ("name", TABLE, 3, 25, Format::Text),
    ]);
    let mut talk = Talk::new();
    let answer = [
        shape.clone(),
        row(&[Some(b"Alice Adams"), Some(b"open")]),
        complete("SELECT 1"),
    ]
    .concat();
    let seen = through(&mut talk, "select name as alias, other as name from customers", &answer);
    let masked = row(&[Some(b"[NAME]*****"), Some(b"open")]);
    assert!(seen.windows(masked.len()).any(|window| window == masked));
    let statement = talk.statements().pop().unwrap();
    assert_eq!(
        (
            statement.findings[0].detector.as_str(),
            statement.findings[0].place.as_str()
        ),
        ("COLUMN", "alias")
    );
}

#[test]
fn column_rules_give_values_that_are_valid_for_the_type() {
    for (type_oid, format, value, masked) in [
        (23, Format::Text, &b"12345"[..], &b"00000"[..]),
        (23, Format::Binary, &[0, 0, 48, 57], &[0, 0, 0, 0]),
        (1082, Format::Text, b"1984-02-29", b"2000-01-01"),
        (
            2950,
            Format::Text,
            b"c0ffee00-1111-2222-3333-444455556666",
            b"00000000-0000-0000-0000-000000000000",
        ),
        (869, Format::Text, b"192.168.100.200", b"0.0.0.0"),
        (16, Format::Text, b"t", b"f"),
        (1009, Format::Text, b"{a,b}", b"{}"),
    ] {
        let shape = columns(&[("x", TABLE, 2, type_oid, format)]);
        let seen = through(
            &mut Talk::new(),
            "select x",
            &[shape, row(&[Some(value)]), complete("SELECT 1")].concat(),
        );
        let expected = row(&[Some(masked)]);
        assert!(
            seen.windows(expected.len()).any(|window| window == expected),
            "{type_oid} {format:?}"
        );
    }
}

#[test]
fn masks_of_other_lengths_fix_every_length_around_them() {
    let with = |kind: wire::MaskKind, text: &str| {
        let mut snapshot = snapshot();
        snapshot.redactions[0].mask = Some(wire::Mask {
            kind: kind as i32,
            keep_last: 4,
            text: text.into(),
        });
        snapshot
    };
    let value = b"to alice@example.com and bob@example.org.";
    let (_, after) = cell_with(&with(wire::MaskKind::Replace, "<hidden>"), 25, Format::Text, value);
    assert_eq!(after, row(&[Some(b"to <hidden> and <hidden>.")]));
    let (_, after) = cell_with(&with(wire::MaskKind::Null, ""), 25, Format::Text, value);
    assert_eq!(after, row(&[None]));
    let (_, after) = cell_with(
        &with(wire::MaskKind::Partial, ""),
        25,
        Format::Text,
        b"alice@example.com",
    );
    assert_eq!(after, row(&[Some(b"*************.com")]));
    let (_, after) = cell_with(&with(wire::MaskKind::Hash, ""), 25, Format::Text, b"alice@example.com");
    assert_eq!(after.len(), row(&[Some(&[0; 16])]).len());
    let (_, after) = cell_with(
        &with(wire::MaskKind::Null, ""),
        20,
        Format::Binary,
        &4_111_111_111_111_111i64.to_be_bytes(),
    );
    assert_eq!(after, row(&[None]));
}

#[test]
fn analyse_mode_counts_and_changes_nothing() {
    let mut analyse = snapshot();
    analyse.redactions[0].mode = wire::RedactionMode::Analyse as i32;
    let mut talk = Talk::with(&analyse);
    let answer = [text_column("x"), row(&[Some(EMAIL.as_bytes())]), complete("SELECT 1")].concat();
    let seen = through(&mut talk, "select x", &answer);
    assert!(contains(&seen, EMAIL));
    let finding = talk.statements().pop().unwrap().findings.pop().unwrap();
    assert_eq!((finding.action.as_str(), finding.count), ("found", 1));
}

#[test]
fn excepted_groups_see_the_values() {
    let mut excepted = snapshot();
    excepted.redactions[0].except_groups = vec!["eng".into()];
    let (before, after) = cell_with(&excepted, 25, Format::Text, EMAIL.as_bytes());
    assert_eq!(before, after);
}

#[test]
fn errors_notices_notifications_and_settings() {
    let fields: &[(u8, &[u8])] = &[
        (b'S', b"NOTICE"),
        (b'V', b"NOTICE"),
        (b'C', b"00000"),
        (b'M', b"m alice@example.com"),
        (b'D', b"Key (email)=(alice@example.com) already exists."),
        (b'W', b"w alice@example.com"),
    ];
    let mut talk = Talk::new();
    talk.client(&query("select 1"));
    for message in [
        bytes(|out| encode::notice_response(out, fields).unwrap()),
        bytes(|out| encode::notification_response(out, 1, b"c", EMAIL.as_bytes()).unwrap()),
        bytes(|out| encode::parameter_status(out, b"application_name", EMAIL.as_bytes()).unwrap()),
        bytes(|out| encode::error_response(out, fields).unwrap()),
    ] {
        assert!(contains(&message, EMAIL));
        talk.to_client.clear();
        talk.target(&message);
        assert!(!contains(&talk.to_client, EMAIL) && contains(&talk.to_client, "[EMAIL]"));
        assert_eq!(talk.to_client.len(), message.len());
    }
}

#[test]
fn function_results() {
    let mut talk = Talk::new();
    let call = [&[0, 0, 3, 0xBA, 0, 0, 0, 0][..], &[0, 0]].concat();
    talk.client(&frame(frontend::FUNCTION_CALL, &call));
    let answer = bytes(|out| encode::function_call_response(out, Some(EMAIL.as_bytes())).unwrap());
    talk.target(&[answer, ready()].concat());
    assert!(!contains(&talk.to_client, EMAIL) && contains(&talk.to_client, "[EMAIL]"));
    assert_eq!(talk.statements()[0].form, "function");
}

/// COPY OUT of these CopyData payloads; the payloads that the client gets, joined.
fn copied(statement: &str, format: u8, columns: u8, frames: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![format, 0, columns];
    body.extend(std::iter::repeat_n([0, format], usize::from(columns)).flatten());
    let mut talk = Talk::new();
    talk.client(&query(statement));
    talk.target(&frame(b'H', &body));
    assert!(talk.close.is_none());
    talk.to_client.clear();
    for payload in frames {
        talk.target(&frame(b'd', payload));
    }
    talk.target(&[bare(b'c'), complete("COPY 1"), ready()].concat());
    assert!(talk.close.is_none(), "{:?}", talk.close);
    let mut out = Vec::new();
    let mut rest = talk.to_client.as_slice();
    while let [b'd', a, b, c, d, ..] = *rest {
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        out.extend_from_slice(&rest[5..len + 1]);
        rest = &rest[len + 1..];
    }
    assert!(rest.starts_with(b"c"));
    out
}

#[test]
fn copy_text_whatever_frames_the_rows_come_in() {
    let rows = b"1\talice@example.com\t\\N\n2\tbob\\tx@example.org\tz\n\\.\n";
    let expected = b"1\t[EMAIL]**********\t\\N\n2\tbob\\t[EMAIL]******\tz\n\\.\n";
    let statement = "copy t (a, b, c) to stdout";
    assert_eq!(copied(statement, 0, 3, &[rows]), expected);
    for cut in 1..rows.len() {
        let (head, tail) = rows.split_at(cut);
        assert_eq!(copied(statement, 0, 3, &[head, tail]), expected, "cut at {cut}");
    }
    let single: Vec<&[u8]> = rows.chunks(1).collect();
    assert_eq!(copied(statement, 0, 3, &single), expected);
}

/// What is written in another way is masked, and what stands beside it stays as it came, wherever it is in a row.
#[test]
fn copy_fields_in_any_order_and_way_of_writing() {
    let hex: String = EMAIL.bytes().map(|b| format!("{b:02x}")).collect();
    let plain = ["", "\\N", "17", "a\\tb\\\\", "tab \\\\", "R&D", "\\\\N", "C:\\\\x"];
    let telling = [
        EMAIL.to_owned(),
        format!("\\t{EMAIL}\\n"),
        EMAIL.replace('@', "&#64;"),
        EMAIL.replace('@', "\\\\u0040"),
        EMAIL.replace('@', "\\100"),
        format!("\\\\x{hex}"),
    ];
    for secret in &telling {
        for place in 0..plain.len() {
            let mut fields: Vec<&str> = plain.to_vec();
            fields[place] = secret;
            let rows = format!("{}\n{}\n", plain.join("\t"), fields.join("\t"));
            let got = String::from_utf8(copied("copy t to stdout", 0, plain.len() as u8, &[rows.as_bytes()])).unwrap();
            let lines: Vec<Vec<&str>> = got.lines().map(|line| line.split('\t').collect()).collect();
            assert_eq!(lines[0], plain, "{secret}");
            for (index, field) in fields.iter().enumerate() {
                match index == place {
                    true => assert_ne!(lines[1][index], *field, "{rows:?}"),
                    false => assert_eq!(lines[1][index], *field, "{rows:?}"),
                }
            }
        }
    }
}

#[test]
fn copy_csv_quotes_header_and_named_columns() {
    let statement = "copy public.customers (id, name) to stdout with (format csv, header)";
    let rows = b"id,name\n1,\"Alice \"\"A\"\" Adams\"\n2,Bob\n3,\n";
    let expected = b"id,name\n1,[NAME]*************\n2,[NA\n3,\n";
    let got = copied(statement, 0, 2, &[rows]);
    assert_eq!(got.len(), expected.len());
    assert!(
        !contains(&got, "Alice") && !contains(&got, "Bob"),
        "{}",
        String::from_utf8_lossy(&got)
    );
    let quoted = b"1,\"x\nalice@example.com\"\n";
    for cut in 1..quoted.len() {
        let (head, tail) = quoted.split_at(cut);
        let got = copied("copy t (a, b) to stdout csv", 0, 2, &[head, tail]);
        assert_eq!(got, b"1,\"x\n[EMAIL]**********\"\n", "cut at {cut}");
    }
}

#[test]
fn copy_binary_rows() {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    data.extend_from_slice(&[0, 2, 0, 0, 0, 4, 0, 0, 0, 1]);
    data.extend_from_slice(&(EMAIL.len() as i32).to_be_bytes());
    data.extend_from_slice(EMAIL.as_bytes());
    data.extend_from_slice(&[0xff, 0xff]);
    for cut in 1..data.len() {
        let (head, tail) = data.split_at(cut);
        let got = copied("copy t (a, b) to stdout (format binary)", 1, 2, &[head, tail]);
        assert_eq!(got.len(), data.len());
        assert!(!contains(&got, EMAIL) && contains(&got, "[EMAIL]"), "cut at {cut}");
    }
}

#[test]
fn copy_that_column_rules_cannot_follow_is_refused() {
    for text in [
        "copy customers to stdout",
        "copy (select name from public.customers) to stdout",
    ] {
        let mut talk = Talk::new();
        talk.client(&query(text));
        assert!(!talk.seen_by_target().contains("customers"), "{text}");
    }
}

#[test]
fn copy_from_unknown_relations_is_refused_where_text_without_origin_is_masked() {
    let mut strict = snapshot();
    strict.redactions[0].unattributed = wire::Unattributed::Mask as i32;
    for (text, refused) in [
        ("copy customers_p1 (id, name) to stdout", true),
        ("copy customers_p1 to stdout", true),
        ("copy (select label from a_view) to stdout", true),
        ("copy orders (id) to stdout", false),
        ("copy public.customers (id, name) to stdout", false),
    ] {
        for (snapshot, refused) in [(&strict, refused), (&snapshot(), false)] {
            let mut talk = Talk::with(snapshot);
            talk.client(&query(text));
            assert_eq!(talk.seen_by_target().contains("copy"), !refused, "{text}");
        }
    }
}

#[test]
fn values_in_large_rows_and_across_every_border() {
    let filler = 300 * 1024;
    for (type_oid, format) in [
        (25, Format::Text),
        (114, Format::Text),
        (17, Format::Binary),
        (25, Format::Binary),
    ] {
        let mut value = vec![b' '; filler];
        for at in [0, 8_190, 65_530, filler - EMAIL.len()] {
            value[at..at + EMAIL.len()].copy_from_slice(EMAIL.as_bytes());
        }
        let (before, after) = cell(type_oid, format, &value);
        assert!(
            contains(&before, EMAIL) && !contains(&after, EMAIL),
            "{type_oid} {format:?}"
        );
        assert_eq!(before.len(), after.len());
    }
    let hex: String = format!("{}{EMAIL}{}", " ".repeat(150_000), " ".repeat(10))
        .bytes()
        .map(|b| format!("{b:02x}"))
        .collect();
    let needle: String = EMAIL.bytes().map(|b| format!("{b:02x}")).collect();
    let (before, after) = cell(17, Format::Text, format!("\\x{hex}").as_bytes());
    assert!(contains(&before, &needle) && !contains(&after, &needle));
}

#[test]
fn encoded_runs_stay_decodable_in_small_and_large_values() {
    // "mail alice@example.com now", in base64 with padding and in hexadecimal.
    let run = "bWFpbCBhbGljZUBleGFtcGxlLmNvbSBub3c=";
    let masked = "A".repeat(run.len() - 1) + "=";
    let hex: String = b"mail alice@example.com now"
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect();
    let mut snapshot = snapshot();
    snapshot.redactions[0].decode_depth = 1;
    for filler in [3, 300 * 1024] {
        for (type_oid, format) in [(25, Format::Text), (17, Format::Binary), (25, Format::Binary)] {
            let value = format!("{}{run};{hex};", " ".repeat(filler));
            let (before, after) = cell_with(&snapshot, type_oid, format, value.as_bytes());
            assert!(contains(&before, run) && !contains(&after, run) && !contains(&after, &hex));
            assert!(contains(&after, &masked), "{type_oid} {format:?} {filler}");
            assert_eq!(before.len(), after.len());
        }
    }
}

#[test]
fn rows_of_unknown_columns_follow_on_error() {
    // A row for an Execute whose portal nobody described, which cannot be on a real server.
    let run = |on_error: wire::OnError| {
        let mut snapshot = snapshot();
        snapshot.redactions[0].on_error = on_error as i32;
        let mut talk = Talk::with(&snapshot);
        talk.client(&[parse("", "select x"), bind("", "", &[], &[]), execute("", 0), sync()].concat());
        talk.target(&[bare(b'1'), bare(b'2'), bare(b'n'), row(&[Some(EMAIL.as_bytes())])].concat());
        talk
    };
    let closed = run(wire::OnError::Close);
    assert!(closed.close.is_some() && !contains(&closed.to_client, EMAIL));
    let blanked = run(wire::OnError::BlankField);
    assert!(blanked.close.is_none() && !contains(&blanked.to_client, EMAIL));
    assert!(contains(&run(wire::OnError::Pass).to_client, EMAIL));
}

#[test]
fn text_inside_of_text_is_seen() {
    let hex: String = EMAIL.bytes().map(|b| format!("{b:02x}")).collect();
    let masked: String = "[EMAIL]**********".bytes().map(|b| format!("{b:02x}")).collect();
    for (type_oid, value) in [
        (1001, format!(r#"{{"\\x{hex}"}}"#)),
        (2249, format!(r#"(1,"\\x{hex}")"#)),
        (114, format!(r#"{{"a":"\\x{hex}"}}"#)),
        (25, format!(r"raw \x{hex} end")),
        (99_999, format!(r#"{{"(1,\"\\\\x{hex}\")"}}"#)),
    ] {
        for format in [Format::Text, Format::Binary] {
            if format == Format::Binary && type_oid != 25 {
                continue;
            }
            let (before, after) = cell(type_oid, format, value.as_bytes());
            assert!(contains(&before, &hex) && contains(&after, &masked), "{value}");
            assert_eq!(after, row(&[Some(value.replace(&hex, &masked).as_bytes())]));
        }
    }
    for (type_oid, value) in [
        (25, r#"{"a": "alice\u0040example.com"}"#),
        (25, r#"<a>alice&#64;example.com</a>"#),
        (25, r#""{\"a\": \"alice\\u0040example.com\"}""#),
        (114, r#""{\"a\": \"alice\\u0040example.com\"}""#),
        (199, r#"{"{\"a\": \"alice\\u0040example.com\"}"}"#),
        (2249, r#"(1,"{""a"": ""alice\\u0040example.com""}")"#),
    ] {
        let (before, after) = cell(type_oid, Format::Text, value.as_bytes());
        assert!(contains(&before, "alice") && !contains(&after, "alice"), "{value}");
        assert!(contains(&after, "[EMAIL]"), "{value}");
        assert_eq!(before.len(), after.len());
    }
}

#[test]
fn every_finding_of_an_escaped_value_is_masked_where_it_is() {
    let value =
        br#"["alice\u0040example.com", "\u0007", "bob\u0040example.org", 4111111111111111, "carol@example.net"]"#;
    let (_, after) = cell(114, Format::Text, value);
    let masked =
        br#"["[EMAIL]***************", "\u0007", "[EMAIL]*************",                0, "[EMAIL]**********"]"#;
    assert_eq!(after, row(&[Some(masked)]));
    let (_, after) = cell(
        1009,
        Format::Text,
        br#"{"a \" alice@example.com","b \\ bob@example.org"}"#,
    );
    assert_eq!(
        after,
        row(&[Some(br#"{"a \" [EMAIL]**********","b \\ [EMAIL]********"}"#)])
    );
}

#[test]
fn a_value_full_of_findings_is_masked_in_linear_time() {
    let value = format!("[{}\"\\u0007\"]", "\"alice@example.com\",".repeat(50_000));
    let began = std::time::Instant::now();
    let (_, after) = cell(114, Format::Text, value.as_bytes());
    assert!(!contains(&after, "alice"));
    // A walk from the start for each of them would take minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn long_values_are_unfolded_as_well_and_refused_where_that_is_too_much() {
    let pad = " ".repeat(300_000);
    let (_, after) = cell(
        114,
        Format::Text,
        format!(r#"["{pad}", "alice\u0040example.com", 4111111111111111]"#).as_bytes(),
    );
    assert!(!contains(&after, "alice") && !contains(&after, "4111"));
    assert!(contains(&after, r#", "[EMAIL]***************",                0]"#));
    let huge = format!(r#"["{}", "alice\u0040example.com"]"#, " ".repeat(5_000_000));
    let mut talk = Talk::new();
    talk.client(&query("select x"));
    talk.target(
        &[
            columns(&[("x", 0, 0, 114, Format::Text)]),
            row(&[Some(huge.as_bytes())]),
        ]
        .concat(),
    );
    assert!(talk.close.is_some() && !contains(&talk.to_client, "alice"));
    let plain = format!(
        r#"["{}", "alice@example.com", 4111111111111111]"#,
        " ".repeat(5_000_000)
    );
    let (_, after) = cell(114, Format::Text, plain.as_bytes());
    assert!(contains(&after, r#", "[EMAIL]**********", 1111111111111111]"#));
}

#[test]
fn unknown_binary_values_are_cut_at_control_bytes() {
    for value in [
        &b"\x01\x02\x03alice@example.com\x00\x01"[..],
        b"\x00\x00\x00\x31alice@example.com\x00",
        b"\x00\x00\x00\x344111111111111111\x00",
        b"\xff\xfealice@example.com",
    ] {
        let (before, after) = cell(99_999, Format::Binary, value);
        assert_eq!(before.len(), after.len());
        assert!(!contains(&after, "alice") && !contains(&after, "4111111111111111"));
    }
}

#[test]
fn ranges_of_numbers_stay_ranges() {
    let (_, after) = cell(3926, Format::Text, b"[4111111111111111,4111111111111112)");
    assert_eq!(after, row(&[Some(b"[0000000000000000,0000000000000000)")]));
    let mut range = vec![0x02];
    for bound in [4_111_111_111_111_111i64, 4_111_111_111_111_112] {
        range.extend_from_slice(&8i32.to_be_bytes());
        range.extend_from_slice(&bound.to_be_bytes());
    }
    let (_, after) = cell(3926, Format::Binary, &range);
    let mut masked = range.clone();
    masked[5..13].fill(0);
    assert_eq!(after, row(&[Some(&masked)]));
}

#[test]
fn numbers_in_binary_copy() {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    data.extend_from_slice(&[0, 3, 0, 0, 0, 8]);
    data.extend_from_slice(&4_111_111_111_111_111i64.to_be_bytes());
    data.extend_from_slice(&[0, 0, 0, 16]);
    for word in [4u16, 3, 0, 0, 4111, 1111, 1111, 1111] {
        data.extend_from_slice(&word.to_be_bytes());
    }
    // A float whose bits are a card number of 19 digits is left alone.
    data.extend_from_slice(&[0, 0, 0, 8]);
    data.extend_from_slice(&1.5f64.to_be_bytes());
    data.extend_from_slice(&[0xff, 0xff]);
    let got = copied("copy t (a, b, c) to stdout (format binary)", 1, 3, &[&data]);
    let mut masked = data.clone();
    masked[25..33].fill(0);
    masked[45..53].fill(0);
    assert_eq!(got, masked);
}

#[test]
fn copied_values_are_unfolded() {
    let hex: String = EMAIL.bytes().map(|b| format!("{b:02x}")).collect();
    for (statement, line) in [
        ("copy t (a) to stdout", format!("\\\\x{hex}\n")),
        ("copy t (a) to stdout csv", format!("\"\\x{hex}\"\n")),
        (
            "copy t (a) to stdout",
            "{\"a\": \"alice\\\\u0040example.com\"}\n".to_owned(),
        ),
        (
            "copy t (a) to stdout csv",
            "\"{\"\"a\"\": \"\"alice\\u0040example.com\"\"}\"\n".to_owned(),
        ),
    ] {
        let got = copied(statement, 0, 1, &[line.as_bytes()]);
        assert_eq!(got.len(), line.len());
        assert!(!contains(&got, &hex) && !contains(&got, "alice"), "{line}");
    }
}

#[test]
fn details_of_violated_constraints_hide_what_column_rules_name() {
    let run = |sqlstate: &[u8], table: &[u8], detail: &[u8]| {
        let fields: &[(u8, &[u8])] = &[
            (b'S', b"ERROR"),
            (b'V', b"ERROR"),
            (b'C', sqlstate),
            (b'M', b"violates"),
            (b'D', detail),
            (b's', b"public"),
            (b't', table),
        ];
        let answer = bytes(|out| encode::error_response(out, fields).unwrap());
        through(&mut Talk::new(), "insert into customers values (1)", &answer)
    };
    let hidden = run(b"23502", b"customers_p1", b"Failing row contains (1, Alice Adams).");
    assert!(!contains(&hidden, "Alice") && contains(&hidden, "[NAME]*"));
    let hidden = run(b"23505", b"customers_p1", b"Key (name)=(Alice Adams) already exists.");
    assert!(!contains(&hidden, "Alice"));
    let kept = run(b"23505", b"orders", b"Key (id)=(7) already exists.");
    assert!(contains(&kept, "Key (id)=(7)"));
}
