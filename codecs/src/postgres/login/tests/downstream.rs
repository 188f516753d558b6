//! A client's login: what it says, what it is told, what the caller learns.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::*;
use crate::fuzzing::seeds::{CANCEL, GSS, SSL, packet};
use crate::postgres::framer::{Framed, Framer, HEADER_BYTES, Speaker};
use crate::postgres::message::{Authentication, Backend, TransactionStatus, encode as e};
use crate::wire::scram::{Client, ITERATIONS_MIN};
use DownstreamStep as Step;

const TOKEN: &[u8] = b"slu_right";
const NONCE: Nonce = [3; 18];

/// A client at one end of a dialogue.
struct Dialogue {
    login: Downstream,
    /// What was said and not taken.
    held: Vec<u8>,
}

impl Dialogue {
    fn with(tls: TlsOffer) -> Dialogue {
        Dialogue {
            login: Downstream::new(DownstreamConfig { tls }),
            held: Vec::new(),
        }
    }

    /// The client says this; the steps up to the next `Need` come back.
    fn says(&mut self, bytes: &[u8]) -> Vec<Step> {
        self.held.extend_from_slice(bytes);
        let mut steps = Vec::new();
        loop {
            let taken = self.login.feed(&self.held);
            self.held.drain(..taken);
            let polled = self.steps();
            let rests = polled.is_empty();
            let calls = matches!(polled.last(), Some(Step::Identify(_) | Step::StartTls { .. }));
            steps.extend(polled);
            if rests && taken == 0 || calls {
                return steps;
            }
        }
    }

    fn steps(&mut self) -> Vec<Step> {
        std::iter::from_fn(|| Some(self.login.poll()).filter(|step| *step != Step::Need)).collect()
    }

    fn identifies(&mut self, startup: &[u8]) -> Startup {
        match self.says(startup).as_slice() {
            [Step::Identify(startup)] => startup.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn is_refused(&mut self, bytes: &[u8]) -> (String, String, LoginRefusal) {
        match self.says(bytes).as_slice() {
            [.., Step::Refused { reply, reason }] => {
                let (sqlstate, message) = error(reply);
                (sqlstate, message, *reason)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Goes through SCRAM with this secret; the steps after the client's last message come back.
    fn proves(&mut self, secret: &[u8]) -> Vec<Step> {
        let mut client = Client::new("", Zeroizing::new(secret.to_vec()), [4; 18]);
        let mut initial = Vec::new();
        e::sasl_initial_response(&mut initial, b"SCRAM-SHA-256", Some(&client.first())).unwrap();
        let server_first = match self.says(&initial).as_slice() {
            [Step::Send(bytes)] => sasl_data(bytes),
            other => panic!("{other:?}"),
        };
        let mut response = Vec::new();
        e::sasl_response(&mut response, &client.server_first(&server_first).unwrap()).unwrap();
        self.says(&response)
    }
}

fn verifiers(tokens: &[&[u8]]) -> Vec<ScramVerifier> {
    tokens
        .iter()
        .map(|t| ScramVerifier::derive(t, b"0123456789abcdef", ITERATIONS_MIN).unwrap())
        .collect()
}

fn startup(minor: u32, rest: &[u8]) -> Vec<u8> {
    packet(3 << 16 | minor, rest)
}

/// Every message of an answer, as tag and body.
fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let Ok(Framed::Frame { tag, len }) = Framer::new(Speaker::Backend).next(bytes) {
        all.push((tag, bytes[HEADER_BYTES..len].to_vec()));
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty(), "whole messages only");
    all
}

fn error(reply: &[u8]) -> (String, String) {
    let [(tag, body)] = &messages(reply)[..] else {
        return Default::default();
    };
    let Ok(Backend::ErrorResponse(fields)) = Backend::parse(*tag, body) else {
        panic!()
    };
    assert_eq!(fields.severity(), b"FATAL");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(fields.sqlstate()), text(fields.message()))
}

fn sasl_data(bytes: &[u8]) -> Vec<u8> {
    let [(tag, body)] = &messages(bytes)[..] else { panic!() };
    match Backend::parse(*tag, body) {
        Ok(Backend::Authentication(Authentication::SaslContinue(data) | Authentication::SaslFinal(data))) => {
            data.to_vec()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_logs_in_with_its_second_token() {
    let mut client = Dialogue::with(TlsOffer::Yes);
    let who = client.identifies(&startup(
        0,
        b"user\0alice\0database\0orders/a\0application_name\0psql\0\0",
    ));
    assert_eq!(
        (who.user.as_str(), who.database.as_str(), who.minor, who.tls),
        ("alice", "orders/a", 0, false)
    );
    assert_eq!(who.params, [("application_name".to_owned(), "psql".to_owned())]);

    client.login.verifiers(&verifiers(&[b"slu_other", TOKEN]), NONCE);
    let [Step::Send(asks)] = &client.steps()[..] else {
        panic!()
    };
    let Ok(Backend::Authentication(Authentication::Sasl { mechanisms })) = Backend::parse(b'R', &asks[5..]) else {
        panic!()
    };
    assert_eq!(
        mechanisms.iter().collect::<Vec<_>>(),
        [b"SCRAM-SHA-256"],
        "PLUS is not offered"
    );

    assert_eq!(client.proves(TOKEN), [Step::Authenticated { verifier: 1 }]);
    assert_eq!(client.login.secret_bytes(), 4);
    let key = CancelKey {
        pid: 77,
        secret: vec![1, 2, 3, 4],
    };
    let welcome = client.login.welcome(
        &[("server_version".into(), "15".into()), ("x".into(), "\0".into())],
        key,
        b"",
    );
    let tags: Vec<u8> = messages(&welcome).into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(
        tags, b"RRSKZ",
        "proof, ok, one setting (the one with NUL is left out), key, ready"
    );
    let last = messages(&welcome).pop().unwrap().1;
    assert_eq!(TransactionStatus::parse(&last), Ok(TransactionStatus::Idle));
    assert_eq!(client.says(b"Q\0\0\0\x05\0"), [], "statements are not for the login");
    assert_eq!(client.held, b"Q\0\0\0\x05\0");
}

#[test]
fn the_server_proves_itself_in_the_welcome_only() {
    let mut login = Dialogue::with(TlsOffer::No);
    login.identifies(&startup(0, b"user\0alice\0\0"));
    login.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    login.steps();
    let mut client = Client::new("", Zeroizing::new(TOKEN.to_vec()), [4; 18]);
    let mut says = Vec::new();
    e::sasl_initial_response(&mut says, b"SCRAM-SHA-256", Some(&client.first())).unwrap();
    let [Step::Send(challenge)] = &login.says(&says)[..] else {
        panic!()
    };
    let mut says = Vec::new();
    e::sasl_response(&mut says, &client.server_first(&sasl_data(challenge)).unwrap()).unwrap();
    assert_eq!(login.says(&says), [Step::Authenticated { verifier: 0 }]);
    let welcome = login.login.welcome(
        &[],
        CancelKey {
            pid: 1,
            secret: vec![0; 4],
        },
        b"",
    );
    let (tag, body) = &messages(&welcome)[0];
    let Ok(Backend::Authentication(Authentication::SaslFinal(data))) = Backend::parse(*tag, body) else {
        panic!()
    };
    assert_eq!(client.server_final(data), Ok(()));
}

#[test]
fn wrong_secret_unknown_user_and_not_allowed_look_the_same() {
    let answer = |verifiers: &[ScramVerifier], secret: &[u8]| {
        let mut client = Dialogue::with(TlsOffer::No);
        client.identifies(&startup(0, b"user\0alice\0database\0orders\0\0"));
        client.login.verifiers(verifiers, NONCE);
        client.steps();
        match client.proves(secret).as_slice() {
            [Step::Refused { reply, .. }] => reply.clone(),
            [Step::Authenticated { .. }] => client.login.refuse_credentials(),
            other => panic!("{other:?}"),
        }
    };
    let wrong = answer(&verifiers(&[TOKEN]), b"slu_wrong");
    let unknown = answer(&[ScramVerifier::mock(b"key", b"alice", 16, ITERATIONS_MIN)], b"slu_any");
    let not_allowed = answer(&verifiers(&[TOKEN]), TOKEN);
    assert_eq!(wrong, unknown);
    assert_eq!(wrong, not_allowed);
    let message = "password authentication failed for user \"alice\"".to_owned();
    assert_eq!(error(&wrong), ("28P01".to_owned(), message));
}

#[test]
fn without_verifiers_nobody_gets_in() {
    let mut client = Dialogue::with(TlsOffer::No);
    client.identifies(&startup(0, b"user\0alice\0\0"));
    client.login.verifiers(&[], NONCE);
    assert!(matches!(
        &client.steps()[..],
        [Step::Refused {
            reason: LoginRefusal::Scram(_),
            ..
        }]
    ));
    let welcome = client.login.welcome(
        &[],
        CancelKey {
            pid: 1,
            secret: vec![0; 4],
        },
        b"",
    );
    assert_eq!(error(&welcome).0, "58000", "no welcome without a proof");
}

#[test]
fn tls_is_negotiated_then_the_start_up_is_encrypted() {
    for tls in [TlsOffer::Yes, TlsOffer::Required] {
        let mut client = Dialogue::with(tls);
        assert_eq!(client.says(&packet(GSS, b"")), [Step::Send(b"N".to_vec())]);
        assert_eq!(
            client.says(&packet(SSL, b"")),
            [Step::StartTls { reply: b"S".to_vec() }]
        );
        client.login.tls_started(None);
        assert!(client.identifies(&startup(0, b"user\0alice\0\0")).tls);
    }
    let mut client = Dialogue::with(TlsOffer::No);
    assert_eq!(client.says(&packet(SSL, b"")), [Step::Send(b"N".to_vec())]);
    assert!(!client.identifies(&startup(0, b"user\0alice\0\0")).tls);
}

#[test]
fn tls_may_begin_at_once() {
    for tls in [TlsOffer::Yes, TlsOffer::Required] {
        let mut client = Dialogue::with(tls);
        assert_eq!(client.says(b"\x16"), [Step::StartTlsAtOnce]);
        assert_eq!(
            client.says(b"\x03\x01\x02\0\x01"),
            [],
            "the handshake's bytes are not ours"
        );
        client.held.clear();
        client.login.tls_started(None);
        assert!(client.identifies(&startup(0, b"user\0alice\0\0")).tls);
    }
    let mut asked = Dialogue::with(TlsOffer::Yes);
    asked.says(&packet(GSS, b""));
    assert!(matches!(
        asked.says(b"\x16\x03\x01\x02\0\x01")[..],
        [Step::Refused { .. }]
    ));
}

#[test]
fn channel_binding_is_offered_with_tls_and_checked() {
    let data = vec![7; 32];
    let begins = |channel: Option<Vec<u8>>| {
        let mut client = Dialogue::with(TlsOffer::Yes);
        client.says(&packet(SSL, b""));
        client.login.tls_started(channel);
        client.identifies(&startup(0, b"user\0alice\0\0"));
        client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
        client
    };
    let offers = |client: &mut Dialogue| match &client.steps()[..] {
        [Step::Send(bytes)] => String::from_utf8_lossy(bytes).contains("SCRAM-SHA-256-PLUS"),
        other => panic!("{other:?}"),
    };
    assert!(!offers(&mut begins(None)));
    let says = |mechanism: &[u8], first: &[u8], channel: Option<Vec<u8>>| {
        let mut client = begins(channel);
        offers(&mut client);
        let mut message = Vec::new();
        e::sasl_initial_response(&mut message, mechanism, Some(first)).unwrap();
        client.says(&message)
    };
    let goes_on = |steps: &[Step]| matches!(steps, [Step::Send(_)]);
    let bound = b"p=tls-server-end-point,,n=,r=a";
    assert!(goes_on(&says(b"SCRAM-SHA-256-PLUS", bound, Some(data.clone()))));
    assert!(goes_on(&says(b"SCRAM-SHA-256", b"n,,n=,r=a", Some(data.clone()))));
    assert!(goes_on(&says(b"SCRAM-SHA-256", b"y,,n=,r=a", None)));
    for (mechanism, first, channel) in [
        (&b"SCRAM-SHA-256-PLUS"[..], &bound[..], None),
        (b"SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=a", Some(data.clone())),
        (b"SCRAM-SHA-256-PLUS", b"n,,n=,r=a", Some(data.clone())),
        (b"SCRAM-SHA-256", bound, Some(data.clone())),
        // Somebody on the way took the offer out.
        (b"SCRAM-SHA-256", b"y,,n=,r=a", Some(data)),
    ] {
        let steps = says(mechanism, first, channel);
        assert!(matches!(&steps[..], [Step::Refused { .. }]), "{steps:?}");
    }
}

#[test]
fn plain_text_is_refused_where_tls_is_required_but_cancel_is_not() {
    let mut client = Dialogue::with(TlsOffer::Required);
    let (sqlstate, message, reason) = client.is_refused(&startup(0, b"user\0alice\0\0"));
    assert_eq!(
        (sqlstate.as_str(), message.as_str()),
        ("28000", "this connection requires TLS")
    );
    assert_eq!(reason, LoginRefusal::TlsRequired);

    let mut client = Dialogue::with(TlsOffer::Required);
    let key = CancelKey {
        pid: 9,
        secret: b"abcd".to_vec(),
    };
    assert_eq!(client.says(&cancel_request(&key)), [Step::Cancel(key)]);
}

#[test]
fn bytes_before_tls_end_the_login_without_an_answer() {
    let stuffed = || Step::Refused {
        reply: vec![],
        reason: LoginRefusal::BytesBeforeTls,
    };
    let mut client = Dialogue::with(TlsOffer::Yes);
    let together = [packet(SSL, b""), startup(0, b"user\0alice\0\0")].concat();
    assert_eq!(client.says(&together), [stuffed()]);

    let mut client = Dialogue::with(TlsOffer::Yes);
    assert_eq!(
        client.says(&packet(SSL, b"")),
        [Step::StartTls { reply: b"S".to_vec() }]
    );
    assert_eq!(client.says(b"x"), [stuffed()]);

    let mut client = Dialogue::with(TlsOffer::Yes);
    client.says(&packet(SSL, b""));
    client.login.feed(b"x");
    client.login.tls_started(None);
    assert_eq!(client.steps(), [stuffed()], "a handshake does not wash them clean");
}

#[test]
fn newer_protocols_are_negotiated_down() {
    let mut client = Dialogue::with(TlsOffer::No);
    let who = client.identifies(&startup(9_999, b"user\0alice\0_pq_.a\0on\0_pq_.b\0\0\0"));
    assert_eq!((who.minor, who.params.len()), (2, 0));
    client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    let [Step::Send(answer)] = &client.steps()[..] else {
        panic!()
    };
    let all = messages(answer);
    let Ok(Backend::NegotiateProtocolVersion(version)) = Backend::parse(all[0].0, &all[0].1) else {
        panic!()
    };
    assert_eq!(version.version, 3 << 16 | 2);
    assert_eq!(version.options().collect::<Vec<_>>(), [b"_pq_.a", b"_pq_.b"]);
    assert_eq!(all[1].0, b'R');

    assert_eq!(client.proves(TOKEN), [Step::Authenticated { verifier: 0 }]);
    assert_eq!(client.login.secret_bytes(), 32);
    let welcome = client.login.welcome(
        &[],
        CancelKey {
            pid: 1,
            secret: vec![5; 32],
        },
        b"",
    );
    assert_eq!(messages(&welcome)[2].1.len(), 36);

    let mut client = Dialogue::with(TlsOffer::No);
    assert_eq!(client.identifies(&startup(2, b"user\0alice\0\0")).minor, 2);
    client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    let [Step::Send(answer)] = &client.steps()[..] else {
        panic!()
    };
    assert_eq!(messages(answer).len(), 1, "nothing to negotiate");
}

#[test]
fn a_long_key_is_left_out_for_a_client_that_cannot_read_it() {
    let mut client = Dialogue::with(TlsOffer::No);
    client.identifies(&startup(0, b"user\0alice\0\0"));
    client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    client.steps();
    client.proves(TOKEN);
    let welcome = client.login.welcome(
        &[],
        CancelKey {
            pid: 1,
            secret: vec![5; 32],
        },
        b"",
    );
    assert_eq!(messages(&welcome).iter().map(|m| m.0).collect::<Vec<_>>(), b"RRZ");
}

#[test]
fn a_client_that_names_the_mechanism_first_is_asked_for_data() {
    let mut client = Dialogue::with(TlsOffer::No);
    client.identifies(&startup(0, b"user\0alice\0\0"));
    client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    client.steps();
    let [Step::Send(empty)] = &client.says(b"p\0\0\0\x16SCRAM-SHA-256\0\xff\xff\xff\xff")[..] else {
        panic!()
    };
    assert_eq!(sasl_data(empty), b"");
    let [Step::Send(challenge)] = &client.says(b"p\0\0\0\x0fn,,n=,r=abc")[..] else {
        panic!()
    };
    assert!(sasl_data(challenge).starts_with(b"r=abc"));
}

#[test]
fn start_ups_that_are_refused() {
    let many: Vec<u8> = (0..70).flat_map(|i| format!("p{i}\0v\0").into_bytes()).collect();
    let many = [b"user\0a\0".as_slice(), &many, b"\0"].concat();
    let long = [b"user\0".as_slice(), &[b'a'; 257], b"\0\0"].concat();
    let cases: [(&str, Vec<u8>); 13] = [
        ("0A000", packet(2 << 16, b"user\0a\0\0")),
        ("0A000", packet(1234 << 16 | 5681, b"")),
        ("28000", startup(0, b"database\0a\0\0")),
        ("28000", startup(0, b"user\0\0\0")),
        ("22023", startup(0, b"user\0a\0replication\0databases\0\0")),
        ("08P01", startup(0, b"user\0a\0user\0b\0\0")),
        ("08P01", startup(0, b"user\0a\0TimeZone\0x\0timezone\0y\0\0")),
        ("08P01", startup(0, b"user\0a\0")),
        ("08P01", startup(0, b"user\0a\0\0trailing")),
        ("08P01", startup(0, b"user\0\xff\xfe\0\0")),
        ("08P01", startup(0, &many)),
        ("08P01", startup(0, &long)),
        ("08P01", packet(SSL, b"extra")),
    ];
    for (expected, bytes) in cases {
        let (sqlstate, message, _) = Dialogue::with(TlsOffer::No).is_refused(&bytes);
        assert_eq!(sqlstate, expected, "{message}: {bytes:?}");
    }
    for (value, expected) in [
        ("off", None),
        ("yes", Some(Replication::Physical)),
        ("database", Some(Replication::Logical)),
    ] {
        let asked = startup(0, format!("user\0a\0replication\0{value}\0\0").as_bytes());
        let startup = Dialogue::with(TlsOffer::No).identifies(&asked);
        assert_eq!((startup.params.len(), startup.replication), (0, expected), "{value}");
    }
}

#[test]
fn hostile_lengths_are_refused_at_once() {
    for header in [
        [0, 0, 0, 0],
        [0, 0, 0, 7],
        [0xff; 4],
        [0x80, 0, 0, 0],
        [0x7f, 0xff, 0xff, 0xff],
        [0, 0, 0x27, 0x11],
    ] {
        // PostgreSQL says nothing either.
        let steps = Dialogue::with(TlsOffer::Yes).says(&header);
        let [Step::Refused { reply, reason }] = steps.as_slice() else {
            panic!("{header:?}: {steps:?}");
        };
        assert!(reply.is_empty());
        assert!(
            matches!(reason, LoginRefusal::Malformed(Malformed::Length { .. })),
            "{header:?}"
        );
    }
    assert_eq!(
        Dialogue::with(TlsOffer::Yes).says(&[0, 0, 0x27, 0x10]),
        [],
        "10,000 bytes are allowed"
    );
    let direct = Dialogue::with(TlsOffer::No).says(b"\x16\x03\x01\x02\0\x01");
    assert_eq!(
        direct,
        [Step::Refused {
            reply: vec![],
            reason: LoginRefusal::DirectTls
        }]
    );
    for bytes in [packet(CANCEL, b"\0\0\0\x01abc"), packet(CANCEL, &[1; 4 + 257])] {
        assert_eq!(Dialogue::with(TlsOffer::No).is_refused(&bytes).0, "08P01");
    }
}

#[test]
fn negotiating_twice_is_refused() {
    for code in [SSL, GSS] {
        let mut client = Dialogue::with(TlsOffer::No);
        assert_eq!(client.says(&packet(code, b"")), [Step::Send(b"N".to_vec())]);
        assert_eq!(client.is_refused(&packet(code, b"")).2, LoginRefusal::NegotiatedTwice);
        let mut client = Dialogue::with(TlsOffer::Yes);
        client.says(&packet(SSL, b""));
        client.login.tls_started(None);
        assert_eq!(client.is_refused(&packet(code, b"")).2, LoginRefusal::NegotiatedTwice);
    }
}

#[test]
fn answers_other_than_a_proof_are_refused() {
    let asked = || {
        let mut client = Dialogue::with(TlsOffer::No);
        client.identifies(&startup(0, b"user\0alice\0\0"));
        client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
        client.steps();
        client
    };
    assert_eq!(asked().is_refused(b"Q\0\0\0\x0dselect 1\0").0, "08P01");
    assert_eq!(asked().is_refused(b"p\0\0\x27\x10").0, "08P01");
    assert_eq!(asked().is_refused(b"p\0\0\0\x0asecre\0").0, "08P01");
    let mut plus = Vec::new();
    e::sasl_initial_response(&mut plus, b"SCRAM-SHA-256-PLUS", Some(b"p=tls-unique,,n=,r=a")).unwrap();
    assert_eq!(asked().is_refused(&plus).2, LoginRefusal::Mechanism);
    let mut binding = Vec::new();
    e::sasl_initial_response(&mut binding, b"SCRAM-SHA-256", Some(b"p=tls-unique,,n=,r=a")).unwrap();
    assert_eq!(asked().is_refused(&binding).0, "08P01");
}

#[test]
fn calls_at_the_wrong_moment_do_nothing() {
    let mut client = Dialogue::with(TlsOffer::Required);
    client.login.tls_started(None);
    client.login.verifiers(&verifiers(&[TOKEN]), NONCE);
    assert_eq!(client.steps(), []);
    assert_eq!(
        client.is_refused(&startup(0, b"user\0alice\0\0")).2,
        LoginRefusal::TlsRequired
    );
}

#[test]
fn keys_are_not_printed() {
    let key = CancelKey {
        pid: 5,
        secret: vec![200; 4],
    };
    assert_eq!(format!("{key:?}"), "CancelKey(5, 4 bytes)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every cut of every start: same steps, no panic.
    #[test]
    fn arbitrary_bytes_in_every_cut(mut bytes: Vec<u8>, honest_length: bool) {
        if honest_length && bytes.len() > 9 {
            let length = (bytes.len() - 1) as u32;
            bytes[1..5].copy_from_slice(&length.to_be_bytes());
            bytes[5..9].copy_from_slice(&(3u32 << 16).to_be_bytes());
        }
        crate::fuzzing::pg_login_downstream(&bytes);
    }
}
