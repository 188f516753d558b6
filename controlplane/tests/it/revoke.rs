//! What ends at once: revoked agents, killed sessions, pools with agents; and publishing above a lost generation.

use std::time::Duration;

use crate::plane::{POLICY, Plane};
use crate::wire_client::{Call, Client, Peer, agent, dataplane};
use prost::Message;
use proto::audit::{Event, SessionStart, event};
use proto::control::sync_request::Kind;
use proto::control::{AuditAck, AuditBatch, Hello, KillSession, SyncReply, SyncRequest, sync_reply};
use proto::policy::Snapshot;
use proto::segment::Header;
use proto::segment::Writer;
use proto::sign::open_snapshot;
use serde_json::json;

pub(crate) async fn sync(plane: &Plane, peer: &Peer, generation: u64) -> Call {
    let call = Client::connect(plane, Some(peer))
        .await
        .call(proto::path::CONTROL_SYNC)
        .await;
    let hello = Hello {
        protocol_version: proto::PROTOCOL_VERSION,
        cores: 1,
        generation,
        ..Hello::default()
    };
    call.send(&SyncRequest {
        kind: Some(Kind::Hello(hello)),
    });
    call
}

pub(crate) async fn next(call: &mut Call) -> sync_reply::Kind {
    let reply = tokio::time::timeout(Duration::from_secs(5), call.next::<SyncReply>()).await;
    reply.unwrap().unwrap().kind.unwrap()
}

async fn snapshot(call: &mut Call, peer: &Peer) -> Snapshot {
    match next(call).await {
        sync_reply::Kind::Snapshot(signed) => open_snapshot(&peer.reply.policy_public_key, &signed).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A session of alice that the data plane has told of; its id.
pub(crate) async fn open_session(plane: &Plane, peer: &Peer) -> String {
    let header = Header {
        dataplane_id: peer.id.clone(),
        core: 0,
        segment: 0,
        created_at_micros: 1_800_000_000_000_000,
        previous_hash: [0; 32],
        first_of_run: true,
    }
    .encode();
    let start = SessionStart {
        user: "alice".to_owned(),
        connection: "orders".to_owned(),
        protocol: "postgres".to_owned(),
        ..SessionStart::default()
    };
    let event = Event {
        session_id: vec![9; 16],
        at_micros: 1_800_000_000_000_000,
        kind: Some(event::Kind::Start(start)),
        ..Event::default()
    };
    let mut records = Vec::new();
    Writer::new(&header)
        .event(&event.encode_to_vec(), &mut records)
        .unwrap();
    let mut call = Client::connect(plane, Some(peer))
        .await
        .call(proto::path::CONTROL_AUDIT)
        .await;
    call.send(&AuditBatch {
        header,
        first_sequence: 0,
        records,
    });
    call.next::<AuditAck>().await.unwrap();
    uuid::Uuid::from_bytes([9; 16]).to_string()
}

fn revoked(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .revoked_agents
        .iter()
        .map(|agent| agent.agent_id.as_str())
        .collect()
}

#[tokio::test]
async fn a_removed_agent_is_on_the_list_of_the_next_snapshot_and_after_a_restart() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let (gone, stays) = (agent(&plane, "office").await, agent(&plane, "office").await);
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    let before = snapshot(&mut call, &peer).await;
    assert_eq!(revoked(&before), Vec::<&str>::new());
    let path = format!("/api/agents/{}", gone.id);
    plane.admin("DELETE", &path, None).await.expect(204);
    let after = snapshot(&mut call, &peer).await;
    assert_eq!(
        (after.generation, revoked(&after)),
        (before.generation + 1, vec![gone.id.as_str()])
    );
    assert!(
        after.revoked_agents[0].until_ms >= gone.reply.expires_at_ms,
        "as long as a certificate can last"
    );
    plane.admin("DELETE", &path, None).await.expect(404);
    plane.admin("GET", &path, None).await.expect(404);
    plane
        .admin("GET", &format!("/api/agents/{}", stays.id), None)
        .await
        .expect(200);
    let plane = plane.restart().await;
    let mut call = sync(&plane, &peer, 0).await;
    assert_eq!(revoked(&snapshot(&mut call, &peer).await), [gone.id.as_str()]);
}

#[tokio::test]
async fn apply_deletes_a_pool_with_agents_only_when_forced_and_then_revokes_them() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let enrolled = agent(&plane, "office").await;
    let key = plane
        .admin("POST", "/api/pools/office/keys", Some(json!({})))
        .await
        .expect(201);
    let refused = plane.apply("").await.expect(409);
    let why = refused["errors"][0].clone();
    assert_eq!(why["place"], "pool \"office\"");
    assert!(
        why["message"].as_str().unwrap().contains("has 1 enrolled agent:"),
        "{why}"
    );
    plane.admin("GET", "/api/pools/office", None).await.expect(200);
    let dry = plane
        .admin("POST", "/api/diff", Some(json!({"policy": ""})))
        .await
        .expect(200);
    assert!(dry["warnings"].to_string().contains("enrolled agent"), "{dry}");
    plane
        .admin("POST", "/api/apply", Some(json!({"policy": "", "force": true})))
        .await
        .expect(200);
    plane.admin("GET", "/api/pools/office", None).await.expect(404);
    let peer = dataplane(&plane).await;
    let mut call = sync(&plane, &peer, 0).await;
    assert_eq!(revoked(&snapshot(&mut call, &peer).await), [enrolled.id.as_str()]);
    let late = crate::wire_client::enrol(&plane, key["token"].as_str().unwrap()).await;
    assert!(
        late.err().unwrap().message.contains("was deleted"),
        "its keys let nobody in"
    );
}

#[tokio::test]
async fn an_order_to_kill_reaches_the_data_plane_of_the_session() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let peer = dataplane(&plane).await;
    let id = open_session(&plane, &peer).await;
    let path = format!("/api/sessions/{id}/kill");
    let away = plane.admin("POST", &path, None).await.expect(409);
    assert!(away["detail"].as_str().unwrap().contains("not connected"), "{away}");
    let mut call = sync(&plane, &peer, 0).await;
    snapshot(&mut call, &peer).await;
    plane
        .admin("POST", &path, Some(json!({"reason": "two\nlines"})))
        .await
        .expect(400);
    let stranger = plane.token("bob").await;
    plane.call("POST", &path, Some(&stranger), None).await.expect(404);
    // Nobody carries it out here, so the end does not come.
    plane
        .admin("POST", &path, Some(json!({"reason": "leaving"})))
        .await
        .expect(202);
    // The token's generation came in between.
    let kill = loop {
        if let sync_reply::Kind::Kill(kill) = next(&mut call).await {
            break kill;
        }
    };
    let KillSession { session_id, reason, by } = kill;
    assert_eq!(
        (session_id.len(), reason.as_str(), by.as_str()),
        (16, "leaving", "an administrator")
    );
    plane
        .admin("POST", "/api/sessions/nonsense/kill", None)
        .await
        .expect(404);
}

#[tokio::test]
async fn a_data_plane_far_ahead_is_reached_by_republishing_above_it() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let ahead = plane.running.app.publisher.current().generation + 5_000_000;
    let mut call = sync(&plane, &peer, ahead).await;
    assert!(
        snapshot(&mut call, &peer).await.generation < ahead,
        "no claim moves us that far"
    );
    let path = "/api/policy/republish";
    let done = plane
        .admin("POST", path, Some(json!({"above": ahead})))
        .await
        .expect(200);
    assert_eq!(done["generation"], ahead + 1);
    assert_eq!(snapshot(&mut call, &peer).await.generation, ahead + 1);
    for wrong in [json!({"above": -1}), json!({"above": u64::MAX}), json!({"over": 3})] {
        plane.admin("POST", path, Some(wrong)).await.expect(400);
    }
    assert_eq!(plane.running.app.publisher.current().generation, ahead + 1);
}
