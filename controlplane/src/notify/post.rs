//! POST requests to addresses that administrators wrote: no redirects, bounded in time and bytes, errors without the address.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Fault;
use crate::limits::DELIVERY_SECONDS_MAX;

/// A client for all targets.
#[derive(Clone, Debug)]
pub struct Poster(ureq::Agent);

impl Poster {
    /// A client that trusts what the system trusts.
    pub fn new() -> Poster {
        let roots: Vec<_> = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|der| Certificate::from_der(der.as_ref()).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("sluice")
            .timeout_global(Some(Duration::from_secs(DELIVERY_SECONDS_MAX)));
        Poster(config.build().into())
    }

    /// Sends JSON. The answer's body is nobody's business.
    pub async fn json(&self, url: String, headers: Vec<(&'static str, String)>, body: String) -> Result<(), Fault> {
        let agent = self.0.clone();
        let sent = tokio::task::spawn_blocking(move || {
            let mut request = agent.post(&url).header("content-type", "application/json");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.send(body).map(|answer| answer.status().as_u16())
        });
        match sent.await {
            Ok(Ok(status)) => judged(status),
            Ok(Err(error)) => Err(unsent(&error)),
            Err(error) => Err(Fault::This(format!("the sender ended: {error}"))),
        }
    }
}

impl Default for Poster {
    fn default() -> Self {
        Poster::new()
    }
}

/// What a status says. Everything but 2xx is tried again, save 410: the target says that it is gone for good.
fn judged(status: u16) -> Result<(), Fault> {
    match status {
        200..=299 => Ok(()),
        410 => Err(Fault::Gone("the target answered 410: it wants no more".to_owned())),
        408 | 429 | 500..=599 => Err(Fault::Target(format!("the target answered {status}"))),
        _ => Err(Fault::This(format!("the target answered {status}"))),
    }
}

/// The address may be a secret, and some of the client's errors repeat it.
fn unsent(error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Fault::This("the address is none".to_owned()),
        ureq::Error::Timeout(_) => Fault::Target(format!("no answer within {DELIVERY_SECONDS_MAX} s")),
        ureq::Error::Io(error) => Fault::Target(format!("not reachable: {}", error.kind())),
        ureq::Error::HostNotFound => Fault::Target("the host is not known".to_owned()),
        ureq::Error::Rustls(error) => Fault::Target(format!("TLS: {error}")),
        _ => Fault::Target("not reachable".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_success() {
        assert_eq!(judged(204), Ok(()));
        assert!(matches!(judged(302), Err(Fault::This(_))), "redirects are not followed");
        assert!(matches!(judged(400), Err(Fault::This(_))));
        assert!(matches!(judged(429), Err(Fault::Target(_))));
        assert!(matches!(judged(503), Err(Fault::Target(_))));
        assert!(matches!(judged(410), Err(Fault::Gone(_))));
    }
}
