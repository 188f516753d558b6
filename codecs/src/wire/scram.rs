//! SCRAM-SHA-256, both faces: a server that knows only verifiers, and a client that bounds what a server may ask of it.
//!
//! RFC 5802 (mechanism), RFC 7677 (SHA-256), RFC 4013 (SASLprep), RFC 5929 (channel binding, on the server face alone: see
//! [`Server`]). No randomness is made here; nonces are passed in.

use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

mod keys;
#[cfg(test)]
mod tests;

pub use keys::{KEYS_KEPT_MAX, KeyCache};

use keys::{Keys, KeysId};

/// The mechanism's name on the wire.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The same with channel binding.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The only kind of channel binding that is offered (RFC 5929, section 4), as PostgreSQL does.
const BINDING_TYPE: &str = "tls-server-end-point";
/// Fewest iterations that the client face accepts (RFC 7677 section 4: at least 4096).
pub const ITERATIONS_MIN: u32 = 4_096;
/// Most iterations that the client face accepts, so that a server cannot keep it busy: the highest number that is
/// commonly recommended (OWASP for PBKDF2 with HMAC-SHA-256), about a third of a second of work.
pub const ITERATIONS_MAX: u32 = 600_000;
/// Longest SCRAM message that is read, bytes.
pub const MESSAGE_BYTES_MAX: usize = 4_096;
/// Longest nonce of a peer, bytes.
pub const NONCE_BYTES_MAX: usize = 1_024;
/// Longest salt that the client face accepts, bytes.
pub const SALT_BYTES_MAX: usize = 1_024;
/// Random bytes in a nonce of ours; 24 characters in base64.
pub const NONCE_RANDOM_BYTES: usize = 18;

/// SHA-256 output.
const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
type Key = [u8; KEY_BYTES];

/// Why an exchange failed. Holds nothing that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScramError {
    #[error("malformed SCRAM message")]
    Malformed,
    #[error("SCRAM message came at the wrong moment")]
    OutOfOrder,
    #[error("channel binding is required by the client but was not offered")]
    ChannelBindingRequired,
    #[error("channel binding data does not match")]
    ChannelBindingMismatch,
    #[error("an authorization identity is not supported")]
    AuthorizationIdentity,
    #[error("a mandatory SCRAM extension is not supported")]
    MandatoryExtension,
    #[error("SCRAM nonce does not match")]
    Nonce,
    #[error("the server asks for {asked} SCRAM iterations; {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted")]
    Iterations { asked: u32 },
    #[error("the server sent a SCRAM salt of a size that is not accepted")]
    Salt,
    /// Server face: no verifier fits. Client face: the server says so.
    #[error("SCRAM authentication failed")]
    BadProof,
    #[error("the server could not prove that it knows the password")]
    BadServerSignature,
    #[error("no SCRAM verifier")]
    NoVerifier,
}

/// What a server keeps instead of a password. Whoever has it can verify a client, but not log in as one.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    pub salt: Vec<u8>,
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// Proves the server to the client.
    pub server_key: [u8; 32],
}

/// Leaves the keys out.
impl std::fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramVerifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl Drop for ScramVerifier {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl ScramVerifier {
    /// Derives the verifier of a password or access token (RFC 5802 section 3). Costs `iterations` rounds of HMAC.
    ///
    /// # Errors
    /// [`ScramError::Iterations`] for zero iterations.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<ScramVerifier, ScramError> {
        let salted = salted_password(password, salt, iterations)?;
        let client_key = Zeroizing::new(hmac_sha256(&*salted, b"Client Key"));
        Ok(ScramVerifier {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(&*client_key),
            server_key: hmac_sha256(&*salted, b"Server Key"),
        })
    }

    /// A verifier that no password fits, for a user who does not exist, so that the exchange looks the same as for one who
    /// does. The same `secret` and `user` always give the same salt, as a real user's salt stays the same.
    ///
    /// `salt_bytes` (at most 32) and `iterations` should be those of real users.
    pub fn mock(secret: &[u8], user: &[u8], salt_bytes: usize, iterations: u32) -> ScramVerifier {
        let labelled = |label: &[u8]| hmac_sha256_parts(secret, &[label, b"\0", user]);
        let mut salt = labelled(b"mock salt").to_vec();
        salt.truncate(salt_bytes);
        ScramVerifier {
            salt,
            iterations,
            stored_key: labelled(b"mock stored key"),
            server_key: labelled(b"mock server key"),
        }
    }
}

/// The server's side of one exchange.
///
/// Order: [`Server::client_first`], send what it returns, [`Server::client_final`], send what [`Accepted`] holds.
///
/// Channel binding flags of the client (RFC 5802 section 6): `n` is accepted with the plain mechanism; `y` ("I could, but you
/// did not offer it") where that is true, because otherwise somebody on the way took the offer out; `p=` with the PLUS
/// mechanism alone.
#[derive(Debug)]
pub struct Server {
    channel: Channel,
    /// All with the salt and iterations of the first; index into what the caller gave.
    verifiers: Vec<(usize, ScramVerifier)>,
    server_nonce: String,
    state: ServerState,
}

/// What a server does about channel binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// There is nothing to bind to, so the PLUS mechanism was not offered.
    None,
    /// It was offered and not chosen.
    Offered,
    /// It was chosen; the data of `tls-server-end-point` (the hash of the server's certificate).
    Bound(Vec<u8>),
}

#[derive(Debug)]
enum ServerState {
    Start,
    Challenged {
        gs2_header: Vec<u8>,
        nonce: String,
        /// client-first-message-bare "," server-first-message
        auth_message: Vec<u8>,
    },
    Done,
}

/// A client has proved that it knows a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Index of the verifier that fits, as given to [`Server::new`].
    pub verifier: usize,
    /// server-final-message: proves the server to the client.
    pub server_final: Vec<u8>,
}

impl Server {
    /// Only verifiers with the first one's salt and iterations can ever fit, because a client gets one challenge.
    ///
    /// # Errors
    /// [`ScramError::NoVerifier`] for an empty list.
    pub fn new(verifiers: &[ScramVerifier], nonce: [u8; NONCE_RANDOM_BYTES]) -> Result<Server, ScramError> {
        let first = verifiers.first().ok_or(ScramError::NoVerifier)?;
        let same = |v: &&ScramVerifier| v.salt == first.salt && v.iterations == first.iterations;
        Ok(Server {
            channel: Channel::None,
            verifiers: verifiers
                .iter()
                .enumerate()
                .filter(|(_, v)| same(v))
                .map(|(i, v)| (i, v.clone()))
                .collect(),
            server_nonce: BASE64.encode(nonce),
            state: ServerState::Start,
        })
    }

    /// What was offered and chosen; to be said before the first message is read.
    pub fn set_channel(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// Reads client-first-message, returns server-first-message. The user name inside is ignored, as the protocol around
    /// it has named the user already (PostgreSQL's rule).
    ///
    /// # Errors
    /// Malformed message, channel binding or authorization identity asked for, or not the first message.
    pub fn client_first(&mut self, message: &[u8]) -> Result<Vec<u8>, ScramError> {
        if !matches!(self.state, ServerState::Start) {
            return Err(ScramError::OutOfOrder);
        }
        self.state = ServerState::Done;
        let (_, verifier) = self.verifiers.first().ok_or(ScramError::NoVerifier)?;
        let message = message_text(message)?;
        let (gs2_header, bare) = split_gs2_header(message, &self.channel)?;
        let mut attributes = bare.split(',');
        let user = attributes.next().unwrap_or_default();
        if user.starts_with("m=") {
            return Err(ScramError::MandatoryExtension);
        }
        if !user.starts_with("n=") {
            return Err(ScramError::Malformed);
        }
        let client_nonce = nonce_attribute(attributes.next())?;
        let nonce = format!("{client_nonce}{}", self.server_nonce);
        let server_first = format!(
            "r={nonce},s={},i={}",
            BASE64.encode(&verifier.salt),
            verifier.iterations
        );
        self.state = ServerState::Challenged {
            gs2_header: gs2_header.as_bytes().to_vec(),
            nonce,
            auth_message: format!("{bare},{server_first}").into_bytes(),
        };
        Ok(server_first.into_bytes())
    }

    /// Reads client-final-message and checks the proof against every verifier; the time does not tell which one fits.
    ///
    /// # Errors
    /// [`ScramError::BadProof`] if none fits; otherwise a malformed message, another nonce or channel binding.
    pub fn client_final(&mut self, message: &[u8]) -> Result<Accepted, ScramError> {
        let state = std::mem::replace(&mut self.state, ServerState::Done);
        let ServerState::Challenged {
            gs2_header,
            nonce,
            mut auth_message,
        } = state
        else {
            return Err(ScramError::OutOfOrder);
        };
        let message = message_text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|a| a.strip_prefix("c="))
            .ok_or(ScramError::Malformed)?;
        let binding = BASE64.decode(binding).map_err(|_| ScramError::Malformed)?;
        let data = match &self.channel {
            Channel::Bound(data) => data.as_slice(),
            Channel::None | Channel::Offered => &[],
        };
        if binding.strip_prefix(gs2_header.as_slice()) != Some(data) {
            return Err(ScramError::ChannelBindingMismatch);
        }
        if nonce_attribute(attributes.next())? != nonce {
            return Err(ScramError::Nonce);
        }
        let proof = key_from_base64(proof)?;
        auth_message.push(b',');
        auth_message.extend_from_slice(without_proof.as_bytes());
        self.check(&proof, &auth_message)
    }

    fn check(&self, proof: &Key, auth_message: &[u8]) -> Result<Accepted, ScramError> {
        let mut found = Choice::from(0);
        let mut index = 0u64;
        let mut server_key = Zeroizing::new([0u8; KEY_BYTES]);
        for (i, verifier) in &self.verifiers {
            let client_key = Zeroizing::new(xor(*proof, &hmac_sha256(&verifier.stored_key, auth_message)));
            let fits = sha256(&*client_key).ct_eq(&verifier.stored_key) & !found;
            index.conditional_assign(&(*i as u64), fits);
            for (to, from) in server_key.iter_mut().zip(verifier.server_key) {
                to.conditional_assign(&from, fits);
            }
            found |= fits;
        }
        if !bool::from(found) {
            return Err(ScramError::BadProof);
        }
        let signature = hmac_sha256(&*server_key, auth_message);
        Ok(Accepted {
            verifier: index as usize,
            server_final: format!("v={}", BASE64.encode(signature)).into_bytes(),
        })
    }
}

/// The client's side of one exchange.
///
/// Order: send [`Client::first`], [`Client::server_first`], send what it returns, [`Client::server_final`]. Only after the
/// last returned `Ok` has the server proved that it knows the password.
pub struct Client {
    password: Zeroizing<Vec<u8>>,
    known: Option<Arc<KeyCache>>,
    first_bare: String,
    nonce: String,
    state: ClientState,
}

enum ClientState {
    Start,
    Answered {
        server_signature: Key,
        /// Derived in this exchange, to be kept once the server has proved itself.
        derived: Option<(KeysId, Keys)>,
    },
    Done,
}

/// Leaves the password out.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// `user` is the name inside the exchange: empty for PostgreSQL, which takes it from the start-up packet.
    pub fn new(user: &str, password: Zeroizing<Vec<u8>>, nonce: [u8; NONCE_RANDOM_BYTES]) -> Client {
        Client::with_nonce(user, password, BASE64.encode(nonce))
    }

    fn with_nonce(user: &str, password: Zeroizing<Vec<u8>>, nonce: String) -> Client {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Client {
            password,
            known: None,
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            state: ClientState::Start,
        }
    }

    /// Takes the keys of passwords, salts and iterations that were used before from `known`, and leaves new ones there.
    #[must_use]
    pub fn with_keys(mut self, known: Arc<KeyCache>) -> Client {
        self.known = Some(known);
        self
    }

    /// client-first-message.
    pub fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first_bare).into_bytes()
    }

    /// Reads server-first-message, returns client-final-message. Costs the announced iterations, which are bounded, unless the
    /// keys are known.
    ///
    /// # Errors
    /// Malformed message, a nonce that does not begin with ours, iterations or salt out of bounds, or out of order.
    pub fn server_first(&mut self, message: &[u8]) -> Result<Vec<u8>, ScramError> {
        if !matches!(self.state, ClientState::Start) {
            return Err(ScramError::OutOfOrder);
        }
        self.state = ClientState::Done;
        let message = message_text(message)?;
        let challenge = Challenge::parse(message, &self.nonce)?;
        let id = KeysId::of(&self.password, &challenge.salt, challenge.iterations);
        let kept = self.known.as_ref().and_then(|known| known.find(&id));
        let (keys, fresh) = match kept {
            Some(keys) => (keys, false),
            None => (
                Keys::derive(&self.password, &challenge.salt, challenge.iterations)?,
                true,
            ),
        };
        let without_proof = format!("c=biws,r={}", challenge.nonce);
        let auth_message = format!("{},{message},{without_proof}", self.first_bare);
        let client_signature = hmac_sha256(&sha256(&keys.client), auth_message.as_bytes());
        let proof = xor(keys.client, &client_signature);
        self.state = ClientState::Answered {
            server_signature: hmac_sha256(&keys.server, auth_message.as_bytes()),
            derived: fresh.then_some((id, keys)),
        };
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Reads server-final-message and checks the server's signature.
    ///
    /// # Errors
    /// [`ScramError::BadProof`] if the server refuses us, [`ScramError::BadServerSignature`] if it does not know the
    /// password, or a malformed or untimely message.
    pub fn server_final(&mut self, message: &[u8]) -> Result<(), ScramError> {
        let state = std::mem::replace(&mut self.state, ClientState::Done);
        let ClientState::Answered {
            server_signature,
            derived,
        } = state
        else {
            return Err(ScramError::OutOfOrder);
        };
        let message = message_text(message)?;
        let first = message.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(ScramError::BadProof);
        }
        let signature = key_from_base64(first.strip_prefix("v=").ok_or(ScramError::Malformed)?)?;
        if !bool::from(signature.ct_eq(&server_signature)) {
            return Err(ScramError::BadServerSignature);
        }
        if let (Some(known), Some((id, keys))) = (&self.known, derived) {
            known.keep(id, keys);
        }
        Ok(())
    }
}

/// A server-first-message, checked against our nonce and the bounds.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> Challenge<'a> {
    fn parse(message: &'a str, client_nonce: &str) -> Result<Self, ScramError> {
        if message.starts_with("m=") {
            return Err(ScramError::MandatoryExtension);
        }
        let mut attributes = message.split(',');
        let nonce = nonce_attribute(attributes.next())?;
        if nonce.len() <= client_nonce.len() || !nonce.starts_with(client_nonce) {
            return Err(ScramError::Nonce);
        }
        let salt = attributes
            .next()
            .and_then(|a| a.strip_prefix("s="))
            .ok_or(ScramError::Malformed)?;
        let salt = BASE64.decode(salt).map_err(|_| ScramError::Malformed)?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(ScramError::Salt);
        }
        let iterations = attributes
            .next()
            .and_then(|a| a.strip_prefix("i="))
            .ok_or(ScramError::Malformed)?;
        if iterations.is_empty() || !iterations.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ScramError::Malformed);
        }
        let iterations = iterations.parse().unwrap_or(u32::MAX);
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations { asked: iterations });
        }
        Ok(Challenge {
            nonce,
            salt,
            iterations,
        })
    }
}

/// The password as SASLprep (RFC 4013) makes it; as it is if it is not UTF-8 or holds what SASLprep forbids, which is
/// what PostgreSQL does on both sides.
pub fn prepared_password(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let prepared = std::str::from_utf8(password)
        .ok()
        .and_then(|text| stringprep::saslprep(text).ok());
    match prepared {
        Some(text) => Zeroizing::new(text.into_owned().into_bytes()),
        None => Zeroizing::new(password.to_vec()),
    }
}

fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Result<Zeroizing<Key>, ScramError> {
    let rounds = NonZeroU32::new(iterations).ok_or(ScramError::Iterations { asked: iterations })?;
    let prepared = prepared_password(password);
    let mut out = Zeroizing::new([0u8; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, &prepared, &mut *out);
    Ok(out)
}

/// Splits client-first-message into the GS2 header (`n,,`, `y,,` or `p=…,,`) and the rest.
fn split_gs2_header<'m>(message: &'m str, channel: &Channel) -> Result<(&'m str, &'m str), ScramError> {
    let flag = message.split(',').next().unwrap_or_default();
    match (flag, flag.strip_prefix("p="), channel) {
        ("n", _, Channel::None | Channel::Offered) | ("y", _, Channel::None) => {}
        // The client did not see our offer: somebody on the way took it out.
        ("y", _, Channel::Offered) => return Err(ScramError::ChannelBindingMismatch),
        (_, Some(BINDING_TYPE), Channel::Bound(_)) => {}
        (_, Some(_), Channel::Bound(_)) => return Err(ScramError::ChannelBindingMismatch),
        (_, Some(_), _) => return Err(ScramError::ChannelBindingRequired),
        _ => return Err(ScramError::Malformed),
    }
    let rest = message.get(flag.len()..).unwrap_or_default();
    if rest.starts_with(",a") {
        Err(ScramError::AuthorizationIdentity)
    } else if rest.starts_with(",,") {
        message.split_at_checked(flag.len() + 2).ok_or(ScramError::Malformed)
    } else {
        Err(ScramError::Malformed)
    }
}

/// `r=` and a nonce: printable ASCII without commas, bounded.
fn nonce_attribute(attribute: Option<&str>) -> Result<&str, ScramError> {
    let nonce = attribute
        .and_then(|a| a.strip_prefix("r="))
        .ok_or(ScramError::Malformed)?;
    let printable = nonce.bytes().all(|b| b.is_ascii_graphic());
    if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !printable {
        return Err(ScramError::Malformed);
    }
    Ok(nonce)
}

fn message_text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX || message.contains(&0) {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

fn key_from_base64(text: &str) -> Result<Key, ScramError> {
    let decoded = BASE64.decode(text).map_err(|_| ScramError::Malformed)?;
    Key::try_from(decoded.as_slice()).map_err(|_| ScramError::Malformed)
}

fn sha256(data: &[u8]) -> Key {
    let mut out = [0; KEY_BYTES];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, data).as_ref()) {
        *to = *from;
    }
    out
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Key {
    hmac_sha256_parts(key, &[data])
}

fn hmac_sha256_parts(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; KEY_BYTES];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}

fn xor(mut left: Key, right: &Key) -> Key {
    for (l, r) in left.iter_mut().zip(right) {
        *l ^= r;
    }
    left
}
