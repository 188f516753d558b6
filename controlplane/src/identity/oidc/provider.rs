//! The identity provider as we talk to it: discovery, keys, codes for tokens, refresh. Blocking requests on threads of their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::OidcConfig;
use super::jose::{JoseError, Jwks};
use crate::limits::{
    PROVIDER_ANSWER_BYTES_MAX, PROVIDER_CACHE_SECONDS, PROVIDER_KEYS_PAUSE_SECONDS, PROVIDER_SECONDS_MAX,
};

/// Why the provider did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("the identity provider cannot be reached: {0}")]
    Unreachable(String),
    #[error("the identity provider answers what we do not understand: {0}")]
    Answer(String),
    /// An error of RFC 6749 section 5.2.
    #[error("the identity provider refuses: {0}")]
    Refused(String),
    #[error(transparent)]
    Token(#[from] JoseError),
}

/// What the provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207: the answer to a login names its issuer.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Tokens that a code or a refresh token was exchanged for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tokens {
    #[serde(default)]
    pub id_token: Option<String>,
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// A provider, with what was learnt of it.
pub struct Provider {
    pub config: OidcConfig,
    agent: ureq::Agent,
    metadata: Mutex<Option<(Instant, Arc<Metadata>)>>,
    keys: Mutex<Option<(Instant, Arc<Jwks>)>>,
}

impl Provider {
    /// A provider of which nothing is known yet; nothing is sent.
    pub fn new(config: OidcConfig) -> Provider {
        let timeout = Duration::from_secs(PROVIDER_SECONDS_MAX);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .tls_config(tls())
            .build();
        Provider {
            config,
            agent: agent.into(),
            metadata: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// What the provider says of itself.
    pub async fn metadata(self: &Arc<Self>) -> Result<Arc<Metadata>, ProviderError> {
        let this = self.clone();
        blocking(move || this.metadata_now()).await
    }

    /// The claims of a token that the provider has signed. A key that is not known is looked for, in case keys were changed.
    pub async fn verified(self: &Arc<Self>, token: String) -> Result<Map<String, Value>, ProviderError> {
        let this = self.clone();
        blocking(move || {
            let known = this.keys_younger_than(Duration::from_secs(PROVIDER_CACHE_SECONDS))?;
            match known.verify(&token) {
                Err(JoseError::UnknownKey) => {
                    let fresh = this.keys_younger_than(Duration::from_secs(PROVIDER_KEYS_PAUSE_SECONDS))?;
                    Ok(fresh.verify(&token)?)
                }
                other => Ok(other?),
            }
        })
        .await
    }

    /// Exchanges a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    pub async fn exchange(
        self: &Arc<Self>,
        code: String,
        verifier: String,
        redirect: String,
    ) -> Result<Tokens, ProviderError> {
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect),
        ];
        self.token_request(form).await
    }

    /// Asks for new tokens (RFC 6749 section 6).
    pub async fn refresh(self: &Arc<Self>, refresh_token: String) -> Result<Tokens, ProviderError> {
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh_token),
        ];
        self.token_request(form).await
    }

    async fn token_request(self: &Arc<Self>, mut form: Vec<(&'static str, String)>) -> Result<Tokens, ProviderError> {
        let this = self.clone();
        blocking(move || {
            let metadata = this.metadata_now()?;
            let (id, secret) = (&this.config.client_id, &this.config.client_secret);
            let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
            let has = |name: &str| methods.is_some_and(|methods| methods.iter().any(|method| method == name));
            // Basic is what a provider takes that does not say (OpenID Connect Discovery 1.0 section 3).
            let in_body = secret.is_empty() || (has("client_secret_post") && !has("client_secret_basic"));
            let mut request = this.agent.post(&metadata.token_endpoint);
            if in_body {
                form.push(("client_id", id.clone()));
                if !secret.is_empty() {
                    form.push(("client_secret", secret.clone()));
                }
            } else {
                request = request.header("authorization", basic(id, secret));
            }
            let sent = request.send_form(form);
            let (status, bytes) = read(sent)?;
            if status == 200 {
                return parsed(&bytes);
            }
            let problem: Value = parsed(&bytes).unwrap_or(Value::Null);
            let word = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
            match word("error") {
                "" => Err(ProviderError::Answer(format!("status {status}"))),
                error => Err(ProviderError::Refused(format!("{error} {}", word("error_description")))),
            }
        })
        .await
    }

    fn metadata_now(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut cached = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, metadata)) = cached.as_ref()
            && at.elapsed() < Duration::from_secs(PROVIDER_CACHE_SECONDS)
        {
            return Ok(metadata.clone());
        }
        let issuer = self.config.issuer.trim_end_matches('/');
        let bytes = self.fetched(&format!("{issuer}/.well-known/openid-configuration"))?;
        let metadata: Metadata = parsed(&bytes)?;
        if metadata.issuer.trim_end_matches('/') != issuer {
            let text = format!("it says that it is {}, not {issuer}", metadata.issuer);
            return Err(ProviderError::Answer(text));
        }
        let places = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        if let Some(place) = places.into_iter().find(|place| !self.config.is_safe(place)) {
            return Err(ProviderError::Answer(format!("{place} is not https")));
        }
        let metadata = Arc::new(metadata);
        *cached = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    fn keys_younger_than(&self, age: Duration) -> Result<Arc<Jwks>, ProviderError> {
        let place = self.metadata_now()?.jwks_uri.clone();
        let mut cached = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, keys)) = cached.as_ref()
            && at.elapsed() < age
        {
            return Ok(keys.clone());
        }
        let bytes = self.fetched(&place)?;
        let keys =
            Jwks::parse(&bytes).ok_or_else(|| ProviderError::Answer("its keys are no set of keys".to_owned()))?;
        let keys = Arc::new(keys);
        *cached = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }

    fn fetched(&self, place: &str) -> Result<Vec<u8>, ProviderError> {
        let (status, bytes) = read(self.agent.get(place).header("accept", "application/json").call())?;
        match status {
            200 => Ok(bytes),
            status => Err(ProviderError::Answer(format!("{place}: status {status}"))),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ProviderError::Unreachable(error.to_string())))
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Vec<u8>), ProviderError> {
    let unreachable = |error: ureq::Error| ProviderError::Unreachable(error.to_string());
    let mut response = response.map_err(unreachable)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(PROVIDER_ANSWER_BYTES_MAX);
    Ok((status, body.read_to_vec().map_err(unreachable)?))
}

fn parsed<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(bytes).map_err(|error| ProviderError::Answer(error.to_string()))
}

/// RFC 6749 section 2.3.1: both are form-encoded first.
fn basic(id: &str, secret: &str) -> String {
    use base64::Engine;
    let encoded = |text: &str| crate::http::input::encoded(text).replace('/', "%2F");
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

fn tls() -> ureq::tls::TlsConfig {
    let native = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = native
        .iter()
        .map(|der| ureq::tls::Certificate::from_der(der.as_ref()).to_owned())
        .collect();
    ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)))
        .build()
}
