//! SCRAM-SHA-256 for a benchmark: a client that derives its keys once per salt, and a server that knows one password.
//!
//! RFC 5802, RFC 7677. A stock client derives 4,096 rounds anew at each login; here that would measure the generator. Both
//! are written here and not taken from the product, which is tested against them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;

use anyhow::{Context, Result, bail};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The mechanism's name.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Password and what was derived from it.
pub struct Keys {
    password: Vec<u8>,
    salted: RefCell<HashMap<(String, u32), [u8; 32]>>,
}

/// One exchange.
pub struct Exchange<'a> {
    keys: &'a Keys,
    first_bare: String,
    signature: String,
}

impl Keys {
    pub fn new(password: &str) -> Self {
        Self {
            password: password.as_bytes().to_vec(),
            salted: RefCell::default(),
        }
    }

    /// For a server that asks for the password itself.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// Begins an exchange: client-first-message.
    pub fn begin(&self) -> Result<(Exchange<'_>, String)> {
        let mut nonce = [0; 18];
        rand::fill(&mut nonce).context("no random bytes")?;
        let first_bare = format!("n=,r={}", BASE64.encode(nonce));
        let first = format!("n,,{first_bare}");
        let exchange = Exchange {
            keys: self,
            first_bare,
            signature: String::new(),
        };
        Ok((exchange, first))
    }

    fn salted(&self, salt: &str, iterations: u32) -> Result<[u8; 32]> {
        let key = (salt.to_owned(), iterations);
        if let Some(known) = self.salted.borrow().get(&key) {
            return Ok(*known);
        }
        let rounds = NonZeroU32::new(iterations).context("no iterations")?;
        let mut out = [0; 32];
        let salt = BASE64.decode(salt).context("salt")?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, &self.password, &mut out);
        self.salted.borrow_mut().insert(key, out);
        Ok(out)
    }
}

impl Exchange<'_> {
    /// Reads server-first-message, returns client-final-message.
    pub fn answer(&mut self, server_first: &[u8]) -> Result<String> {
        let message = std::str::from_utf8(server_first)?;
        let part = |name: &str| message.split(',').find_map(|part| part.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(rounds)) = (part("r="), part("s="), part("i=")) else {
            bail!("server-first-message lacks a part");
        };
        let salted = self.keys.salted(salt, rounds.parse()?)?;
        let without_proof = format!("c=biws,r={nonce}");
        let auth = format!("{},{message},{without_proof}", self.first_bare);
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let signature = sign(stored.as_ref(), auth.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.signature = BASE64.encode(sign(&sign(&salted, b"Server Key"), auth.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks server-final-message.
    pub fn verify(&self, server_final: &[u8]) -> Result<()> {
        let proved = std::str::from_utf8(server_final)?.strip_prefix("v=");
        if proved != Some(self.signature.as_str()) {
            bail!("the server did not prove that it knows the password");
        }
        Ok(())
    }
}

/// What a server keeps of a password.
pub struct Verifier {
    salt: String,
    iterations: u32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// The server's side of one exchange.
pub struct Challenge<'a> {
    verifier: &'a Verifier,
    nonce: String,
    /// client-first-message-bare "," server-first-message
    begun: String,
}

impl Verifier {
    /// Derives it once, when the server starts.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<Self> {
        let salt = BASE64.encode(salt);
        let salted = Keys::new(password).salted(&salt, iterations)?;
        let stored = digest::digest(&digest::SHA256, &sign(&salted, b"Client Key"));
        Ok(Self {
            salt,
            iterations,
            stored_key: stored.as_ref().to_vec(),
            server_key: sign(&salted, b"Server Key"),
        })
    }

    /// Reads client-first-message, returns server-first-message.
    pub fn challenge(&self, client_first: &[u8]) -> Result<(Challenge<'_>, String)> {
        let message = std::str::from_utf8(client_first)?;
        let bare = message.split_once(",,").context("no GS2 header")?.1;
        let theirs = bare
            .split(',')
            .find_map(|part| part.strip_prefix("r="))
            .context("no nonce")?;
        let mut ours = [0; 18];
        rand::fill(&mut ours).context("no random bytes")?;
        let nonce = format!("{theirs}{}", BASE64.encode(ours));
        let first = format!("r={nonce},s={},i={}", self.salt, self.iterations);
        let challenge = Challenge {
            verifier: self,
            begun: format!("{bare},{first}"),
            nonce,
        };
        Ok((challenge, first))
    }
}

impl Challenge<'_> {
    /// Checks client-final-message, returns server-final-message.
    pub fn finish(&self, client_final: &[u8]) -> Result<String> {
        let message = std::str::from_utf8(client_final)?;
        let (without_proof, proof) = message.rsplit_once(",p=").context("no proof")?;
        if !without_proof.ends_with(&format!("r={}", self.nonce)) {
            bail!("another nonce");
        }
        let auth = format!("{},{without_proof}", self.begun);
        let signature = sign(&self.verifier.stored_key, auth.as_bytes());
        let proof = BASE64.decode(proof).context("proof")?;
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if digest::digest(&digest::SHA256, &client_key).as_ref() != self.verifier.stored_key {
            bail!("wrong password");
        }
        Ok(format!(
            "v={}",
            BASE64.encode(sign(&self.verifier.server_key, auth.as_bytes()))
        ))
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use codecs::wire::scram::{self, ScramVerifier};

    const SALT: &[u8; 16] = b"0123456789abcdef";

    #[test]
    fn the_product_accepts_the_client_twice_with_one_derivation() {
        let verifier = ScramVerifier::derive(b"pencil", SALT, 4096).unwrap();
        let keys = Keys::new("pencil");
        for _ in 0..2 {
            let mut server = scram::Server::new(std::slice::from_ref(&verifier), [7; 18]).unwrap();
            let (mut exchange, first) = keys.begin().unwrap();
            let challenge = server.client_first(first.as_bytes()).unwrap();
            let answer = exchange.answer(&challenge).unwrap();
            let accepted = server.client_final(answer.as_bytes()).unwrap();
            exchange.verify(&accepted.server_final).unwrap();
        }
        assert_eq!(keys.salted.borrow().len(), 1);
    }

    #[test]
    fn the_server_accepts_the_product() {
        let verifier = Verifier::derive("pencil", SALT, 4096).unwrap();
        let mut client = scram::Client::new("", b"pencil".to_vec().into(), [9; 18]);
        let (challenge, first) = verifier.challenge(&client.first()).unwrap();
        let answer = client.server_first(first.as_bytes()).unwrap();
        let proved = challenge.finish(&answer).unwrap();
        client.server_final(proved.as_bytes()).unwrap();
    }

    #[test]
    fn a_wrong_password_is_refused() {
        let verifier = Verifier::derive("pencil", SALT, 4096).unwrap();
        let keys = Keys::new("pen");
        let (mut exchange, first) = keys.begin().unwrap();
        let (challenge, first) = verifier.challenge(first.as_bytes()).unwrap();
        let answer = exchange.answer(first.as_bytes()).unwrap();
        assert!(challenge.finish(answer.as_bytes()).is_err());
    }
}
