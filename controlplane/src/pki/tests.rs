//! What certificates are issued for, and what is refused.

use super::*;
use rcgen::CertificateParams;

fn csr(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "somebody else");
    params.serialize_request(key).unwrap().der().to_vec()
}

#[test]
fn keys_are_kept_between_starts() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(dir.path(), 30).unwrap();
    let second = Pki::open(dir.path(), 30).unwrap();
    assert_eq!(first.ca_sha256(), second.ca_sha256());
    assert_eq!(first.policy_key().public(), second.policy_key().public());
    assert_eq!(first.ca_sha256().len(), 64);
}

#[test]
fn a_lost_authority_key_is_not_papered_over() {
    let dir = tempfile::tempdir().unwrap();
    Pki::open(dir.path(), 30).unwrap();
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    assert!(matches!(Pki::open(dir.path(), 30), Err(PkiError::KeyMissing(_))));
}

#[test]
fn names_of_a_request_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path(), 30).unwrap();
    let key = KeyPair::generate().unwrap();
    let issued = pki.issue(Role::Agent, "office", "a1", &csr(&key)).unwrap();
    let der = CertificateDer::from(issued.certificate_der.clone());
    let peer = identity::of_certificate(&der).unwrap();
    assert_eq!(
        (peer.role, peer.pool.as_str(), peer.id.as_str()),
        (Role::Agent, "office", "a1")
    );
    let text = String::from_utf8_lossy(&issued.certificate_der);
    assert!(!text.contains("evil.example"));
    assert!(!text.contains("somebody else"));
    let days = (issued.expires_micros - crate::store::now_micros()) / 86_400_000_000;
    assert!((29..=30).contains(&days), "{days}");
}

#[test]
fn a_request_with_a_broken_signature_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path(), 30).unwrap();
    let mut request = csr(&KeyPair::generate().unwrap());
    let last = request.len() - 1;
    request[last] ^= 1;
    assert!(matches!(
        pki.issue(Role::Agent, "office", "a1", &request),
        Err(PkiError::Request(_))
    ));
    assert!(matches!(
        pki.issue(Role::Agent, "office", "a1", &vec![0; CSR_BYTES_MAX + 1]),
        Err(PkiError::Request(_))
    ));
    assert!(matches!(
        pki.issue(Role::Agent, "office", "a1", b"junk"),
        Err(PkiError::Request(_))
    ));
}

#[test]
fn only_data_planes_may_serve() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path(), 30).unwrap();
    let request = csr(&KeyPair::generate().unwrap());
    let shows = |der: &[u8]| {
        let (_, cert) = x509_parser::parse_x509_certificate(der).unwrap();
        let usage = cert.extended_key_usage().unwrap().unwrap().value.clone();
        (usage.client_auth, usage.server_auth)
    };
    let dataplane = pki.issue(Role::Dataplane, "", "d1", &request).unwrap();
    let agent = pki.issue(Role::Agent, "office", "a1", &request).unwrap();
    assert_eq!(shows(&dataplane.certificate_der), (true, true));
    assert_eq!(shows(&agent.certificate_der), (true, false));
}
