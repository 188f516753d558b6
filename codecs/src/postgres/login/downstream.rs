//! The login towards a client: negotiation, start-up, SCRAM against verifiers, welcome or refusal.

use std::collections::VecDeque;

use super::inbox::{Inbox, Unit, split_frame};
use super::startup::{self, Opening, PLACE as STARTUP_PLACE, StartupPacket};
use super::{CancelKey, DownstreamConfig, DownstreamStep, LoginRefusal, Nonce, TlsOffer};
use crate::malformed::Malformed;
use crate::postgres::framer::{Framer, Speaker};
use crate::postgres::limits::{MINOR_MAX, SECRET_BYTES_V30, SECRET_BYTES_V32};
use crate::postgres::message::encode;
use crate::postgres::message::{PasswordMessage, TransactionStatus};
use crate::postgres::refusal::{Refusal, sqlstate};
use crate::wire::scram::{self, Channel, ScramError, ScramVerifier};

/// Codes of Authentication messages.
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
/// First byte of a TLS handshake record; no start-up packet that is short enough begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A client's login. The calling order is in the [module's documentation](super).
///
/// What it answers depends on the bytes alone, not on how they were cut into reads.
#[derive(Debug)]
pub struct Downstream {
    config: DownstreamConfig,
    state: State,
    inbox: Inbox,
    steps: VecDeque<DownstreamStep>,
    ssl_asked: bool,
    gss_asked: bool,
    tls: bool,
    /// What a client can bind its proof to (RFC 5929, `tls-server-end-point`).
    channel: Option<Vec<u8>>,
    /// Plain bytes came behind an SSLRequest that was, or will be, answered with yes.
    stuffed: bool,
    user: String,
    minor: u16,
    /// What has to go out before the first authentication request.
    preface: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// A packet without a tag comes next.
    Opening,
    /// The caller runs the TLS handshake.
    Handshake,
    /// The same, with the bytes that were read already.
    HandshakeAtOnce,
    /// The caller looks up the user.
    Identified,
    /// SASLInitialResponse comes next.
    Mechanism(scram::Server),
    /// The client named the mechanism without data: client-first-message comes next.
    First(scram::Server),
    /// client-final-message comes next.
    Final(scram::Server),
    /// Waits for `welcome` or `refuse`.
    Authenticated {
        /// `None`: proved without SCRAM.
        server_final: Option<Vec<u8>>,
    },
    Done,
}

impl Downstream {
    pub fn new(config: DownstreamConfig) -> Downstream {
        Downstream {
            config,
            state: State::Opening,
            inbox: Inbox::default(),
            steps: VecDeque::new(),
            ssl_asked: false,
            gss_asked: false,
            tls: false,
            channel: None,
            stuffed: false,
            user: String::new(),
            minor: 0,
            preface: Vec::new(),
        }
    }

    /// Takes at most one packet from the front of `bytes`; returns how many bytes it took. Show it everything that was
    /// read: what lies behind an SSLRequest is an attack (CVE-2021-23214) and must be seen here.
    ///
    /// Takes nothing while a packet waits to be polled, while the user is being looked up, and after the login.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        if self.begins_tls(bytes) {
            self.state = State::HandshakeAtOnce;
            self.steps.push_back(DownstreamStep::StartTlsAtOnce);
        }
        let unit = match self.state {
            State::Opening => Unit::Startup,
            State::Mechanism(_) | State::First(_) | State::Final(_) => Unit::Frame(Framer::new(Speaker::FrontendLogin)),
            State::Handshake => {
                self.stuffed |= !bytes.is_empty();
                return 0;
            }
            State::HandshakeAtOnce | State::Identified | State::Authenticated { .. } | State::Done => return 0,
        };
        let taken = self.inbox.feed(unit, bytes);
        let upgrade = matches!(self.state, State::Opening) && self.config.tls != TlsOffer::No && !self.ssl_asked;
        if upgrade && self.inbox.is_complete() && startup::is_ssl_request(self.inbox.bytes()) {
            self.stuffed |= taken < bytes.len();
        }
        taken
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> DownstreamStep {
        if self.stuffed && !matches!(self.state, State::Done) {
            // Nothing is answered: an answer in clear could be taken for the answer to what was stuffed in.
            self.steps.clear();
            self.close(Vec::new(), LoginRefusal::BytesBeforeTls);
        }
        if self.steps.is_empty() {
            match self.inbox.packet() {
                Ok(Some(packet)) => self.handle(&packet),
                Ok(None) => {}
                Err(fault) => self.reject_fault(fault),
            }
        }
        self.steps.pop_front().unwrap_or(DownstreamStep::Need)
    }

    /// The first byte of a socket tells a TLS handshake from a start-up packet: such a packet would be far too long.
    fn begins_tls(&self, bytes: &[u8]) -> bool {
        let fresh = !self.tls && !self.ssl_asked && !self.gss_asked && self.inbox.bytes().is_empty();
        let offered = self.config.tls != TlsOffer::No;
        matches!(self.state, State::Opening) && fresh && offered && bytes.first() == Some(&TLS_HANDSHAKE)
    }

    /// The TLS handshake is done: from here on decrypted bytes are fed. `channel`: the hash of the certificate that was shown
    /// (RFC 5929, section 4.1), with which the client can make sure that nobody sits between; without it that is not offered.
    pub fn tls_started(&mut self, channel: Option<Vec<u8>>) {
        if matches!(self.state, State::Handshake | State::HandshakeAtOnce) && !self.stuffed {
            self.tls = true;
            self.channel = channel;
            self.state = State::Opening;
        }
    }

    /// Starts the SCRAM exchange with the verifiers of the user that was identified: those of all tokens, with one salt and
    /// one number of iterations. For an unknown user give [`ScramVerifier::mock`], so that nothing tells the difference.
    /// Does nothing unless the last step was [`DownstreamStep::Identify`].
    pub fn verifiers(&mut self, verifiers: &[ScramVerifier], server_nonce: Nonce) {
        if !matches!(self.state, State::Identified) {
            return;
        }
        match scram::Server::new(verifiers, server_nonce) {
            Err(error) => self.reject_scram(error),
            Ok(server) => {
                let mut reply = std::mem::take(&mut self.preface);
                let plain = scram::MECHANISM.as_bytes();
                let written = match &self.channel {
                    Some(_) => encode::authentication_sasl(&mut reply, &[scram::MECHANISM_PLUS.as_bytes(), plain]),
                    None => encode::authentication_sasl(&mut reply, &[plain]),
                };
                debug_assert_eq!(written, Ok(()));
                self.steps.push_back(DownstreamStep::Send(reply));
                self.state = State::Mechanism(server);
            }
        }
    }

    /// The user that was identified has proved who it is with the certificate that it has shown: no password is asked for. False, and
    /// nothing is changed, unless the last step was [`DownstreamStep::Identify`] inside TLS.
    pub fn certified(&mut self) -> bool {
        let may = self.tls && matches!(self.state, State::Identified);
        if may {
            self.state = State::Authenticated { server_final: None };
        }
        may
    }

    /// Ends the login. Returns the ErrorResponse to send before closing.
    pub fn refuse(&mut self, sqlstate: &str, message: &str) -> Vec<u8> {
        self.refuse_with(&Refusal::fatal(sqlstate, message))
    }

    /// As [`Downstream::refuse`] with detail and hint.
    pub fn refuse_with(&mut self, refusal: &Refusal) -> Vec<u8> {
        self.state = State::Done;
        self.steps.clear();
        refusal.to_error()
    }

    /// Ends the login as a wrong password does. For whoever may not have the connection, so that it looks the same.
    pub fn refuse_credentials(&mut self) -> Vec<u8> {
        let message = bad_password(&self.user);
        self.refuse(sqlstate::INVALID_PASSWORD, &message)
    }

    /// How long the secret of this client's cancel key is, bytes: 4 in protocol 3.0, 32 in 3.2.
    pub fn secret_bytes(&self) -> usize {
        if self.minor >= MINOR_MAX {
            SECRET_BYTES_V32
        } else {
            SECRET_BYTES_V30
        }
    }

    /// What the client reads when everything is ready: the server's proof, AuthenticationOk, the settings, the key for
    /// cancelling, `notices` (whole frames), ReadyForQuery. An ErrorResponse if the client is not authenticated.
    ///
    /// A key whose secret has not [`Downstream::secret_bytes`] bytes is left out for protocol 3.0, where a client could not
    /// read it; such a client cannot cancel. Settings that contain NUL are left out.
    pub fn welcome(&self, params: &[(String, String)], key: CancelKey, notices: &[u8]) -> Vec<u8> {
        let State::Authenticated { server_final } = &self.state else {
            return Refusal::fatal(sqlstate::SYSTEM_ERROR, "login is not complete").to_error();
        };
        let mut out = self.preface.clone();
        let mut written = match server_final {
            Some(server_final) => encode::authentication(&mut out, SASL_FINAL, server_final),
            None => Ok(()),
        };
        encode::authentication_ok(&mut out);
        for (name, value) in params {
            // Refused settings leave `out` as it was.
            let _ = encode::parameter_status(&mut out, name.as_bytes(), value.as_bytes());
        }
        if self.minor >= MINOR_MAX || key.secret.len() == SECRET_BYTES_V30 {
            written = written.and(encode::backend_key_data(&mut out, key.pid, &key.secret));
        }
        debug_assert_eq!(written, Ok(()), "our own values fit");
        out.extend_from_slice(notices);
        encode::ready_for_query(&mut out, TransactionStatus::Idle);
        out
    }

    fn handle(&mut self, packet: &[u8]) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Opening => self.open(packet),
            State::Mechanism(server) => self.choose(server, split_frame(packet).1),
            State::First(server) => self.challenge(server, split_frame(packet).1),
            State::Final(server) => self.prove(server, split_frame(packet).1),
            state @ (State::Handshake
            | State::HandshakeAtOnce
            | State::Identified
            | State::Authenticated { .. }
            | State::Done) => {
                self.state = state;
            }
        }
    }

    fn open(&mut self, packet: &[u8]) {
        match startup::parse(packet, self.tls) {
            Ok(Opening::Ssl) => self.negotiate_tls(),
            Ok(Opening::GssEnc) => self.decline_gss(),
            Ok(Opening::Cancel(key)) => self.steps.push_back(DownstreamStep::Cancel(key)),
            Ok(Opening::Startup(packet)) => self.start(packet),
            Err(refusal) => self.reject(refusal),
        }
    }

    fn negotiate_tls(&mut self) {
        if self.tls || std::mem::replace(&mut self.ssl_asked, true) {
            return self.reject(LoginRefusal::NegotiatedTwice);
        }
        if self.config.tls == TlsOffer::No {
            self.state = State::Opening;
            self.steps.push_back(DownstreamStep::Send(b"N".to_vec()));
        } else {
            self.state = State::Handshake;
            self.steps.push_back(DownstreamStep::StartTls { reply: b"S".to_vec() });
        }
    }

    fn decline_gss(&mut self) {
        if self.tls || std::mem::replace(&mut self.gss_asked, true) {
            return self.reject(LoginRefusal::NegotiatedTwice);
        }
        self.state = State::Opening;
        self.steps.push_back(DownstreamStep::Send(b"N".to_vec()));
    }

    fn start(&mut self, packet: StartupPacket) {
        if self.config.tls == TlsOffer::Required && !self.tls {
            return self.reject(LoginRefusal::TlsRequired);
        }
        self.user.clone_from(&packet.startup.user);
        self.minor = packet.startup.minor;
        if packet.negotiate {
            let options: Vec<&[u8]> = packet.options.iter().map(|o| o.as_bytes()).collect();
            let version = 3 << 16 | u32::from(packet.startup.minor);
            let written = encode::negotiate_protocol_version(&mut self.preface, version, &options);
            debug_assert_eq!(written, Ok(()), "options came as strings without NUL");
        }
        self.state = State::Identified;
        self.steps.push_back(DownstreamStep::Identify(packet.startup));
    }

    fn choose(&mut self, mut server: scram::Server, body: &[u8]) {
        let initial = match PasswordMessage::new(body).sasl_initial() {
            Ok(initial) => initial,
            Err(fault) => return self.reject(LoginRefusal::Malformed(fault)),
        };
        server.set_channel(match (initial.mechanism, &self.channel) {
            (plain, None) if plain == scram::MECHANISM.as_bytes() => Channel::None,
            (plain, Some(_)) if plain == scram::MECHANISM.as_bytes() => Channel::Offered,
            (plus, Some(data)) if plus == scram::MECHANISM_PLUS.as_bytes() => Channel::Bound(data.clone()),
            _ => return self.reject(LoginRefusal::Mechanism),
        });
        match initial.data {
            Some(data) => self.challenge(server, data),
            None => {
                self.send_authentication(SASL_CONTINUE, b"");
                self.state = State::First(server);
            }
        }
    }

    fn challenge(&mut self, mut server: scram::Server, client_first: &[u8]) {
        match server.client_first(client_first) {
            Ok(server_first) => {
                self.send_authentication(SASL_CONTINUE, &server_first);
                self.state = State::Final(server);
            }
            Err(error) => self.reject_scram(error),
        }
    }

    fn prove(&mut self, mut server: scram::Server, client_final: &[u8]) {
        match server.client_final(client_final) {
            Ok(scram::Accepted { verifier, server_final }) => {
                self.state = State::Authenticated {
                    server_final: Some(server_final),
                };
                self.steps.push_back(DownstreamStep::Authenticated { verifier });
            }
            Err(error) => self.reject_scram(error),
        }
    }

    fn send_authentication(&mut self, code: u32, data: &[u8]) {
        let mut out = Vec::new();
        let written = encode::authentication(&mut out, code, data);
        debug_assert_eq!(written, Ok(()), "SCRAM messages are bounded");
        self.steps.push_back(DownstreamStep::Send(out));
    }

    fn reject_fault(&mut self, fault: Malformed) {
        if matches!(self.state, State::Done) {
            return;
        }
        let is_tls = matches!(self.state, State::Opening) && self.inbox.bytes().first() == Some(&TLS_HANDSHAKE);
        self.reject(if is_tls {
            LoginRefusal::DirectTls
        } else {
            LoginRefusal::Malformed(fault)
        });
    }

    fn reject_scram(&mut self, error: ScramError) {
        self.reject(LoginRefusal::Scram(error));
    }

    fn reject(&mut self, reason: LoginRefusal) {
        let reply = answer(&self.user, reason).map_or_else(Vec::new, |refusal| refusal.to_error());
        self.close(reply, reason);
    }

    fn close(&mut self, reply: Vec<u8>, reason: LoginRefusal) {
        self.state = State::Done;
        self.steps.push_back(DownstreamStep::Refused { reply, reason });
    }
}

/// The one place that decides what a client is told. `None`: nothing, because it would not be understood.
fn answer(user: &str, reason: LoginRefusal) -> Option<Refusal> {
    let violation = |message: String| Some(Refusal::fatal(sqlstate::PROTOCOL_VIOLATION, message));
    match reason {
        LoginRefusal::DirectTls | LoginRefusal::BytesBeforeTls => None,
        // Whoever opens with this speaks another protocol, or took the socket for one that is logged in: PostgreSQL closes
        // it without a word as well, and a driver that is closing its end already would report an error.
        LoginRefusal::Malformed(Malformed::Length {
            place: STARTUP_PLACE, ..
        }) => None,
        LoginRefusal::TlsRequired => Some(
            Refusal::fatal(sqlstate::INVALID_AUTHORIZATION, "this connection requires TLS")
                .with_hint("Connect with sslmode=require, or better sslmode=verify-full."),
        ),
        LoginRefusal::Version { major, minor } => Some(Refusal::fatal(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{MINOR_MAX}"),
        )),
        LoginRefusal::NoUser => Some(Refusal::fatal(
            sqlstate::INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        )),
        LoginRefusal::Replication => Some(Refusal::fatal(sqlstate::INVALID_PARAMETER_VALUE, reason.to_string())),
        LoginRefusal::Scram(ScramError::BadProof | ScramError::NoVerifier) => {
            Some(Refusal::fatal(sqlstate::INVALID_PASSWORD, bad_password(user)))
        }
        LoginRefusal::Scram(ScramError::AuthorizationIdentity) => {
            Some(Refusal::fatal(sqlstate::FEATURE_NOT_SUPPORTED, reason.to_string()))
        }
        LoginRefusal::Mechanism => violation("client selected an invalid SASL authentication mechanism".into()),
        LoginRefusal::NegotiatedTwice | LoginRefusal::Scram(_) | LoginRefusal::Malformed(_) | LoginRefusal::Refused => {
            violation(reason.to_string())
        }
    }
}

fn bad_password(user: &str) -> String {
    format!("password authentication failed for user \"{user}\"")
}
