//! A target's login: what the target says, what it is sent, what comes of it.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::*;
use crate::postgres::message::{FieldDescription, Format, Frontend, TransactionStatus, encode as e};
use crate::wire::scram::Server;
use UpstreamStep as Step;

const NONCE: Nonce = [3; 18];
const PASSWORD: &[u8] = b"hunter2";

fn config(tls: TlsMode) -> UpstreamConfig {
    let param = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    UpstreamConfig {
        user: "app".into(),
        password: Zeroizing::new(PASSWORD.to_vec()),
        database: "orders".into(),
        params: vec![
            param("application_name", "psql"),
            param("USER", "root"),
            param("replication", "database"),
            param("_pq_.x", "1"),
            param("options", "-c geqo=off"),
        ],
        tls,
        replication: None,
        resolve_columns: vec![],
    }
}

fn column(schema: &str, table: &str, column: &str) -> ColumnName {
    ColumnName {
        schema: schema.into(),
        table: table.into(),
        column: column.into(),
    }
}

/// A target at one end of a dialogue.
struct Dialogue {
    login: Upstream,
    held: Vec<u8>,
}

impl Dialogue {
    fn with(config: UpstreamConfig) -> Dialogue {
        Dialogue {
            login: Upstream::new(config, NONCE),
            held: Vec::new(),
        }
    }

    /// After the StartupMessage without TLS.
    fn started(mut config: UpstreamConfig) -> Dialogue {
        config.tls = TlsMode::Disable;
        let mut target = Dialogue::with(config);
        assert!(matches!(&target.steps()[..], [Step::Send(_)]));
        target
    }

    /// The target says this; the steps come back.
    fn says(&mut self, bytes: &[u8]) -> Vec<Step> {
        self.held.extend_from_slice(bytes);
        let mut steps = Vec::new();
        loop {
            let taken = self.login.feed(&self.held);
            self.held.drain(..taken);
            let polled = self.steps();
            let rests = polled.is_empty() && taken == 0;
            steps.extend(polled);
            if rests {
                return steps;
            }
        }
    }

    fn says_frame(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), e::EncodeError>) -> Vec<Step> {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        self.says(&out)
    }

    fn steps(&mut self) -> Vec<Step> {
        std::iter::from_fn(|| Some(self.login.poll()).filter(|step| *step != Step::Need)).collect()
    }
}

fn fault(steps: &[Step]) -> UpstreamFault {
    match steps {
        [
            ..,
            Step::Failed {
                error: UpstreamError::Protocol(fault),
            },
        ] => *fault,
        other => panic!("{other:?}"),
    }
}

fn sent(steps: &[Step]) -> Vec<u8> {
    match steps {
        [Step::Send(bytes)] => bytes.clone(),
        other => panic!("{other:?}"),
    }
}

fn password_body(steps: &[Step]) -> Vec<u8> {
    let bytes = sent(steps);
    assert_eq!(bytes[0], b'p');
    bytes[5..].to_vec()
}

/// AuthenticationOk, two settings, key, ReadyForQuery.
fn welcome() -> Vec<u8> {
    let mut out = Vec::new();
    e::authentication_ok(&mut out);
    e::parameter_status(&mut out, b"server_version", b"15.18").unwrap();
    e::parameter_status(&mut out, b"TimeZone", b"UTC").unwrap();
    e::parameter_status(&mut out, b"TimeZone", b"CET").unwrap();
    e::notice_response(&mut out, &[(b'M', b"hello")]).unwrap();
    e::backend_key_data(&mut out, 4242, b"abcd").unwrap();
    e::ready_for_query(&mut out, TransactionStatus::Idle);
    out
}

fn ready(steps: &[Step]) -> Established {
    match steps {
        [Step::Ready(established)] => established.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replication_connection_is_asked_for_and_looks_up_what_it_can() {
    for (replication, value) in [(Replication::Physical, "true"), (Replication::Logical, "database")] {
        let mut config = config(TlsMode::Disable);
        config.replication = Some(replication);
        config.params.clear();
        config.resolve_columns = vec![column("public", "customers", "name")];
        let mut target = Dialogue::with(config);
        let startup = sent(&target.steps());
        let expected = format!("user\0app\0database\0orders\0replication\0{value}\0\0");
        assert_eq!(&startup[8..], expected.as_bytes());
        let steps = target.says(&welcome());
        let is_ready = matches!(steps.as_slice(), [Step::Ready(_)]);
        assert_eq!(is_ready, replication == Replication::Physical, "{steps:?}");
    }
}

#[test]
fn a_target_that_trusts() {
    let mut target = Dialogue::with(config(TlsMode::Disable));
    let startup = sent(&target.steps());
    assert_eq!(startup[4..8], [0, 3, 0, 0]);
    assert_eq!(usize::from(startup[3]), startup.len());
    assert_eq!(
        &startup[8..],
        b"user\0app\0database\0orders\0application_name\0psql\0options\0-c geqo=off\0\0",
        "user, replication and protocol options of the client stay out"
    );
    let steps = target.says(&[welcome().as_slice(), b"A\0\0"].concat());
    let established = ready(&steps);
    let params: Vec<_> = established
        .params
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(params, [("server_version", "15.18"), ("TimeZone", "CET")]);
    assert_eq!(
        established.cancel,
        Some(CancelKey {
            pid: 4242,
            secret: b"abcd".to_vec()
        })
    );
    assert_eq!((established.minor, established.relation_oid_max), (0, 0));
    let mut notice = Vec::new();
    e::notice_response(&mut notice, &[(b'M', b"hello")]).unwrap();
    assert_eq!(established.notices, notice, "the client is to have it");
    assert_eq!(target.held, b"A\0\0", "what comes later is the session's");
}

#[test]
fn tls_by_mode() {
    let ssl_request = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    let asked = |mode| {
        let mut target = Dialogue::with(config(mode));
        assert_eq!(sent(&target.steps()), ssl_request);
        target
    };
    for mode in [TlsMode::Prefer, TlsMode::Require, TlsMode::VerifyFull] {
        let mut target = asked(mode);
        assert_eq!(target.says(b"S"), [Step::StartTls]);
        target.login.tls_started();
        assert_eq!(sent(&target.steps())[4..8], [0, 3, 0, 0]);
        ready(&target.says(&welcome()));

        let mut target = asked(mode);
        target.says(b"S");
        target.login.tls_refused();
        assert_eq!(fault(&target.steps()), UpstreamFault::TlsFailed);

        assert_eq!(
            fault(&asked(mode).says(b"E\0\0\0\x05\0")),
            UpstreamFault::TlsRequestFailed
        );
        assert_eq!(fault(&asked(mode).says(b"H")), UpstreamFault::TlsAnswer(b'H'));
        assert_eq!(fault(&asked(mode).says(b"SR")), UpstreamFault::BytesBeforeTls);
        let mut target = asked(mode);
        target.says(b"S");
        assert_eq!(fault(&target.says(b"x")), UpstreamFault::BytesBeforeTls);
        target.login.tls_started();
        assert_eq!(target.steps(), [], "it stays failed");
    }
    assert_eq!(sent(&asked(TlsMode::Prefer).says(b"N"))[4..8], [0, 3, 0, 0]);
    assert_eq!(fault(&asked(TlsMode::Require).says(b"N")), UpstreamFault::TlsNotOffered);
    assert_eq!(
        fault(&asked(TlsMode::VerifyFull).says(b"N")),
        UpstreamFault::TlsNotOffered
    );
}

#[test]
fn md5() {
    let mut target = Dialogue::started(config(TlsMode::Disable));
    let steps = target.says_frame(|o| e::authentication(o, 5, &[1, 2, 3, 4]));
    // SELECT 'md5' || md5((md5('hunter2' || 'app'))::bytea || '\x01020304'::bytea)
    assert_eq!(password_body(&steps), b"md56c756f9baaf93d46b93b7ca862c00383\0");
    ready(&target.says(&welcome()));
}

#[test]
fn clear_text_needs_tls_or_an_operator_who_said_no() {
    let ask = |out: &mut Vec<u8>| e::authentication(out, 3, b"");
    let mut target = Dialogue::started(config(TlsMode::Disable));
    assert_eq!(password_body(&target.says_frame(ask)), b"hunter2\0");

    let mut target = Dialogue::with(config(TlsMode::Prefer));
    target.steps();
    target.says(b"N");
    assert_eq!(fault(&target.says_frame(ask)), UpstreamFault::CleartextWithoutTls);

    let mut target = Dialogue::with(config(TlsMode::Prefer));
    target.steps();
    target.says(b"S");
    target.login.tls_started();
    target.steps();
    assert_eq!(password_body(&target.says_frame(ask)), b"hunter2\0");
}

/// A target with SCRAM, after its challenge was answered; the second value is its last message.
fn challenged() -> (Dialogue, Vec<u8>) {
    let verifier = ScramVerifier::derive(PASSWORD, b"0123456789abcdef", 4096).unwrap();
    let mut server = Server::new(&[verifier], [9; 18]).unwrap();
    let mut target = Dialogue::started(config(TlsMode::Disable));
    let steps = target.says_frame(|o| e::authentication_sasl(o, &[b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]));
    let body = password_body(&steps);
    let Ok(Frontend::Password(password)) = Frontend::parse(b'p', &body) else {
        panic!()
    };
    let initial = password.sasl_initial().unwrap();
    assert_eq!(initial.mechanism, b"SCRAM-SHA-256");
    let server_first = server.client_first(initial.data.unwrap()).unwrap();
    let steps = target.says_frame(|o| e::authentication(o, 11, &server_first));
    let accepted = server.client_final(&password_body(&steps)).unwrap();
    (target, accepted.server_final)
}

#[test]
fn scram() {
    let (mut target, server_final) = challenged();
    assert_eq!(target.says_frame(|o| e::authentication(o, 12, &server_final)), []);
    ready(&target.says(&welcome()));
}

#[test]
fn a_target_that_does_not_prove_itself_is_left() {
    let (mut target, _) = challenged();
    assert_eq!(fault(&target.says(&welcome())), UpstreamFault::UnprovenServer);
    let (mut target, server_final) = challenged();
    let mut wrong = server_final;
    wrong[5] ^= 1;
    let steps = target.says_frame(|o| e::authentication(o, 12, &wrong));
    assert!(matches!(fault(&steps), UpstreamFault::Scram(_)), "{steps:?}");
}

#[test]
fn methods_that_are_not_spoken_are_named() {
    for (code, name) in [(2, "Kerberos"), (7, "GSSAPI"), (9, "SSPI"), (99, "unknown")] {
        let mut target = Dialogue::started(config(TlsMode::Disable));
        assert_eq!(
            fault(&target.says_frame(|o| e::authentication(o, code, b""))),
            UpstreamFault::Method(name)
        );
    }
    let mut target = Dialogue::started(config(TlsMode::Disable));
    let steps = target.says_frame(|o| e::authentication_sasl(o, &[b"SCRAM-SHA-256-PLUS"]));
    assert_eq!(fault(&steps), UpstreamFault::Mechanism);
}

#[test]
fn the_targets_own_error_is_passed_on() {
    let mut target = Dialogue::started(config(TlsMode::Disable));
    let long = vec![b'x'; 20_000];
    let fields: [(u8, &[u8]); 5] = [
        (b'S', b"FATAL"),
        (b'C', b"3D000"),
        (b'M', b"database \"orders\" does not exist"),
        (b'D', &long),
        (b'H', b"\xff"),
    ];
    let steps = target.says_frame(|o| e::error_response(o, &fields));
    let [
        Step::Failed {
            error: UpstreamError::Server(error),
        },
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!((error.severity.as_str(), error.sqlstate.as_str()), ("FATAL", "3D000"));
    assert_eq!(error.message, "database \"orders\" does not exist");
    assert_eq!(error.detail.as_ref().map(String::len), Some(4_096));
    assert_eq!(error.hint.as_deref(), Some("\u{fffd}"));
}

#[test]
fn messages_at_the_wrong_moment_end_it() {
    let unexpected = |bytes: &[u8]| {
        let mut target = Dialogue::started(config(TlsMode::Disable));
        matches!(fault(&target.says(bytes)), UpstreamFault::Malformed(_))
    };
    assert!(unexpected(b"Z\0\0\0\x05I"), "ready before authentication");
    assert!(unexpected(b"K\0\0\0\x0c\0\0\0\x01abcd"), "a key before authentication");
    assert!(unexpected(b"D\0\0\0\x06\0\0"), "a row");
    assert!(unexpected(b"R\0\0\0\x08\0\0\0\x0b"), "SASL data without SASL");
    assert!(unexpected(b"R\xff\xff\xff\xff"), "negative length");
    assert!(unexpected(b"E\x7f\xff\xff\xff"), "2 GiB");
    assert!(unexpected(b"?"), "unknown tag");
    let mut target = Dialogue::started(config(TlsMode::Disable));
    target.says_frame(|o| e::authentication(o, 3, b""));
    assert!(matches!(
        fault(&target.says_frame(|o| e::authentication(o, 3, b""))),
        UpstreamFault::Malformed(_)
    ));
    let mut target = Dialogue::started(config(TlsMode::Disable));
    assert_eq!(
        fault(&target.says_frame(|o| e::negotiate_protocol_version(o, 3 << 16, &[]))),
        UpstreamFault::Version(0)
    );
}

#[test]
fn a_target_that_never_gets_ready_is_left() {
    let mut notices = Vec::new();
    for _ in 0..1_025 {
        e::notice_response(&mut notices, &[]).unwrap();
    }
    let mut target = Dialogue::started(config(TlsMode::Disable));
    assert_eq!(fault(&target.says(&notices)), UpstreamFault::TooMuch);
    let mut settings = Vec::new();
    e::authentication_ok(&mut settings);
    for i in 0..129 {
        e::parameter_status(&mut settings, format!("p{i}").as_bytes(), b"").unwrap();
    }
    let mut target = Dialogue::started(config(TlsMode::Disable));
    assert_eq!(fault(&target.says(&settings)), UpstreamFault::TooMuch);
}

#[test]
fn values_that_cannot_be_written_end_it_before_anything_is_sent() {
    let mut with_nul = config(TlsMode::Disable);
    with_nul.params = vec![("a".into(), "b\0user\0root".into())];
    assert_eq!(fault(&Dialogue::with(with_nul).steps()), UpstreamFault::Unwritable);
    let mut long = config(TlsMode::Disable);
    long.params = vec![("a".into(), "b".repeat(10_000))];
    assert_eq!(fault(&Dialogue::with(long).steps()), UpstreamFault::Unwritable);
    let mut many = config(TlsMode::Disable);
    many.resolve_columns = vec![column("s", "t", "c"); 4_097];
    assert_eq!(fault(&Dialogue::with(many).steps()), UpstreamFault::TooManyColumns);
}

/// A target that was asked for two columns; the text of the look-up is the second value.
fn looked_up() -> (Dialogue, String) {
    let mut asks = config(TlsMode::Disable);
    asks.resolve_columns = vec![
        column("public", "customers", "name"),
        column("p\u{fc}b", "o'brien", "c\\"),
    ];
    let mut target = Dialogue::started(asks);
    let query = sent(&target.says(&welcome()));
    assert_eq!(query[0], b'Q');
    let text = String::from_utf8(query[5..query.len() - 1].to_vec()).unwrap();
    (target, text)
}

fn answer(rows: &[[&str; 3]]) -> Vec<u8> {
    let name: &[u8] = b"i";
    let field = FieldDescription {
        offset: 0,
        name,
        table_oid: 0,
        attribute: 0,
        type_oid: 23,
        type_bytes: 4,
        type_modifier: -1,
        format: Format::Text,
    };
    let mut out = Vec::new();
    e::row_description(&mut out, &[field; 3]).unwrap();
    for row in rows {
        e::data_row(&mut out, &row.map(|cell| Some(cell.as_bytes()))).unwrap();
    }
    e::command_complete(&mut out, b"SELECT 3").unwrap();
    e::ready_for_query(&mut out, TransactionStatus::Idle);
    out
}

#[test]
fn columns_are_looked_up() {
    let (mut target, text) = looked_up();
    assert!(
        text.starts_with("/* sluice catalog lookup */ WITH RECURSIVE "),
        "{text}"
    );
    assert!(
        text.is_ascii() && text.contains(r"E'p\u00FCb'") && text.contains("E'o''brien'") && text.contains(r"E'c\\'")
    );
    let steps = target.says(&answer(&[
        ["0", "16400", "2"],
        ["1", "16405", "7"],
        ["0", "16410", "3"],
        ["-1", "16500", "0"],
    ]));
    let established = ready(&steps);
    let found: Vec<_> = established
        .columns
        .iter()
        .map(|c| (c.index, c.table_oid, c.attribute))
        .collect();
    assert_eq!(found, [(0, 16400, 2), (1, 16405, 7), (0, 16410, 3)]);
    assert_eq!(established.relation_oid_max, 16500);
    assert_eq!(established.params.len(), 2);
}

#[test]
fn a_look_up_that_is_not_answered_as_asked_ends_it() {
    let rows: [&[[&str; 3]]; 8] = [
        &[],
        &[["0", "16400", "2"]],
        &[["2", "16400", "2"], ["-1", "16500", "0"]],
        &[["-2", "16400", "2"], ["-1", "16500", "0"]],
        &[["0", "4294967296", "2"], ["-1", "16500", "0"]],
        &[["0", "16400", "0"], ["-1", "16500", "0"]],
        &[["0", "16400", "40000"], ["-1", "16500", "0"]],
        &[["x", "", " 1"]],
    ];
    for rows in rows {
        let (mut target, _) = looked_up();
        assert_eq!(fault(&target.says(&answer(rows))), UpstreamFault::Catalog, "{rows:?}");
    }
    let (mut target, _) = looked_up();
    let steps =
        target.says_frame(|o| e::error_response(o, &[(b'S', b"ERROR"), (b'C', b"42P01"), (b'M', b"no catalogue")]));
    assert!(
        matches!(
            &steps[..],
            [Step::Failed {
                error: UpstreamError::Server(_)
            }]
        ),
        "fails closed"
    );
}

#[test]
fn passwords_are_not_printed() {
    let login = Upstream::new(config(TlsMode::Disable), NONCE);
    let printed = format!("{login:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("104, 117"),
        "{printed}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_in_every_cut(bytes: Vec<u8>) {
        crate::fuzzing::pg_login_upstream(&bytes);
    }

    #[test]
    fn arbitrary_frames_in_every_cut(frames in prop::collection::vec((prop::sample::select(&b"RSKZENTDCv"[..]), any::<Vec<u8>>()), 0..6), choice: u8) {
        let mut bytes = vec![choice & 4];
        for (tag, body) in frames {
            bytes.push(tag);
            bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
            bytes.extend_from_slice(&body);
        }
        crate::fuzzing::pg_login_upstream(&bytes);
    }
}
