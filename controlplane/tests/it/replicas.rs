//! Several control planes on one store: whoever is asked, the answer is the same, and nothing is taken in twice.

use crate::audit::{Segment, sent, started, statement, stream, uuid};
use crate::plane::{POLICY, Plane, on_postgres};
use crate::revoke::{next, open_session, sync};
use crate::wire_client::dataplane;
use proto::audit::Outcome;
use proto::control::sync_reply;
use serde_json::{Value, json};
use std::time::Duration;

/// Asks until the answer is as wanted.
async fn until(plane: &Plane, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let answer = plane.admin("GET", path, None).await.expect(200);
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never became as wanted");
}

#[tokio::test]
async fn what_is_changed_at_one_is_in_force_at_the_other() {
    if !on_postgres() {
        return;
    }
    let one = Plane::start().await;
    let other = one.replica().await;
    assert_eq!(one.admin, other.admin, "one installation has one administrator's token");
    let applied = one.apply(POLICY).await.expect(200);
    let policy = other.admin("GET", "/api/policy", None).await.expect(200);
    assert_eq!(policy["generation"], applied["generation"]);
    let before = one.admin("GET", "/api/policy", None).await.expect(200);
    assert_eq!(before, policy, "the same snapshot, made by each");
    let token = one.token("alice").await;
    other.call("GET", "/api/userinfo", Some(&token), None).await.expect(200);
    other
        .admin("PUT", "/api/users/bob", Some(json!({"groups": ["engineering"]})))
        .await
        .expect(409);
    for (at, name) in [(&one, "g1"), (&other, "g2"), (&one, "g3")] {
        at.admin("POST", "/api/groups", Some(json!({"name": name})))
            .await
            .expect(201);
    }
    let groups = one.admin("GET", "/api/groups", None).await.expect(200);
    assert_eq!(groups["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_data_plane_is_reached_wherever_it_is_connected() {
    if !on_postgres() {
        return;
    }
    let one = Plane::start().await;
    one.apply(POLICY).await.expect(200);
    let other = one.replica().await;
    let peer = dataplane(&one).await;
    let mut call = sync(&one, &peer, 0).await;
    assert!(matches!(next(&mut call).await, sync_reply::Kind::Snapshot(_)));
    let path = format!("/api/dataplanes/{}", peer.id);
    until(&other, &path, |shown| shown["connected"] == true).await;
    // Pushed by the one that it is connected to, as soon as the other has published.
    other.token("alice").await;
    assert!(matches!(next(&mut call).await, sync_reply::Kind::Snapshot(_)));
    // Its records may come by any way.
    let session = open_session(&other, &peer).await;
    let kill = format!("/api/sessions/{session}/kill");
    let (answer, order) = tokio::join!(
        other.admin("POST", &kill, Some(json!({"reason": "enough"}))),
        next(&mut call)
    );
    answer.expect(202);
    match order {
        sync_reply::Kind::Kill(order) => assert_eq!((order.reason.as_str(), order.session_id), ("enough", vec![9; 16])),
        order => panic!("{order:?}"),
    }
    other.admin("DELETE", &path, None).await.expect(204);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), call.next::<proto::control::SyncReply>())
            .await
            .unwrap()
            .is_none_or(|reply| matches!(reply.kind, Some(sync_reply::Kind::Kill(_)))),
        "a removed data plane is cut off"
    );
}

#[tokio::test]
async fn who_was_connected_to_one_that_stops_is_not_connected() {
    if !on_postgres() {
        return;
    }
    let one = Plane::start().await;
    let other = one.replica().await;
    let peer = dataplane(&one).await;
    let _call = sync(&other, &peer, 0).await;
    let path = format!("/api/dataplanes/{}", peer.id);
    until(&one, &path, |shown| shown["connected"] == true).await;
    other.running.stop().await;
    until(&one, &path, |shown| shown["connected"] == false).await;
}

#[tokio::test]
async fn records_that_are_sent_to_both_are_stored_once() {
    if !on_postgres() {
        return;
    }
    let one = Plane::start().await;
    let other = one.replica().await;
    let peer = dataplane(&one).await;
    let mut segment = Segment::new(&peer, 0);
    let mut batches = vec![segment.batch(&[started(1, "")])];
    batches.extend((0..40u64).map(|n| segment.batch(&[statement(1, n + 1, n, "select 1", Outcome::Ok, "")])));
    let (mut first, mut second) = (stream(&one, &peer).await, stream(&other, &peer).await);
    let all = batches.len() as u64;
    let send = |mut call: crate::wire_client::Call, batches: Vec<proto::control::AuditBatch>| async move {
        let mut at = 0;
        while at < all {
            // As a data plane does: from where the store says that it is.
            at = sent(&mut call, &batches[at as usize]).await;
        }
    };
    assert_eq!(sent(&mut first, &batches[0]).await, 1);
    assert_eq!(sent(&mut second, &batches[0]).await, 1);
    tokio::join!(send(first, batches.clone()), send(second, batches));
    let shown = one
        .admin("GET", &format!("/api/sessions/{}", uuid(1)), None)
        .await
        .expect(200);
    assert_eq!(
        (&shown["statement_count"], &shown["events_missing"]),
        (&json!(40), &json!(0))
    );
    assert_eq!(shown["statements"].as_array().unwrap().len(), 40);
    let verified = other
        .admin("POST", "/api/audit/verify", Some(json!({})))
        .await
        .expect(200);
    assert_eq!((&verified["checked"], &verified["broken"]), (&json!(1), &json!([])));
}
