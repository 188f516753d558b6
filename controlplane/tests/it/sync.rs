//! Snapshots: signed, complete, pushed at once, never older; and what data planes say about them.

use std::time::Duration;

use crate::plane::{POLICY, Plane};
use crate::wire_client::{Call, Client, Peer, dataplane};
use aws_lc_rs::{digest, hmac};
use proto::control::sync_request::Kind;
use proto::control::{Ack, AgentPresence, Hello, Nack, Presence, SyncReply, SyncRequest, sync_reply};
use proto::policy::{Snapshot, TlsMode};
use proto::sign::{open_grant, open_snapshot};
use serde_json::{Value, json};

fn request(kind: Kind) -> SyncRequest {
    SyncRequest { kind: Some(kind) }
}

fn hello(generation: u64) -> SyncRequest {
    let hello = Hello {
        protocol_version: proto::PROTOCOL_VERSION,
        version: "0.1".to_owned(),
        cores: 2,
        generation,
        backend: "epoll".to_owned(),
    };
    request(Kind::Hello(hello))
}

async fn sync(plane: &Plane, peer: &Peer, generation: u64) -> Call {
    let call = Client::connect(plane, Some(peer))
        .await
        .call(proto::path::CONTROL_SYNC)
        .await;
    call.send(&hello(generation));
    call
}

async fn snapshot(call: &mut Call, peer: &Peer) -> Snapshot {
    let reply: SyncReply = tokio::time::timeout(Duration::from_secs(5), call.next())
        .await
        .unwrap()
        .unwrap();
    let Some(sync_reply::Kind::Snapshot(signed)) = reply.kind else {
        panic!("no snapshot")
    };
    open_snapshot(&peer.reply.policy_public_key, &signed).unwrap()
}

/// Asks until the data plane's description is as wanted.
async fn until(plane: &Plane, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let shown = plane
            .admin("GET", &format!("/api/dataplanes/{id}"), None)
            .await
            .expect(200);
        if wanted(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came");
}

#[tokio::test]
async fn a_snapshot_holds_verifiers_and_grants_and_no_token() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let token = plane.token("alice").await;
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    let snapshot = snapshot(&mut call, &peer).await;
    assert!(snapshot.expires_at_ms > snapshot.issued_at_ms);
    assert_eq!(snapshot.installation_key.len(), 32);
    let bytes = prost::Message::encode_to_vec(&snapshot);
    assert!(!bytes.windows(token.len()).any(|w| w == token.as_bytes()));
    let alice = snapshot.users.iter().find(|u| u.name == "alice").unwrap();
    assert_eq!((alice.salt.len(), alice.iterations, alice.tokens.len()), (16, 4096, 1));
    // A client that knows the token proves it against the verifier (RFC 5802 section 3).
    let mut salted = [0; 32];
    let rounds = std::num::NonZeroU32::new(alice.iterations).unwrap();
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &alice.salt,
        token.as_bytes(),
        &mut salted,
    );
    let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
    assert_eq!(
        digest::digest(&digest::SHA256, client_key.as_ref()).as_ref(),
        alice.tokens[0].stored_key
    );
    let orders = &snapshot.connections[0];
    assert_eq!(
        (orders.name.as_str(), orders.pool.as_str(), orders.groups.as_slice()),
        ("orders", "office", &["engineering".to_owned()][..])
    );
    let grant = open_grant(&peer.reply.policy_public_key, orders.grant.as_ref().unwrap()).unwrap();
    assert_eq!(
        (grant.host.as_str(), grant.port, grant.password.as_str()),
        ("db.internal", 5432, "literal:hunter2")
    );
    assert_eq!((grant.tls(), grant.generation), (TlsMode::Prefer, snapshot.generation));
    assert_eq!(
        (grant.connection_id.as_str(), grant.pool.as_str()),
        (orders.id.as_str(), "office")
    );
}

#[tokio::test]
async fn an_edit_is_pushed_at_once_and_acknowledged_per_core() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    let first = snapshot(&mut call, &peer).await;
    let begun = std::time::Instant::now();
    plane.token("bob").await;
    let second = snapshot(&mut call, &peer).await;
    assert_eq!(second.generation, first.generation + 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    call.send(&request(Kind::Ack(Ack {
        generation: second.generation,
        cores: vec![second.generation, first.generation],
    })));
    let behind = until(&plane, &peer.id, |d| d["last_ack_at"].is_string()).await;
    assert_eq!(
        (&behind["generation"], &behind["enforced"]),
        (&json!(first.generation), &json!(false))
    );
    call.send(&request(Kind::Ack(Ack {
        generation: second.generation,
        cores: vec![second.generation; 2],
    })));
    let enforced = until(&plane, &peer.id, |d| d["enforced"] == true).await;
    assert_eq!(
        enforced["cores"][1],
        json!({"core": 1, "generation": second.generation})
    );
    let nack = Nack {
        generation: second.generation + 1,
        in_force: second.generation,
        reason: "the signature is wrong".to_owned(),
    };
    call.send(&request(Kind::Nack(nack)));
    let refused = until(&plane, &peer.id, |d| d["nack"].is_object()).await;
    assert_eq!(refused["nack"]["reason"], "the signature is wrong");
}

#[tokio::test]
async fn presence_shows_at_agents_and_pools() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let agent = crate::wire_client::agent(&plane, "office").await;
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    snapshot(&mut call, &peer).await;
    let presence = AgentPresence {
        agent_id: agent.id.clone(),
        pool: "office".to_owned(),
        links: 2,
        version: "9".to_owned(),
        ..AgentPresence::default()
    };
    call.send(&request(Kind::Presence(Presence { agents: vec![presence] })));
    until(&plane, &peer.id, |d| d["agents"] == 1).await;
    let shown = plane
        .admin("GET", &format!("/api/agents/{}", agent.id), None)
        .await
        .expect(200);
    assert_eq!(
        (&shown["status"], &shown["links"], &shown["version"]),
        (&json!("connected"), &json!(2), &json!("9"))
    );
    assert_eq!(
        plane.admin("GET", "/api/pools/office", None).await.expect(200)["agents_connected"],
        1
    );
    drop(call);
    until(&plane, &peer.id, |d| d["connected"] == false).await;
    assert_eq!(
        plane.admin("GET", "/api/pools/office", None).await.expect(200)["agents_connected"],
        0
    );
}

#[tokio::test]
async fn a_data_plane_from_the_future_is_overtaken() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let ahead = plane.running.app.publisher.current().generation + 10;
    let mut call = sync(&plane, &peer, ahead).await;
    assert_eq!(snapshot(&mut call, &peer).await.generation, ahead + 1);
}

#[tokio::test]
async fn a_data_plane_that_is_up_to_date_gets_only_news() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let current = plane.running.app.publisher.current().generation;
    let mut call = sync(&plane, &peer, current).await;
    until(&plane, &peer.id, |d| d["enforced"] == true).await;
    plane.apply(POLICY).await.expect(200);
    assert_eq!(snapshot(&mut call, &peer).await.generation, current + 1);
}

#[tokio::test]
async fn a_removed_data_plane_is_cut_off() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    snapshot(&mut call, &peer).await;
    plane
        .admin("DELETE", &format!("/api/dataplanes/{}", peer.id), None)
        .await
        .expect(204);
    assert_eq!(call.end().await.code, 7);
    let mut again = sync(&plane, &peer, 0).await;
    assert_eq!(again.end().await.code, 7);
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_a_hello_is_ended() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut call = Client::connect(&plane, Some(&peer))
        .await
        .call(proto::path::CONTROL_SYNC)
        .await;
    call.send(&request(Kind::Ack(Ack::default())));
    assert_eq!(call.end().await.code, 3);
}

#[tokio::test]
async fn snapshots_are_signed_anew_before_they_run_out() {
    let plane = Plane::start_with(|config| controlplane::config::Config {
        snapshot_max_age_seconds: 4,
        ..config
    })
    .await;
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    let first = snapshot(&mut call, &peer).await;
    let second = snapshot(&mut call, &peer).await;
    assert!(second.generation > first.generation);
    assert!(second.issued_at_ms < first.expires_at_ms);
}
