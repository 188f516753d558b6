//! Entry points that the fuzz targets and the replay of their corpora share; no part of the public interface.
//!
//! Each takes arbitrary bytes and panics if a promise is broken: no panic on hostile input, the same result for every way of
//! cutting the input, answers bounded. The first byte of an input chooses the configuration.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::postgres::framer::{Framed, Framer, HEADER_BYTES, Speaker};
use crate::postgres::login::{
    CancelKey, ColumnName, Downstream, DownstreamConfig, DownstreamStep, ScramVerifier, TlsMode, TlsOffer, Upstream,
    UpstreamConfig, UpstreamError, UpstreamFault, UpstreamStep,
};
use crate::postgres::message::{Backend, Frontend};
use crate::wire::scram::ITERATIONS_MIN;

mod http;
#[cfg(test)]
mod http_seeds;
#[cfg(test)]
mod replay;
#[cfg(test)]
pub(crate) mod seeds;

pub use http::{http_h1_request, http_h1_response, http_h2_head};

/// The secret that logs in at the downstream target and that the upstream target logs in with.
pub const TOKEN: &[u8] = b"slu_fuzz";
/// Salt of the downstream target's verifier.
pub const SALT: &[u8] = b"0123456789abcdef";
/// Both faces' nonce.
pub const NONCE: [u8; 18] = [0x5a; 18];
/// What comes after this in an input is fed once TLS was started.
pub const TLS_MARK: &[u8] = b"\xfeTLS\xfe";
/// Most bytes that a login may answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most rounds of a driver: two per byte is more than any conversation needs.
const ROUNDS_PER_BYTE_MAX: usize = 4;

/// Frames and messages of one direction.
pub fn pg_framer(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let speaker = match choice & 3 {
        0 => Speaker::Frontend,
        1 => Speaker::Backend,
        2 => Speaker::FrontendLogin,
        _ => Speaker::BackendLogin,
    };
    let whole = frames(speaker, bytes, bytes.len().max(1));
    for step in [1, 2, 5, 7] {
        assert_eq!(frames(speaker, bytes, step), whole, "cut every {step} bytes");
    }
}

/// Frame ends found when `step` bytes come at a time, and whether it ended with an error.
fn frames(speaker: Speaker, bytes: &[u8], step: usize) -> (Vec<usize>, bool) {
    let mut framer = Framer::new(speaker);
    let (mut ends, mut start, mut come) = (Vec::new(), 0, 0);
    loop {
        let held = &bytes[start..come];
        match framer.next(held) {
            Err(_) => return (ends, true),
            Ok(Framed::Frame { tag, len }) => {
                assert!(len >= HEADER_BYTES && len <= held.len());
                message(speaker, tag, &held[HEADER_BYTES..len]);
                start += len;
                ends.push(start);
            }
            Ok(Framed::Need(total)) => {
                assert!(total > held.len(), "Need asks for what is there");
                if come == bytes.len() {
                    return (ends, false);
                }
                come = (come + step).min(bytes.len());
            }
        }
    }
}

/// Reads a message completely.
fn message(speaker: Speaker, tag: u8, body: &[u8]) {
    if matches!(speaker, Speaker::Frontend | Speaker::FrontendLogin) {
        match Frontend::parse(tag, body) {
            Ok(Frontend::Bind(bind)) => {
                for (i, cell) in bind.parameters.enumerate() {
                    let cell = cell.expect("checked when parsed");
                    assert!(bind.parameter_formats.of(i).is_some());
                    within(body, cell.offset, cell.bytes);
                }
            }
            Ok(Frontend::Password(password)) => {
                let (_, _) = (password.password(), password.sasl_initial());
            }
            _ => {}
        }
        return;
    }
    match Backend::parse(tag, body) {
        Ok(Backend::DataRow(row)) => {
            let walked = row
                .cells()
                .map_while(|cell| cell.ok().map(|c| within(body, c.offset, c.bytes)))
                .count();
            assert_eq!(
                walked == row.columns() && row.check().is_ok(),
                row.cells().all(|c| c.is_ok())
            );
        }
        Ok(Backend::RowDescription(rows)) => assert_eq!(rows.fields().count(), rows.columns()),
        Ok(Backend::ErrorResponse(fields)) => assert!(fields.iter().count() <= body.len()),
        _ => {}
    }
}

/// A value is where its offset says.
fn within(body: &[u8], offset: usize, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        assert_eq!(&body[offset..offset + bytes.len()], bytes);
    }
}

/// A client's login, with the verifier of [`TOKEN`].
pub fn pg_login_downstream(data: &[u8]) {
    let whole = downstream(data, usize::MAX);
    for step in [1, 3, 8] {
        assert_eq!(downstream(data, step), whole, "cut every {step} bytes");
    }
}

fn verifiers() -> &'static [ScramVerifier] {
    static VERIFIERS: OnceLock<Vec<ScramVerifier>> = OnceLock::new();
    VERIFIERS.get_or_init(|| vec![ScramVerifier::derive(TOKEN, SALT, ITERATIONS_MIN).expect("not zero")])
}

/// What the steps of a client's login were, when `step` bytes come at a time.
pub fn downstream(data: &[u8], step: usize) -> Vec<DownstreamStep> {
    let Some((&choice, bytes)) = data.split_first() else {
        return Vec::new();
    };
    let tls = [TlsOffer::No, TlsOffer::Yes, TlsOffer::Required][usize::from(choice) % 3];
    let mut login = Downstream::new(DownstreamConfig { tls });
    let mut input = Input::new(bytes, step);
    let mut steps = Vec::new();
    for _ in 0..=ROUNDS_PER_BYTE_MAX * (bytes.len() + 16) {
        let taken = login.feed(input.held());
        input.drop_front(taken);
        let polled = login.poll();
        match &polled {
            DownstreamStep::Need => {
                assert!(taken > 0 || input.held().is_empty(), "Need, but takes nothing");
                if input.held().is_empty() && !input.more() {
                    return steps;
                }
                continue;
            }
            DownstreamStep::Identify(_) => login.verifiers(verifiers(), NONCE),
            DownstreamStep::StartTls { .. } => {
                // Whatever else came in clear is shown, as a socket would.
                while input.more() {}
                login.feed(input.held());
                if input.held().is_empty() && input.start_tls() {
                    login.tls_started(Some(NONCE.to_vec()));
                    steps.push(polled);
                } else if input.held().is_empty() {
                    steps.push(polled);
                    return steps;
                }
                continue;
            }
            DownstreamStep::Authenticated { .. } => {
                let key = CancelKey {
                    pid: 1,
                    secret: vec![1; login.secret_bytes()],
                };
                steps.push(DownstreamStep::Send(login.welcome(
                    &[("a".into(), "b".into())],
                    key,
                    b"",
                )));
            }
            _ => {}
        }
        let ends = !matches!(polled, DownstreamStep::Send(_) | DownstreamStep::Identify(_));
        steps.push(polled);
        if ends {
            check_answers(steps.iter().filter_map(|s| match s {
                DownstreamStep::Send(bytes) | DownstreamStep::Refused { reply: bytes, .. } => Some(bytes.len()),
                _ => None,
            }));
            return steps;
        }
    }
    panic!("the login does not come to an end");
}

/// A target's login with [`TOKEN`].
pub fn pg_login_upstream(data: &[u8]) {
    let whole = upstream(data, usize::MAX);
    for step in [1, 3, 8] {
        assert_eq!(upstream(data, step), whole, "cut every {step} bytes");
    }
}

/// The configuration that the upstream target uses for a first byte.
pub fn upstream_config(choice: u8) -> UpstreamConfig {
    let tls = [TlsMode::Disable, TlsMode::Prefer, TlsMode::Require, TlsMode::VerifyFull][usize::from(choice & 3)];
    let column = |column: &str| ColumnName {
        schema: "public".into(),
        table: "customers".into(),
        column: column.into(),
    };
    UpstreamConfig {
        user: "app".into(),
        password: Zeroizing::new(TOKEN.to_vec()),
        database: "orders".into(),
        params: vec![("application_name".into(), "psql".into())],
        tls,
        replication: None,
        resolve_columns: if choice & 4 == 0 {
            Vec::new()
        } else {
            vec![column("name"), column("email")]
        },
    }
}

/// What the steps of a target's login were, when `step` bytes come at a time.
pub fn upstream(data: &[u8], step: usize) -> Vec<UpstreamStep> {
    let Some((&choice, bytes)) = data.split_first() else {
        return Vec::new();
    };
    let mut login = Upstream::new(upstream_config(choice), NONCE);
    let mut input = Input::new(bytes, step);
    let mut steps = Vec::new();
    for _ in 0..=ROUNDS_PER_BYTE_MAX * (bytes.len() + 16) {
        let polled = login.poll();
        match &polled {
            UpstreamStep::Need => {
                let taken = login.feed(input.held());
                input.drop_front(taken);
                if taken == 0 && input.held().is_empty() && !input.more() {
                    return steps;
                }
                continue;
            }
            UpstreamStep::StartTls => {
                while input.more() {}
                login.feed(input.held());
                if input.held().is_empty() && input.start_tls() {
                    login.tls_started();
                } else if input.held().is_empty() {
                    login.tls_refused();
                } else {
                    continue;
                }
            }
            UpstreamStep::Failed {
                error: UpstreamError::Protocol(UpstreamFault::BytesBeforeTls),
            } => {
                steps.push(polled);
                return steps;
            }
            _ => {}
        }
        let ends = matches!(polled, UpstreamStep::Ready(_) | UpstreamStep::Failed { .. });
        steps.push(polled);
        if ends {
            check_answers(steps.iter().filter_map(|s| match s {
                UpstreamStep::Send(bytes) => Some(bytes.len()),
                _ => None,
            }));
            return steps;
        }
    }
    panic!("the login does not come to an end");
}

fn check_answers(lengths: impl Iterator<Item = usize>) {
    let sum: usize = lengths.sum();
    assert!(sum <= ANSWER_BYTES_MAX, "answered {sum} bytes");
}

/// An input that comes `step` bytes at a time, first its plain part, then the part behind [`TLS_MARK`].
struct Input<'a> {
    plain: &'a [u8],
    encrypted: Option<&'a [u8]>,
    start: usize,
    come: usize,
    step: usize,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8], step: usize) -> Self {
        let mark = memchr::memmem::find(bytes, TLS_MARK);
        let (plain, encrypted) = match mark {
            Some(at) => (&bytes[..at], Some(&bytes[at + TLS_MARK.len()..])),
            None => (bytes, None),
        };
        Input {
            plain,
            encrypted,
            start: 0,
            come: 0,
            step,
        }
    }

    /// What came and was not taken.
    fn held(&self) -> &'a [u8] {
        &self.plain[self.start..self.come]
    }

    fn drop_front(&mut self, taken: usize) {
        self.start += taken;
        assert!(self.start <= self.come, "took more than there was");
    }

    /// Lets the next part come. False if there is none.
    fn more(&mut self) -> bool {
        let before = self.come;
        self.come = self.come.saturating_add(self.step).min(self.plain.len());
        self.come > before
    }

    /// Goes over to the encrypted part. False if there is none.
    fn start_tls(&mut self) -> bool {
        let Some(encrypted) = self.encrypted.take() else {
            return false;
        };
        (self.plain, self.start, self.come) = (encrypted, 0, 0);
        true
    }
}
