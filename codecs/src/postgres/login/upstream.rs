//! The login towards a target: TLS by mode, start-up, authentication, settings, catalogue look-up.

use std::collections::VecDeque;
use std::sync::Arc;

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::catalog::{self, Answer};
use super::inbox::{Inbox, Unit, split_frame};
use super::startup;
use super::{
    CancelKey, Established, Nonce, ServerError, TlsMode, UpstreamConfig, UpstreamError, UpstreamFault, UpstreamStep,
};
use crate::malformed::Malformed;
use crate::postgres::framer::{Framer, Speaker};
use crate::postgres::limits::{
    LOGIN_NOTICES_BYTES_MAX, RESOLVE_COLUMNS_MAX, RESOLVE_ROWS_MAX, SERVER_ERROR_FIELD_BYTES_MAX,
    TARGET_LOGIN_FRAMES_MAX, TARGET_PARAMETERS_MAX,
};
use crate::postgres::message::{Authentication, Backend, EncodeError, ErrorFields, ParameterStatus, encode};
use crate::postgres::replication::Replication;
use crate::wire::scram::{self, ScramError};

/// The minor version that is asked of targets: every server since 2003 speaks it.
const MINOR: u16 = 0;

/// A login at a target. The calling order is in the [module's documentation](super).
///
/// **Passwords in clear.** A target that asks for the password in clear text gets it over TLS, and without TLS only
/// under [`TlsMode::Disable`], where the operator has said that the network is trusted. Under [`TlsMode::Prefer`] anybody on
/// the way could remove TLS and ask for it, so it is refused.
///
/// **Work.** A step can cost up to [`scram::ITERATIONS_MAX`] rounds of HMAC, if the target asks for so many.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    state: State,
    inbox: Inbox,
    steps: VecDeque<UpstreamStep>,
    nonce: Nonce,
    tls: bool,
    frames: usize,
    params: Vec<(String, String)>,
    cancel: Option<CancelKey>,
    notices: Vec<u8>,
    known_keys: Option<Arc<scram::KeyCache>>,
}

#[derive(Debug)]
enum State {
    /// SSLRequest or StartupMessage goes out with the next poll.
    Begin,
    /// One byte answers the SSLRequest.
    TlsAnswer,
    /// The caller runs the TLS handshake.
    Handshake,
    /// The target asks for a proof, or for none.
    Asked,
    /// A password was sent: only AuthenticationOk can follow.
    Answered,
    /// The exchange goes on; AuthenticationOk may not come yet.
    Scram(Box<scram::Client>),
    /// Authenticated: settings and key come, then ReadyForQuery.
    Settling,
    /// The catalogue look-up runs.
    LookUp(Answer),
    Done,
}

impl Upstream {
    pub fn new(config: UpstreamConfig, client_nonce: Nonce) -> Upstream {
        Upstream {
            config,
            state: State::Begin,
            inbox: Inbox::default(),
            steps: VecDeque::new(),
            nonce: client_nonce,
            tls: false,
            frames: 0,
            params: Vec::new(),
            cancel: None,
            notices: Vec::new(),
            known_keys: None,
        }
    }

    /// Uses the keys of logins that went well before, and leaves its own: a SCRAM login then costs no iterations.
    #[must_use]
    pub fn with_known_keys(mut self, known: Arc<scram::KeyCache>) -> Upstream {
        self.known_keys = Some(known);
        self
    }

    /// Takes at most one frame from the front of `bytes`; returns how many bytes it took. Show it everything that was
    /// read: what lies behind the target's yes to TLS is an attack (CVE-2021-23222) and must be seen here.
    ///
    /// Takes nothing while a frame waits to be polled, before the first poll, and after the login.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let unit = match self.state {
            State::TlsAnswer => Unit::Answer,
            State::Handshake => {
                if !bytes.is_empty() {
                    self.fail(UpstreamFault::BytesBeforeTls);
                }
                return 0;
            }
            State::Begin | State::Done => return 0,
            _ => Unit::Frame(Framer::new(Speaker::BackendLogin)),
        };
        let taken = self.inbox.feed(unit, bytes);
        let upgrade = matches!(self.state, State::TlsAnswer) && self.inbox.bytes() == b"S";
        if upgrade && taken < bytes.len() {
            self.fail(UpstreamFault::BytesBeforeTls);
        }
        taken
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> UpstreamStep {
        if matches!(self.state, State::Begin) {
            self.begin();
        }
        if self.steps.is_empty() && !matches!(self.state, State::Done) {
            match self.inbox.packet() {
                Ok(Some(packet)) => {
                    if let Err(fault) = self.handle(&packet) {
                        self.fail(fault);
                    }
                }
                Ok(None) => {}
                Err(fault) => self.fail(UpstreamFault::Malformed(fault)),
            }
        }
        self.steps.pop_front().unwrap_or(UpstreamStep::Need)
    }

    /// The TLS handshake is done: from here on decrypted bytes are fed.
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.tls = true;
            self.state = State::Begin;
        }
    }

    /// The TLS handshake failed. The next poll says so: there is no way back to plain text on this socket.
    pub fn tls_refused(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.fail(UpstreamFault::TlsFailed);
        }
    }

    fn begin(&mut self) {
        if self.config.tls != TlsMode::Disable && !self.tls {
            self.state = State::TlsAnswer;
            self.steps.push_back(UpstreamStep::Send(startup::ssl_request()));
        } else if let Err(fault) = self.start() {
            self.fail(fault);
        }
    }

    fn start(&mut self) -> Result<(), UpstreamFault> {
        if self.config.resolve_columns.len() > RESOLVE_COLUMNS_MAX {
            return Err(UpstreamFault::TooManyColumns);
        }
        let config = &self.config;
        let message = startup::startup_message(
            MINOR,
            &config.user,
            &config.database,
            config.replication,
            &config.params,
        )?;
        self.state = State::Asked;
        self.steps.push_back(UpstreamStep::Send(message));
        Ok(())
    }

    fn handle(&mut self, packet: &[u8]) -> Result<(), UpstreamFault> {
        if matches!(self.state, State::TlsAnswer) {
            return self.tls_answer(packet.first().copied().unwrap_or(0));
        }
        self.count_frame()?;
        let (tag, body) = split_frame(packet);
        match Backend::parse(tag, body)? {
            Backend::ErrorResponse(fields) => {
                self.state = State::Done;
                let error = UpstreamError::Server(server_error(&fields));
                self.steps.push_back(UpstreamStep::Failed { error });
                Ok(())
            }
            Backend::NoticeResponse(_) => {
                // What is said of the look-up is for nobody.
                let room = LOGIN_NOTICES_BYTES_MAX.saturating_sub(self.notices.len());
                if !matches!(self.state, State::LookUp(_)) && packet.len() <= room {
                    self.notices.extend_from_slice(packet);
                }
                Ok(())
            }
            Backend::ParameterStatus(status) => self.setting(status),
            message => match std::mem::replace(&mut self.state, State::Done) {
                State::LookUp(answer) => self.look_up(answer, tag, message),
                State::Settling => self.settle(tag, message),
                state => match message {
                    Backend::Authentication(request) => self.authenticate(state, request),
                    Backend::NegotiateProtocolVersion(wanted) => Err(UpstreamFault::Version(wanted.version & 0xFFFF)),
                    _ => Err(unexpected(tag)),
                },
            },
        }
    }

    /// Rows of the look-up have a bound of their own.
    fn count_frame(&mut self) -> Result<(), UpstreamFault> {
        self.frames += 1;
        let max = match self.state {
            State::LookUp(_) => RESOLVE_ROWS_MAX + 2 * TARGET_LOGIN_FRAMES_MAX,
            _ => TARGET_LOGIN_FRAMES_MAX,
        };
        if self.frames > max {
            Err(UpstreamFault::TooMuch)
        } else {
            Ok(())
        }
    }

    fn tls_answer(&mut self, answer: u8) -> Result<(), UpstreamFault> {
        match answer {
            b'S' => {
                self.state = State::Handshake;
                self.steps.push_back(UpstreamStep::StartTls);
                Ok(())
            }
            b'N' if self.config.tls == TlsMode::Prefer => self.start(),
            b'N' => Err(UpstreamFault::TlsNotOffered),
            b'E' => Err(UpstreamFault::TlsRequestFailed),
            other => Err(UpstreamFault::TlsAnswer(other)),
        }
    }

    /// `state` was taken out; it is put back, as it is after the request.
    fn authenticate(&mut self, state: State, request: Authentication<'_>) -> Result<(), UpstreamFault> {
        self.state = match (state, request) {
            (State::Asked | State::Answered, Authentication::Ok) => State::Settling,
            (State::Asked, Authentication::CleartextPassword) => self.send_cleartext()?,
            (State::Asked, Authentication::Md5Password { salt }) => self.send_md5(salt)?,
            (State::Asked, Authentication::Sasl { mechanisms }) => {
                if !mechanisms.contains(scram::MECHANISM.as_bytes()) {
                    return Err(UpstreamFault::Mechanism);
                }
                self.start_scram()?
            }
            (State::Scram(mut client), Authentication::SaslContinue(data)) => {
                let answer = client.server_first(data)?;
                self.send(|out| encode::sasl_response(out, &answer))?;
                State::Scram(client)
            }
            (State::Scram(mut client), Authentication::SaslFinal(data)) => {
                client.server_final(data)?;
                State::Answered
            }
            (State::Scram(_), Authentication::Ok) => return Err(UpstreamFault::UnprovenServer),
            (State::Asked, request @ Authentication::Other { .. }) => {
                return Err(UpstreamFault::Method(request.method_name()));
            }
            _ => return Err(unexpected(b'R')),
        };
        Ok(())
    }

    fn send_cleartext(&mut self) -> Result<State, UpstreamFault> {
        if !self.tls && self.config.tls != TlsMode::Disable {
            return Err(UpstreamFault::CleartextWithoutTls);
        }
        let password = self.config.password.clone();
        self.send(|out| encode::password(out, &password))?;
        Ok(State::Answered)
    }

    fn send_md5(&mut self, salt: [u8; 4]) -> Result<State, UpstreamFault> {
        let answer = md5_answer(&self.config.user, &self.config.password, salt);
        self.send(|out| encode::password(out, &answer))?;
        Ok(State::Answered)
    }

    fn start_scram(&mut self) -> Result<State, UpstreamFault> {
        let mut client = scram::Client::new("", self.config.password.clone(), self.nonce);
        if let Some(known) = &self.known_keys {
            client = client.with_keys(Arc::clone(known));
        }
        let client = Box::new(client);
        let first = client.first();
        self.send(|out| encode::sasl_initial_response(out, scram::MECHANISM.as_bytes(), Some(&first)))?;
        Ok(State::Scram(client))
    }

    fn settle(&mut self, tag: u8, message: Backend<'_>) -> Result<(), UpstreamFault> {
        self.state = State::Settling;
        match message {
            Backend::BackendKeyData(key) => {
                self.cancel = Some(CancelKey {
                    pid: key.process_id,
                    secret: key.secret.to_vec(),
                });
                Ok(())
            }
            Backend::NegotiateProtocolVersion(wanted) => Err(UpstreamFault::Version(wanted.version & 0xFFFF)),
            Backend::ReadyForQuery(_) if self.looks_nothing_up() => {
                self.ready(Answer::default());
                Ok(())
            }
            Backend::ReadyForQuery(_) => {
                let text = catalog::query(&self.config.resolve_columns);
                self.state = State::LookUp(Answer::default());
                self.send(|out| encode::query(out, text.as_bytes()))
            }
            _ => Err(unexpected(tag)),
        }
    }

    /// A physical replication connection takes no SQL.
    fn looks_nothing_up(&self) -> bool {
        self.config.resolve_columns.is_empty() || self.config.replication == Some(Replication::Physical)
    }

    fn look_up(&mut self, mut answer: Answer, tag: u8, message: Backend<'_>) -> Result<(), UpstreamFault> {
        match message {
            Backend::RowDescription(columns) if columns.columns() == 3 => {}
            Backend::DataRow(row) => answer.add(&row, self.config.resolve_columns.len())?,
            Backend::CommandComplete(_) => {}
            Backend::ReadyForQuery(_) if answer.relation_oid_max > 0 => {
                self.ready(answer);
                return Ok(());
            }
            Backend::ReadyForQuery(_) | Backend::RowDescription(_) => {
                return Err(UpstreamFault::Catalog);
            }
            _ => return Err(unexpected(tag)),
        }
        self.state = State::LookUp(answer);
        Ok(())
    }

    fn ready(&mut self, answer: Answer) {
        self.state = State::Done;
        self.steps.push_back(UpstreamStep::Ready(Established {
            params: std::mem::take(&mut self.params),
            cancel: self.cancel.take(),
            notices: std::mem::take(&mut self.notices),
            minor: MINOR,
            columns: answer.columns,
            relation_oid_max: answer.relation_oid_max,
        }));
    }

    fn setting(&mut self, status: ParameterStatus<'_>) -> Result<(), UpstreamFault> {
        let name = String::from_utf8_lossy(status.name).into_owned();
        let value = String::from_utf8_lossy(status.value).into_owned();
        if let Some(known) = self.params.iter_mut().find(|(known, _)| *known == name) {
            known.1 = value;
        } else if self.params.len() < TARGET_PARAMETERS_MAX {
            self.params.push((name, value));
        } else {
            return Err(UpstreamFault::TooMuch);
        }
        Ok(())
    }

    fn send(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Result<(), UpstreamFault> {
        let mut out = Vec::new();
        write(&mut out)?;
        self.steps.push_back(UpstreamStep::Send(out));
        Ok(())
    }

    /// The first failure stands, and nothing follows it.
    fn fail(&mut self, fault: UpstreamFault) {
        let failed = self
            .steps
            .iter()
            .any(|step| matches!(step, UpstreamStep::Failed { .. }));
        self.state = State::Done;
        if !failed {
            self.steps.clear();
            let error = UpstreamError::Protocol(fault);
            self.steps.push_back(UpstreamStep::Failed { error });
        }
    }
}

impl From<Malformed> for UpstreamFault {
    fn from(fault: Malformed) -> Self {
        UpstreamFault::Malformed(fault)
    }
}

impl From<ScramError> for UpstreamFault {
    fn from(error: ScramError) -> Self {
        UpstreamFault::Scram(error)
    }
}

impl From<EncodeError> for UpstreamFault {
    fn from(_: EncodeError) -> Self {
        UpstreamFault::Unwritable
    }
}

fn unexpected(tag: u8) -> UpstreamFault {
    UpstreamFault::Malformed(Malformed::Tag {
        place: "login with the target",
        tag,
    })
}

/// `md5` and the hash of the hash of password and user with the salt (PostgreSQL documentation, "Password Authentication").
fn md5_answer(user: &str, password: &[u8], salt: [u8; 4]) -> Zeroizing<Vec<u8>> {
    let inner = Md5::new().chain_update(password).chain_update(user).finalize();
    let inner = Zeroizing::new(hex(&inner));
    let outer = Md5::new().chain_update(&*inner).chain_update(salt).finalize();
    let mut answer = Zeroizing::new(b"md5".to_vec());
    answer.extend_from_slice(&hex(&outer));
    answer
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).map_or(b'0', |c| c as u8);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

fn server_error(fields: &ErrorFields<'_>) -> ServerError {
    let text = |bytes: &[u8]| {
        let bounded = bytes.get(..SERVER_ERROR_FIELD_BYTES_MAX).unwrap_or(bytes);
        String::from_utf8_lossy(bounded).into_owned()
    };
    ServerError {
        severity: text(fields.severity()),
        sqlstate: text(fields.sqlstate()),
        message: text(fields.message()),
        detail: fields.field(ErrorFields::DETAIL).map(text),
        hint: fields.field(ErrorFields::HINT).map(text),
    }
}
