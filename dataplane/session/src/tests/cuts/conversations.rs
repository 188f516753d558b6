//! Conversations that are written by hand, one for each thing that could depend on cuts.

use super::*;

const EXTENDED_ANSWERED: [u8; 2] = *b"12";

fn bound() -> Vec<u8> {
    EXTENDED_ANSWERED.iter().flat_map(|tag| bare(*tag)).collect()
}

fn simple() -> Turns {
    vec![
        client(&[query("select email from t; select 2; update t set a = 1")]),
        target(&[
            result(&[EMAIL, b"bob"]),
            complete("SELECT 2"),
            result(&[b"2"]),
            complete("SELECT 1"),
        ]),
        target(&[
            notice("told alice@example.com"),
            complete("UPDATE 7"),
            notification("c", "carol@example.net"),
            ready(),
        ]),
        client(&[query(""), query("select 'dave@example.org'")]),
        target(&[bare(b'I'), ready(), result(&[]), complete("SELECT 0"), ready()]),
        client(&[query("select 1; select x; select 3")]),
        target(&[
            result(&[b"1"]),
            complete("SELECT 1"),
            error("42703", "no x alice@example.com"),
            ready(),
        ]),
    ]
}

fn pipelined() -> Turns {
    let run = |value| [bind("", "s", &[value], &[1]), describe(b'P', ""), execute("", 0)].concat();
    let answer = |value: &[u8]| {
        [
            bare(b'2'),
            columns(&[("e", 0, 0, 25, Format::Binary), ("n", 0, 0, 20, Format::Binary)]),
            row(&[Some(value), Some(&7u64.to_be_bytes())]),
            complete("SELECT 1"),
        ]
        .concat()
    };
    vec![
        client(&[
            parse("s", "select $1, 7::int8"),
            run("alice@example.com"),
            run("x"),
            bare(b'H'),
            run("bob@example.org"),
            sync(),
        ]),
        target(&[
            bare(b'1'),
            answer(EMAIL),
            answer(b"x"),
            answer(b"bob@example.org"),
            ready(),
        ]),
        client(&[run("again"), sync(), run("carol@example.net"), sync()]),
        target(&[answer(b"again"), ready(), answer(b"carol@example.net"), ready()]),
    ]
}

fn portals() -> Turns {
    let piece = |text: &[u8]| row(&[Some(text)]);
    vec![
        client(&[query("begin")]),
        target(&[
            complete("BEGIN"),
            bytes(|out| encode::ready_for_query(out, TransactionStatus::InTransaction)),
        ]),
        client(&[
            parse("", "select e from t"),
            bind("p", "", &[], &[]),
            describe(b'P', "p"),
            execute("p", 2),
            execute("p", 1),
            execute("p", 0),
            sync(),
        ]),
        target(&[
            bound(),
            text_column("e"),
            piece(EMAIL),
            piece(b"b"),
            bare(b's'),
            piece(b"c"),
            bare(b's'),
            piece(EMAIL),
            complete("SELECT 1"),
        ]),
        target(&[bytes(|out| {
            encode::ready_for_query(out, TransactionStatus::InTransaction)
        })]),
    ]
}

fn undescribed() -> Turns {
    vec![
        client(&[
            parse("", "select e"),
            bind("", "", &["alice@example.com"], &[]),
            execute("", 0),
            sync(),
        ]),
        target(&[
            bound(),
            text_column("e"),
            row(&[Some(EMAIL)]),
            row(&[None]),
            complete("SELECT 2"),
            ready(),
        ]),
    ]
}

fn errors() -> Turns {
    let run = |text: &str| [parse("", text), bind("", "", &[], &[]), execute("", 0)].concat();
    vec![
        client(&[
            run("select 1"),
            run("select 1/0"),
            run("select 3"),
            sync(),
            run("select 4"),
            sync(),
        ]),
        target(&[bound(), bare(b'n'), complete("SELECT 0"), bound(), text_column("e")]),
        target(&[
            error("22012", "division alice@example.com"),
            ready(),
            bound(),
            bare(b'n'),
            complete("SELECT 0"),
            ready(),
        ]),
        client(&[
            parse("", "select nothing"),
            bind("", "", &[], &[]),
            execute("", 0),
            sync(),
            run("insert"),
            sync(),
        ]),
        target(&[
            error("42703", "no"),
            ready(),
            bound(),
            bare(b'n'),
            complete("INSERT 0 1"),
            error("23503", "at the commit"),
            ready(),
        ]),
    ]
}

fn denied() -> Turns {
    let run = |text: &str| {
        [
            parse("", text),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
        ]
        .concat()
    };
    vec![
        client(&[run("select 1"), run("drop table t"), run("select 3"), sync()]),
        // What the refused Parse leaves may be a COPY for all that is known: the Sync waits for the error.
        target(&[bound(), bare(b'n'), complete("SELECT 0"), error("42601", "x")]),
        target(&[ready()]),
        client(&[query("select e; delete from t; select 2"), query("select 'b'")]),
        target(&[
            notice("debug"),
            error("42601", "x"),
            ready(),
            result(&[EMAIL]),
            complete("SELECT 1"),
            ready(),
        ]),
        client(&[query("select 1; select 2")]),
        target(&[result(&[EMAIL]), complete("SELECT 1"), text_column("e")]),
        client(&[query("drop table t")]),
        target(&[
            row(&[Some(b"2")]),
            complete("SELECT 1"),
            ready(),
            error("42601", "x"),
            ready(),
        ]),
    ]
}

fn copied() -> Turns {
    let data = |data: &[u8]| frame(b'd', data);
    let out = |format: u8| frame(b'H', &[format, 0, 2, 0, format, 0, format]);
    let into = frame(b'G', &[0, 0, 2, 0, 0, 0, 0]);
    let field = |text: &[u8]| [&(text.len() as u32).to_be_bytes()[..], text].concat();
    let binary = [
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice(),
        &[0, 2],
        &field(b"1"),
        &field(EMAIL),
        &[255, 255],
    ]
    .concat();
    vec![
        client(&[query("copy t (a, b) to stdout")]),
        target(&[
            out(0),
            data(b"1\talice@exam"),
            data(b"ple.com\n2\tx\n"),
            data(b"3\tbob@example.org\n"),
            bare(b'c'),
            complete("COPY 3"),
            ready(),
        ]),
        client(&[query("copy t (a, b) to stdout (format csv)")]),
        target(&[
            out(0),
            data(b"1,\"alice@example.com\"\n"),
            data(b"2,\"a \"\"b@example.com\"\"\"\n"),
            bare(b'c'),
            complete("COPY 2"),
            ready(),
        ]),
        client(&[query("copy t (a, b) to stdout (format binary)")]),
        target(&[out(1), data(&binary), bare(b'c'), complete("COPY 1"), ready()]),
        client(&[query("copy t (a, b) from stdin")]),
        (Direction::ToDownstream, into.clone()),
        client(&[data(b"1\talice@example.com\n"), data(b"2\tb\n"), bare(b'c')]),
        target(&[complete("COPY 2"), ready()]),
        client(&[query("copy t (a, b) from stdin")]),
        (Direction::ToDownstream, into.clone()),
        client(&[data(b"1\t"), frame(b'f', b"the client stops\0")]),
        target(&[error("57014", "COPY from stdin failed: the client stops"), ready()]),
        client(&[
            parse("", "copy t (a, b) from stdin"),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]),
        target(&[bound(), bare(b'n'), into]),
        client(&[data(b"7\tx\n"), bare(b'c'), sync()]),
        target(&[complete("COPY 1"), ready()]),
    ]
}

fn asides() -> Turns {
    let parameter = frame(b'S', b"application_name\0alice@example.com\0");
    vec![
        client(&[query("listen a"), query("select 1")]),
        target(&[
            notice("before"),
            complete("LISTEN"),
            notification("a", "alice@example.com"),
            parameter.clone(),
            ready(),
        ]),
        target(&[
            notification("a", "between"),
            notice("first bob@example.org"),
            result(&[EMAIL]),
            parameter,
            notice("in it"),
            complete("SELECT 1"),
            ready(),
        ]),
        target(&[notification("a", "when nobody asks")]),
        client(&[bytes(encode_function_call), query("select 2")]),
        target(&[
            frame(b'V', &[&17u32.to_be_bytes()[..], EMAIL].concat()),
            ready(),
            result(&[b"2"]),
            complete("SELECT 1"),
            ready(),
        ]),
        client(&[bytes(encode_function_call)]),
        target(&[error("42883", "no such function"), ready()]),
    ]
}

/// A FunctionCall of `loread`, which guardrails know, without arguments.
fn encode_function_call(out: &mut Vec<u8>) {
    out.extend_from_slice(&frame(b'F', &[0, 0, 3, 0xBA, 0, 0, 0, 0, 0, 1]));
}

fn ended() -> Turns {
    vec![
        client(&[query("select 1; select e"), query("select 3")]),
        target(&[
            result(&[b"1"]),
            complete("SELECT 1"),
            result(&[EMAIL]),
            row(&[Some(b"b")])[..4].to_vec(),
        ]),
        client(&[bare(b'X')]),
    ]
}

/// Several columns whose values are found by different means, so that findings come up in another order with other cuts.
fn columns_of_many_kinds() -> Turns {
    let described = columns(&[
        ("a", 0, 0, 25, Format::Text),
        ("name", TABLE, 2, 25, Format::Text),
        ("c", 0, 0, 25, Format::Text),
    ]);
    let cells: [[Option<&[u8]>; 3]; 3] = [
        [Some(b"x"), None, Some(b"4111 1111 1111 1111")],
        [Some(EMAIL), Some(b"Alice"), Some(b"bob@example.org")],
        [Some(b"4111111111111111"), Some(b"Bob"), None],
    ];
    vec![
        client(&[query("select a, name, c from customers")]),
        target(&[
            described,
            cells.iter().flat_map(|cells| row(cells)).collect(),
            complete("SELECT 3"),
            ready(),
        ]),
    ]
}

/// Large rows, streamed: cut less densely.
fn large(value: Vec<u8>) -> Turns {
    vec![
        client(&[query("select 1; select e")]),
        target(&[
            result(&[b"1"]),
            complete("SELECT 1"),
            result(&[b"small", &value, EMAIL]),
            complete("SELECT 3"),
            ready(),
        ]),
    ]
}

fn large_value() -> Vec<u8> {
    let mut value = vec![b'x'; 270 * 1024];
    for at in [100, 65_530, 131_066, 200_000] {
        value[at..at + 19].copy_from_slice(b" alice@example.com ");
    }
    value
}

fn stages() -> Vec<Stage> {
    let by_hand: [(&'static str, Turns); 10] = [
        ("simple", simple()),
        ("pipelined", pipelined()),
        ("portals", portals()),
        ("undescribed", undescribed()),
        ("errors", errors()),
        ("denied", denied()),
        ("copied", copied()),
        ("asides", asides()),
        ("ended", ended()),
        ("columns of many kinds", columns_of_many_kinds()),
    ];
    by_hand
        .into_iter()
        .map(|(name, turns)| Stage::new(name, turns, |_| ()))
        .collect()
}

#[test]
fn nothing_of_the_conversations_leaks() {
    for mut stage in stages() {
        let whole = stage.whole();
        let seen = String::from_utf8_lossy(&whole.to_client).into_owned();
        for value in ["alice@", "bob@", "carol@", "4111", "Alice"] {
            assert!(!seen.contains(value), "{}: {seen}", stage.name);
        }
    }
}

#[test]
fn every_byte_and_every_single_cut() {
    stages().iter_mut().for_each(Stage::every_byte_and_every_single_cut);
}

#[test]
fn random_cuts() {
    stages().iter_mut().for_each(Stage::random_cuts);
}

#[test]
fn killed_anywhere() {
    stages().iter_mut().for_each(Stage::killed_anywhere);
}

#[test]
fn random_interleavings() {
    for name in ["simple", "pipelined", "portals", "undescribed", "columns of many kinds"] {
        stages()
            .iter_mut()
            .filter(|stage| stage.name == name)
            .for_each(Stage::random_interleavings);
    }
}

#[test]
fn sessions_without_recording_or_rules() {
    let statements: fn(&mut wire::Snapshot) =
        |snapshot| snapshot.connections[0].record = wire::Record::Statements as i32;
    let bare: fn(&mut wire::Snapshot) = |snapshot| snapshot.connections[0].redact.clear();
    for change in [statements, bare] {
        for turns in [simple(), denied(), copied()] {
            let mut stage = Stage::new("other policy", turns, change);
            let whole = stage.run(|_, _| Vec::new());
            let bytewise = stage.run(|_, len| (0..len).collect());
            stage.check(bytewise, &whole, || "byte by byte".to_owned());
        }
    }
}

#[test]
fn large_rows_in_pieces_of_many_sizes() {
    let mut stage = Stage::new("large", large(large_value()), |_| ());
    let whole = stage.whole();
    assert!(!String::from_utf8_lossy(&whole.to_client).contains("alice@"));
    for size in [1_000, 1_021, 4_096, 16_384, 65_536, 65_537] {
        let outcome = stage.run(|_, len| (0..len).step_by(size).collect());
        stage.check(outcome, &whole, || format!("pieces of {size}"));
    }
    let mut dice = Dice(SEED);
    for set in 0..20 {
        let outcome = stage.run(|_, len| {
            let mut cuts: Vec<usize> = (0..6).map(|_| dice.below(len + 1)).collect();
            cuts.sort_unstable();
            cuts
        });
        stage.check(outcome, &whole, || format!("set {set}"));
    }
}

#[test]
fn what_cannot_be_read_in_a_large_value_is_counted_once() {
    let mut value = vec![b'x'; 5 * 1024 * 1024];
    for at in [70_000, 1_000_000, 4_200_000] {
        value[at..at + 6].copy_from_slice(b"\\u0041");
    }
    let pass: fn(&mut wire::Snapshot) = |snapshot| snapshot.redactions[0].on_error = wire::OnError::Pass as i32;
    let mut stage = Stage::new("unreadable", large(value), pass);
    let whole = stage.whole();
    let outcome = stage.run(|_, len| (0..len).step_by(65_536).collect());
    stage.check(outcome, &whole, || "in pieces".to_owned());
}
