//! Enrolling, renewing, and what happens to keys and identities that should not work.

use crate::plane::{POLICY, Plane};
use crate::wire_client::{Client, agent, csr, dataplane, enrol};
use controlplane::pki::identity;
use controlplane::store::enrolment::Role;
use proto::control::{EnrolReply, EnrolRequest, RenewRequest};
use rustls_pki_types::CertificateDer;
use serde_json::json;

const UNAUTHENTICATED: u16 = 16;
const PERMISSION_DENIED: u16 = 7;

#[tokio::test]
async fn a_key_works_once() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let made = plane
        .admin("POST", "/api/pools/office/keys", Some(json!({"note": "rack 7"})))
        .await
        .expect(201);
    let token = made["token"].as_str().unwrap();
    assert_eq!(made["ca_sha256"].as_str().unwrap(), plane.running.app.pki.ca_sha256());
    assert!(made["credentials"].as_str().unwrap().contains(token));
    let peer = enrol(&plane, token).await.unwrap();
    let who = identity::of_certificate(&CertificateDer::from(peer.reply.certificate_der.clone())).unwrap();
    assert_eq!(
        (who.role, who.pool.as_str(), &who.id),
        (Role::Agent, "office", &peer.id)
    );
    assert_eq!(enrol(&plane, token).await.err().unwrap().code, UNAUTHENTICATED);
    assert_eq!(enrol(&plane, "sle_wrong").await.err().unwrap().code, UNAUTHENTICATED);
    let keys = plane.admin("GET", "/api/pools/office/keys", None).await;
    assert!(!keys.text.contains(token));
    assert_eq!(keys.expect(200)["items"][0]["uses"], 1);
    let agents = plane.admin("GET", "/api/pools/office/agents", None).await.expect(200);
    assert_eq!(
        (&agents["items"][0]["id"], &agents["items"][0]["status"]),
        (&json!(peer.id), &json!("disconnected"))
    );
    plane
        .admin("DELETE", "/api/pools/office?force=true", None)
        .await
        .expect(409);
}

#[tokio::test]
async fn a_deleted_key_and_an_old_protocol_are_refused() {
    let plane = Plane::start().await;
    let made = plane
        .admin("POST", "/api/dataplanes/keys", Some(json!({"uses_max": 2})))
        .await
        .expect(201);
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let (csr_der, _) = csr();
    let request = EnrolRequest {
        protocol_version: 99,
        token: token.to_owned(),
        csr_der,
        ..EnrolRequest::default()
    };
    let mut client = Client::connect(&plane, None).await;
    let refused = client
        .unary::<EnrolReply>(proto::path::ENROL, &request)
        .await
        .unwrap_err();
    assert!(refused.message.contains("version 99"), "{refused:?}");
    let without_seal_key = EnrolRequest {
        protocol_version: proto::PROTOCOL_VERSION,
        ..request
    };
    let refused = client
        .unary::<EnrolReply>(proto::path::ENROL, &without_seal_key)
        .await
        .unwrap_err();
    assert!(refused.message.contains("seals"), "{refused:?}");
    enrol(&plane, token).await.unwrap();
    plane
        .admin("DELETE", &format!("/api/dataplanes/keys/{id}"), None)
        .await
        .expect(204);
    assert_eq!(enrol(&plane, token).await.err().unwrap().code, UNAUTHENTICATED);
}

#[tokio::test]
async fn renewing_needs_a_certificate_that_was_not_removed() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let peer = agent(&plane, "office").await;
    let (csr_der, _) = csr();
    let request = RenewRequest { csr_der };
    let mut client = Client::connect(&plane, Some(&peer)).await;
    let renewed: EnrolReply = client.unary(proto::path::RENEW, &request).await.unwrap();
    assert_eq!(
        (renewed.id.as_str(), renewed.pool.as_str()),
        (peer.id.as_str(), "office")
    );
    assert_ne!(renewed.certificate_der, peer.reply.certificate_der);
    let mut nobody = Client::connect(&plane, None).await;
    assert_eq!(
        nobody
            .unary::<EnrolReply>(proto::path::RENEW, &request)
            .await
            .unwrap_err()
            .code,
        UNAUTHENTICATED
    );
    plane
        .admin("DELETE", &format!("/api/agents/{}", peer.id), None)
        .await
        .expect(204);
    assert_eq!(
        client
            .unary::<EnrolReply>(proto::path::RENEW, &request)
            .await
            .unwrap_err()
            .code,
        PERMISSION_DENIED
    );
    plane
        .admin("DELETE", "/api/pools/office?force=true", None)
        .await
        .expect(409);
}

#[tokio::test]
async fn roles_do_not_reach_each_others_services() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let agent = agent(&plane, "office").await;
    for path in [proto::path::CONTROL_SYNC, proto::path::CONTROL_AUDIT] {
        let mut call = Client::connect(&plane, Some(&agent)).await.call(path).await;
        assert_eq!(call.end().await.code, PERMISSION_DENIED);
        let mut call = Client::connect(&plane, None).await.call(path).await;
        assert_eq!(call.end().await.code, UNAUTHENTICATED);
    }
    let dataplane = dataplane(&plane).await;
    let mut call = Client::connect(&plane, Some(&dataplane))
        .await
        .call("/no.Such/Method")
        .await;
    assert_eq!(call.end().await.code, 12);
}
