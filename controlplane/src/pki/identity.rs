//! Who a peer is, as its certificate says: `sluice://agent/<pool>/<id>` or `sluice://dataplane/<id>`.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::store::enrolment::Role;

/// An authenticated peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub role: Role,
    /// Empty for data planes.
    pub pool: String,
    pub id: String,
}

/// The URI that stands in an identity's certificate.
pub fn uri(role: Role, pool: &str, id: &str) -> String {
    match role {
        Role::Agent => format!("sluice://agent/{pool}/{id}"),
        Role::Dataplane => format!("sluice://dataplane/{id}"),
    }
}

/// Reads the identity from a certificate that TLS has verified. None when it carries none, or more than one.
pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Peer> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let peer = parse(uris.next()?)?;
    uris.next().is_none().then_some(peer)
}

fn parse(uri: &str) -> Option<Peer> {
    let mut parts = uri.strip_prefix("sluice://")?.split('/');
    let role = parts.next()?;
    let peer = match role {
        "agent" => Peer {
            role: Role::Agent,
            pool: parts.next()?.to_owned(),
            id: parts.next()?.to_owned(),
        },
        "dataplane" => Peer {
            role: Role::Dataplane,
            pool: String::new(),
            id: parts.next()?.to_owned(),
        },
        _ => return None,
    };
    (parts.next().is_none() && !peer.id.is_empty()).then_some(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_round_trip_and_others_are_nobody() {
        let agent = Peer {
            role: Role::Agent,
            pool: "office".to_owned(),
            id: "a1".to_owned(),
        };
        assert_eq!(parse(&uri(Role::Agent, "office", "a1")), Some(agent));
        let dataplane = Peer {
            role: Role::Dataplane,
            pool: String::new(),
            id: "d1".to_owned(),
        };
        assert_eq!(parse(&uri(Role::Dataplane, "", "d1")), Some(dataplane));
        for bad in [
            "",
            "sluice://",
            "sluice://agent/office",
            "sluice://agent/office/a/b",
            "sluice://dataplane/",
            "http://agent/o/a",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
