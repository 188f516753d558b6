//! Login through an identity provider (OpenID Connect Core 1.0): authorization code with PKCE, state and nonce.

pub mod claims;
pub mod jose;
pub mod person;
pub mod provider;
pub mod recheck;

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use self::claims::{ClaimError, Expected, Person, check};
use self::provider::{Provider, ProviderError};
use crate::App;
use crate::agents::token::{random, sha256};
use crate::http::input::encoded;
use crate::limits::FLOW_SECONDS_MAX;
use crate::store::flows::Flow;
use crate::store::{StoreError, now_micros};

/// How the provider is reached and what it knows us as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    /// Asked for in addition, where the provider wants it (Auth0's `audience`).
    pub audience: Option<String>,
    pub scopes: Vec<String>,
    pub groups_claim: String,
    /// Addresses count as theirs even where the provider does not say that it has checked them.
    pub trust_email: bool,
    /// How often the provider is asked whether somebody still may be logged in.
    pub recheck_seconds: u64,
}

impl OidcConfig {
    /// Whether an address of the provider is https; http is for providers on this machine alone.
    pub fn is_safe(&self, place: &str) -> bool {
        place.starts_with("https://") || (is_local(&self.issuer) && is_local(place))
    }
}

/// An http address of this machine.
pub fn is_local(place: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|host| {
            place
                .strip_prefix(host)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        })
}

/// Why a login by the provider was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("this login is not under way here, took too long, or was used already: begin again")]
    Unknown,
    #[error("the identity provider says: {0}")]
    Denied(String),
    #[error("the answer names another issuer")]
    Issuer,
    #[error("the provider gave no ID token")]
    NoToken,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error("the ID token is refused: {0}")]
    Claims(#[from] ClaimError),
    #[error("{0}")]
    Person(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A login under way, kept until the browser comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    nonce: String,
    verifier: String,
    /// Hash of the browser's cookie: another browser cannot end this login.
    browser: Vec<u8>,
    next: String,
}

/// Where to send a browser, and what it must bring back.
#[derive(Clone, Debug)]
pub struct Begun {
    pub place: String,
    pub cookie: String,
}

/// What the browser brings back.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    pub code: Option<String>,
    pub state: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    pub iss: Option<String>,
}

/// A person that the provider has vouched for.
#[derive(Clone, Debug)]
pub struct Vouched {
    pub person: Person,
    pub next: String,
    pub id_token: String,
    pub refresh_token: Option<String>,
}

/// Begins a login: nothing of it is guessable, all of it is forgotten after [`FLOW_SECONDS_MAX`].
pub async fn begin(app: &App, provider: &Arc<Provider>, next: &str) -> Result<Begun, LoginError> {
    let metadata = provider.metadata().await?;
    let [state, nonce, verifier, cookie] = [secret()?, secret()?, secret()?, secret()?];
    let pending = Pending {
        nonce: nonce.clone(),
        verifier: verifier.clone(),
        browser: sha256(&cookie),
        next: next.to_owned(),
    };
    let body = serde_json::to_string(&pending).map_err(|_| LoginError::Unknown)?;
    let flow = Flow {
        sha256: sha256(&state),
        kind: "oidc".to_owned(),
        user_code: None,
        expires_micros: now_micros().saturating_add(FLOW_SECONDS_MAX * 1_000_000),
        body,
    };
    app.store.add_flow(&flow, now_micros()).await?;
    let challenge = challenge(&verifier);
    let redirect = callback(app);
    let scopes = provider.config.scopes.join(" ");
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", &provider.config.client_id),
        ("redirect_uri", &redirect),
        ("scope", &scopes),
        ("state", &state),
        ("nonce", &nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if let Some(audience) = &provider.config.audience {
        query.push(("audience", audience));
    }
    let mut place = metadata.authorization_endpoint.clone();
    for (name, value) in query {
        place.push(if place.contains('?') { '&' } else { '?' });
        place.push_str(&format!("{name}={}", encoded(value)));
    }
    Ok(Begun { place, cookie })
}

/// Ends a login: each state counts once, in the browser that began it.
pub async fn finish(
    app: &App,
    provider: &Arc<Provider>,
    answer: Answer,
    cookie: Option<String>,
) -> Result<Vouched, LoginError> {
    let state = answer.state.ok_or(LoginError::Unknown)?;
    let flow = app.store.take_flow(&sha256(&state), "oidc", now_micros()).await?;
    let flow = flow.ok_or(LoginError::Unknown)?;
    let pending: Pending = serde_json::from_str(&flow.body).map_err(|_| LoginError::Unknown)?;
    if cookie.is_none_or(|cookie| sha256(&cookie) != pending.browser) {
        return Err(LoginError::Unknown);
    }
    let metadata = provider.metadata().await?;
    match &answer.iss {
        Some(issuer) if *issuer != metadata.issuer => return Err(LoginError::Issuer),
        None if metadata.authorization_response_iss_parameter_supported => return Err(LoginError::Issuer),
        _ => {}
    }
    if let Some(error) = answer.error {
        let more = answer.error_description.unwrap_or_default();
        return Err(LoginError::Denied(
            format!("{error} {more}").chars().take(300).collect(),
        ));
    }
    let code = answer.code.ok_or(LoginError::Unknown)?;
    let tokens = provider.exchange(code, pending.verifier, callback(app)).await?;
    let id_token = tokens.id_token.ok_or(LoginError::NoToken)?;
    let claims = provider.verified(id_token.clone()).await?;
    let person = check(
        &claims,
        &Expected {
            issuer: &metadata.issuer,
            client_id: &provider.config.client_id,
            nonce: Some(&pending.nonce),
            subject: None,
            groups_claim: &provider.config.groups_claim,
            now_seconds: now_micros() / 1_000_000,
        },
    )?;
    Ok(Vouched {
        person,
        next: pending.next,
        id_token,
        refresh_token: tokens.refresh_token,
    })
}

/// Where the provider sends browsers back to.
pub fn callback(app: &App) -> String {
    format!("{}/api/callback", app.public_url)
}

/// The challenge of a verifier (RFC 7636 section 4.2).
pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// 256 random bits as text.
pub fn secret() -> Result<String, StoreError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn http_is_for_this_machine_alone() {
        assert!(is_local("http://127.0.0.1:4000/x") && is_local("http://localhost") && is_local("http://[::1]:1"));
        for other in [
            "http://127.0.0.1.evil.example",
            "http://localhost.evil",
            "http://id.example",
            "https://localhost",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
