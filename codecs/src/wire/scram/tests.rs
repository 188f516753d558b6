//! RFC 7677's example on both faces, the faces against each other, and hostile messages.

use proptest::prelude::*;

use super::*;

const RFC_PASSWORD: &[u8] = b"pencil";
const RFC_CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const RFC_CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_FIRST: &[u8] =
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const RFC_CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const RFC_SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn password(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_vec())
}

fn rfc_client() -> Client {
    Client::with_nonce("user", password(RFC_PASSWORD), RFC_CLIENT_NONCE.into())
}

fn rfc_server() -> Server {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = ScramVerifier::derive(RFC_PASSWORD, &salt, 4096).unwrap();
    let mut server = Server::new(&[verifier], [0; NONCE_RANDOM_BYTES]).unwrap();
    server.server_nonce = RFC_SERVER_NONCE.into();
    server
}

/// A server with verifiers for these tokens, with one salt and few iterations.
fn server_for(tokens: &[&[u8]]) -> Server {
    let verifiers: Vec<_> = tokens
        .iter()
        .map(|t| ScramVerifier::derive(t, b"salt", 1).unwrap())
        .collect();
    Server::new(&verifiers, [7; NONCE_RANDOM_BYTES]).unwrap()
}

/// A correct client-final-message for a token, without the client's bounds on iterations.
fn proof_for(token: &[u8], first_bare: &str, server_first: &[u8], binding: &str) -> Vec<u8> {
    proof_with(token, first_bare, server_first, binding.as_bytes())
}

fn proof_with(token: &[u8], first_bare: &str, server_first: &[u8], binding: &[u8]) -> Vec<u8> {
    let server_first = std::str::from_utf8(server_first).unwrap();
    let nonce = server_first.split(',').next().unwrap();
    let without_proof = format!("c={},{nonce}", BASE64.encode(binding));
    let auth_message = format!("{first_bare},{server_first},{without_proof}");
    let salted = salted_password(token, b"salt", 1).unwrap();
    let client_key = hmac_sha256(&*salted, b"Client Key");
    let proof = xor(client_key, &hmac_sha256(&sha256(&client_key), auth_message.as_bytes()));
    format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()
}

#[test]
fn known_keys_make_the_same_exchange_and_only_proved_ones_are_known() {
    let known = Arc::new(KeyCache::new());
    let mut impostor = rfc_client().with_keys(Arc::clone(&known));
    impostor.server_first(RFC_SERVER_FIRST).unwrap();
    let forged = format!("v={}", BASE64.encode([7; 32]));
    let outcome = impostor.server_final(forged.as_bytes());
    assert_eq!(outcome, Err(ScramError::BadServerSignature));
    assert!(known.is_empty(), "nobody has proved anything");
    for _ in 0..2 {
        let mut client = rfc_client().with_keys(Arc::clone(&known));
        assert_eq!(client.server_first(RFC_SERVER_FIRST).as_deref(), Ok(RFC_CLIENT_FINAL));
        assert_eq!(client.server_final(RFC_SERVER_FINAL), Ok(()));
        assert_eq!(known.len(), 1);
    }
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    assert!(known.find(&KeysId::of(RFC_PASSWORD, &salt, 4096)).is_some());
    for (password, salt, iterations) in [
        (&b"pencils"[..], &salt[..], 4096),
        (RFC_PASSWORD, b"x", 4096),
        (RFC_PASSWORD, &salt, 4097),
    ] {
        assert!(known.find(&KeysId::of(password, salt, iterations)).is_none());
    }
}

#[test]
fn the_oldest_known_keys_give_way() {
    let known = KeyCache::new();
    let id = |number: usize| KeysId::of(&number.to_le_bytes(), b"salt", 4096);
    for number in 0..KEYS_KEPT_MAX + 10 {
        known.keep(
            id(number),
            Keys {
                client: [1; 32],
                server: [2; 32],
            },
        );
        known.keep(
            id(number),
            Keys {
                client: [1; 32],
                server: [2; 32],
            },
        );
    }
    assert_eq!(known.len(), KEYS_KEPT_MAX);
    assert!(known.find(&id(9)).is_none() && known.find(&id(10)).is_some());
}

#[test]
fn the_rfc_example_as_client() {
    let mut client = rfc_client();
    assert_eq!(client.first(), RFC_CLIENT_FIRST);
    assert_eq!(client.server_first(RFC_SERVER_FIRST).as_deref(), Ok(RFC_CLIENT_FINAL));
    assert_eq!(client.server_final(RFC_SERVER_FINAL), Ok(()));
}

#[test]
fn the_rfc_example_as_server() {
    let mut server = rfc_server();
    assert_eq!(server.client_first(RFC_CLIENT_FIRST).as_deref(), Ok(RFC_SERVER_FIRST));
    let accepted = server.client_final(RFC_CLIENT_FINAL).unwrap();
    assert_eq!(
        (accepted.verifier, accepted.server_final.as_slice()),
        (0, RFC_SERVER_FINAL)
    );
}

#[test]
fn the_verifier_that_fits_is_named() {
    let tokens: [&[u8]; 3] = [b"slu_one", b"slu_two", b"slu_three"];
    for (index, token) in tokens.iter().enumerate() {
        let mut server = server_for(&tokens);
        let server_first = server.client_first(b"n,,n=,r=abc").unwrap();
        let answer = proof_for(token, "n=,r=abc", &server_first, "n,,");
        assert_eq!(server.client_final(&answer).map(|a| a.verifier), Ok(index));
    }
    let mut server = server_for(&tokens);
    let server_first = server.client_first(b"n,,n=,r=abc").unwrap();
    let answer = proof_for(b"slu_four", "n=,r=abc", &server_first, "n,,");
    assert_eq!(server.client_final(&answer), Err(ScramError::BadProof));
}

#[test]
fn verifiers_of_another_salt_never_fit_and_keep_the_count() {
    let of = |token: &[u8], salt: &[u8]| ScramVerifier::derive(token, salt, 1).unwrap();
    let verifiers = [of(b"a", b"salt"), of(b"b", b"other"), of(b"c", b"salt")];
    let mut server = Server::new(&verifiers, [7; NONCE_RANDOM_BYTES]).unwrap();
    let server_first = server.client_first(b"n,,n=,r=abc").unwrap();
    let answer = proof_for(b"c", "n=,r=abc", &server_first, "n,,");
    assert_eq!(server.client_final(&answer).map(|a| a.verifier), Ok(2));
    assert_eq!(Server::new(&[], [7; 18]).err(), Some(ScramError::NoVerifier));
}

#[test]
fn channel_binding_flags() {
    let mut server = server_for(&[b"t"]);
    let server_first = server.client_first(b"y,,n=,r=abc").unwrap();
    let answer = proof_for(b"t", "n=,r=abc", &server_first, "y,,");
    assert!(server.client_final(&answer).is_ok(), "y is right: PLUS was not offered");

    let mut server = server_for(&[b"t"]);
    let server_first = server.client_first(b"y,,n=,r=abc").unwrap();
    let answer = proof_for(b"t", "n=,r=abc", &server_first, "n,,");
    assert_eq!(server.client_final(&answer), Err(ScramError::ChannelBindingMismatch));

    let refused = |message: &[u8]| server_for(&[b"t"]).client_first(message).unwrap_err();
    assert_eq!(
        refused(b"p=tls-server-end-point,,n=,r=abc"),
        ScramError::ChannelBindingRequired
    );
    assert_eq!(refused(b"n,a=root,n=,r=abc"), ScramError::AuthorizationIdentity);
    assert_eq!(refused(b"n,,m=x,n=,r=abc"), ScramError::MandatoryExtension);
}

#[test]
fn a_proof_is_bound_to_the_channel() {
    let header = "p=tls-server-end-point,,";
    let answers = |binding: &[u8]| {
        let mut server = server_for(&[b"t"]);
        server.set_channel(Channel::Bound(b"hash".to_vec()));
        let server_first = server.client_first(format!("{header}n=,r=abc").as_bytes()).unwrap();
        let answer = proof_with(b"t", "n=,r=abc", &server_first, &[header.as_bytes(), binding].concat());
        server.client_final(&answer).map(|accepted| accepted.verifier)
    };
    assert_eq!(answers(b"hash"), Ok(0));
    for wrong in [&b""[..], b"hasi", b"hash\0", b"has"] {
        assert_eq!(answers(wrong), Err(ScramError::ChannelBindingMismatch));
    }
}

#[test]
fn malformed_client_messages() {
    let long = [b"n,,n=,r=".as_slice(), &[b'a'; NONCE_BYTES_MAX + 1]].concat();
    let huge = [b"n,,n=,r=".as_slice(), &[b'a'; MESSAGE_BYTES_MAX]].concat();
    let firsts: [&[u8]; 12] = [
        b"",
        b"n",
        b"n,,",
        b"n,,r=abc",
        b"n,,n=,r=",
        b"x,,n=,r=a",
        b"nn,,n=,r=a",
        b"n,,n=,r=a b",
        b"n,,n=\xff,r=a",
        b"n,,n=,r=a\0",
        &long,
        &huge,
    ];
    for first in firsts {
        assert_eq!(
            server_for(&[b"t"]).client_first(first),
            Err(ScramError::Malformed),
            "{first:?}"
        );
    }
    let finals: [&[u8]; 5] = [b"", b"c=biws", b"c=biws,r=x,p=", b"c=*,r=x,p=AAAA", b"p=AAAA"];
    for last in finals {
        let mut server = server_for(&[b"t"]);
        server.client_first(b"n,,n=,r=abc").unwrap();
        assert!(server.client_final(last).is_err(), "{last:?}");
        assert_eq!(server.client_final(last), Err(ScramError::OutOfOrder), "one try only");
    }
    assert_eq!(server_for(&[b"t"]).client_final(b"c=biws"), Err(ScramError::OutOfOrder));
}

#[test]
fn a_client_nonce_that_was_not_ours_is_refused() {
    let mut server = server_for(&[b"t"]);
    let server_first = server.client_first(b"n,,n=,r=abc").unwrap();
    let answer = proof_for(b"t", "n=,r=abc", &server_first, "n,,");
    let other = String::from_utf8(answer).unwrap().replace("r=abc", "r=abd");
    assert_eq!(server.client_final(other.as_bytes()), Err(ScramError::Nonce));
}

#[test]
fn the_client_bounds_what_a_server_asks() {
    let ask = |text: &str| rfc_client().server_first(text.as_bytes()).unwrap_err();
    let r = format!("r={RFC_CLIENT_NONCE}x");
    assert_eq!(
        ask(&format!("{r},s=AAAA,i=4095")),
        ScramError::Iterations { asked: 4095 }
    );
    assert_eq!(
        ask(&format!("{r},s=AAAA,i=600001")),
        ScramError::Iterations { asked: 600_001 }
    );
    assert_eq!(
        ask(&format!("{r},s=AAAA,i=99999999999999999999")),
        ScramError::Iterations { asked: u32::MAX }
    );
    assert_eq!(ask(&format!("{r},s=AAAA,i=-1")), ScramError::Malformed);
    assert_eq!(ask(&format!("{r},s=AAAA,i=+4096")), ScramError::Malformed);
    assert_eq!(ask(&format!("{r},s=,i=4096")), ScramError::Salt);
    assert_eq!(ask(&format!("{r},s=*,i=4096")), ScramError::Malformed);
    assert_eq!(ask(&format!("r={RFC_CLIENT_NONCE},s=AAAA,i=4096")), ScramError::Nonce);
    assert_eq!(ask("r=other,s=AAAA,i=4096"), ScramError::Nonce);
    assert_eq!(ask("m=ext,r=other,s=AAAA,i=4096"), ScramError::MandatoryExtension);
    assert_eq!(ask(&"r".repeat(MESSAGE_BYTES_MAX + 1)), ScramError::Malformed);
}

#[test]
fn the_client_believes_only_a_server_that_proves_itself() {
    let after_first = || {
        let mut client = rfc_client();
        client.server_first(RFC_SERVER_FIRST).unwrap();
        client
    };
    let wrong = b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert_eq!(after_first().server_final(wrong), Err(ScramError::BadServerSignature));
    assert_eq!(after_first().server_final(b"e=other-error"), Err(ScramError::BadProof));
    assert_eq!(after_first().server_final(b"v=AAAA"), Err(ScramError::Malformed));
    assert_eq!(after_first().server_final(b""), Err(ScramError::Malformed));
    assert_eq!(rfc_client().server_final(RFC_SERVER_FINAL), Err(ScramError::OutOfOrder));
    assert_eq!(
        after_first().server_first(RFC_SERVER_FIRST),
        Err(ScramError::OutOfOrder)
    );
}

#[test]
fn passwords_are_prepared_as_postgresql_does() {
    assert_eq!(*prepared_password("I\u{ad}X".as_bytes()), b"IX");
    assert_eq!(*prepared_password("\u{2168}".as_bytes()), b"IX");
    assert_eq!(
        *prepared_password(b"\x07bell"),
        b"\x07bell",
        "forbidden characters: as it is"
    );
    assert_eq!(*prepared_password(b"\xff"), b"\xff", "not UTF-8: as it is");
}

#[test]
fn a_mock_verifier_is_stable_and_different_by_user() {
    let a = ScramVerifier::mock(b"key", b"alice", 16, 4096);
    assert_eq!(a, ScramVerifier::mock(b"key", b"alice", 16, 4096));
    let b = ScramVerifier::mock(b"key", b"bob", 16, 4096);
    assert_ne!(a.salt, b.salt);
    assert_eq!(a.salt.len(), 16);
    assert_ne!(a.stored_key, a.server_key);
    assert_ne!(a.salt, ScramVerifier::mock(b"other", b"alice", 16, 4096).salt);
}

#[test]
fn secrets_are_not_printed() {
    let verifier = ScramVerifier::derive(b"t", b"salt", 1).unwrap();
    assert_eq!(format!("{verifier:?}"), "ScramVerifier { iterations: 1, .. }");
    assert!(!format!("{:?}", rfc_client()).contains("pencil"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_messages_never_panic_and_never_log_in(
        first in prop_oneof![any::<Vec<u8>>(), "[ny],,n=[a-z]{0,3},r=[!-+.-~]{1,8}".prop_map(String::into_bytes)],
        last in prop_oneof![any::<Vec<u8>>(), "c=biws,r=[ -~]{0,40},p=[A-Za-z0-9+/=]{0,48}".prop_map(String::into_bytes)],
    ) {
        let mut server = server_for(&[b"t"]);
        let _ = server.client_first(&first);
        prop_assert!(server.client_final(&last).is_err());
        let mut client = rfc_client();
        let _ = client.server_first(&first);
        prop_assert!(client.server_final(&last).is_err());
    }

    #[test]
    fn both_faces_agree(token in any::<Vec<u8>>(), nonce in any::<[u8; 18]>(), other in any::<[u8; 18]>()) {
        let verifier = ScramVerifier::derive(&token, b"0123456789abcdef", ITERATIONS_MIN).unwrap();
        let mut server = Server::new(&[verifier], nonce).unwrap();
        let mut client = Client::new("", password(&token), other);
        let server_first = server.client_first(&client.first()).unwrap();
        let accepted = server.client_final(&client.server_first(&server_first).unwrap()).unwrap();
        prop_assert_eq!(client.server_final(&accepted.server_final), Ok(()));
    }
}
