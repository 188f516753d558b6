//! The audit over the wire: acknowledged when stored, stored once, and shown as it happened.

use crate::plane::{POLICY, Plane, on_postgres};
use crate::wire_client::{Call, Client, Peer, dataplane};
use prost::Message;
use proto::audit::{Event, Finding, Outcome, Parameter, Recording, SessionEnd, SessionStart, Statement, event};
use proto::control::{AuditAck, AuditBatch};
use proto::segment::{Header, Kind, Writer};
use serde_json::json;

pub(crate) struct Segment {
    header: Header,
    bytes: Vec<u8>,
    writer: Writer,
}

impl Segment {
    pub(crate) fn new(peer: &Peer, segment: u64) -> Segment {
        let header = Header {
            dataplane_id: peer.id.clone(),
            core: 1,
            segment,
            created_at_micros: 1_800_000_000_000_000,
            previous_hash: [0; 32],
            first_of_run: true,
        };
        let bytes = header.encode();
        let writer = Writer::new(&bytes);
        Segment { header, bytes, writer }
    }

    pub(crate) fn batch(&mut self, events: &[Event]) -> AuditBatch {
        let first_sequence = self.writer.sequence();
        let mut records = Vec::new();
        for event in events {
            self.writer.event(&event.encode_to_vec(), &mut records).unwrap();
        }
        AuditBatch {
            header: self.bytes.clone(),
            first_sequence,
            records,
        }
    }

    fn seal(&mut self, peer: &Peer) -> AuditBatch {
        let first_sequence = self.writer.sequence();
        let mut records = Vec::new();
        self.writer
            .seal(Kind::Seal, &peer.seal_key, &self.header, &mut records)
            .unwrap();
        AuditBatch {
            header: self.bytes.clone(),
            first_sequence,
            records,
        }
    }
}

pub(crate) fn event(session: u8, sequence: u64, kind: event::Kind) -> Event {
    Event {
        session_id: vec![session; 16],
        sequence,
        at_micros: 1_800_000_000_000_000 + sequence,
        kind: Some(kind),
    }
}

pub(crate) fn started(session: u8, user_id: &str) -> Event {
    let start = SessionStart {
        user: "alice".to_owned(),
        user_id: user_id.to_owned(),
        connection: "orders".to_owned(),
        protocol: "postgres".to_owned(),
        client_address: "10.0.0.1:5".to_owned(),
        ..SessionStart::default()
    };
    event(session, 0, event::Kind::Start(start))
}

pub(crate) fn statement(session: u8, sequence: u64, number: u64, text: &str, outcome: Outcome, detail: &str) -> Event {
    let statement = Statement {
        text: text.to_owned(),
        number,
        rows: 2,
        started_at_micros: 1_800_000_000_000_000,
        outcome: outcome.into(),
        outcome_detail: detail.to_owned(),
        parameters: vec![Parameter {
            text: "7".to_owned(),
            ..Parameter::default()
        }],
        findings: vec![Finding {
            detector: "EMAIL_ADDRESS".to_owned(),
            place: "email".to_owned(),
            count: 3,
            action: "masked".to_owned(),
        }],
        ..Statement::default()
    };
    event(session, sequence, event::Kind::Statement(statement))
}

pub(crate) async fn stream(plane: &Plane, peer: &Peer) -> Call {
    Client::connect(plane, Some(peer))
        .await
        .call(proto::path::CONTROL_AUDIT)
        .await
}

pub(crate) async fn sent(call: &mut Call, batch: &AuditBatch) -> u64 {
    call.send(batch);
    let ack: AuditAck = call.next().await.unwrap();
    assert_eq!(ack.core, 1);
    ack.next_sequence
}

pub(crate) fn uuid(session: u8) -> String {
    uuid::Uuid::from_bytes([session; 16]).to_string()
}

/// Records a session of a user that has one statement and is open; gives its id.
pub async fn recorded_session(plane: &Plane, user_id: &str) -> String {
    let peer = dataplane(plane).await;
    let mut segment = Segment::new(&peer, 0);
    let mut call = stream(plane, &peer).await;
    let batch = segment.batch(&[
        started(7, user_id),
        statement(7, 1, 0, "select 1", Outcome::Ok, "SELECT 1"),
    ]);
    assert_eq!(sent(&mut call, &batch).await, 2);
    uuid(7)
}

/// As a statement event of session 1, but of another kind: the journal's.
pub(crate) fn promise(sequence: u64, number: u64, text: &str) -> Event {
    let mut event = statement(1, sequence, number, text, Outcome::Unfinished, "");
    if let Some(event::Kind::Statement(s)) = event.kind.take() {
        event.kind = Some(event::Kind::Promise(s));
    }
    event
}

#[tokio::test]
async fn a_session_is_shown_as_it_happened() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let alice = plane.admin("GET", "/api/users/alice", None).await.expect(200);
    let peer = dataplane(&plane).await;
    let mut segment = Segment::new(&peer, 0);
    let mut call = stream(&plane, &peer).await;
    let row = [&b"D"[..], &[0, 0, 0, 11, 0, 1, 0, 0, 0, 1], b"x"].concat();
    let recording = Recording {
        batch: 1,
        offset: 0,
        data: row,
    };
    let batch = segment.batch(&[
        started(1, alice["id"].as_str().unwrap()),
        promise(1, 0, "select 1"),
        statement(1, 1, 0, "select 1", Outcome::Ok, "SELECT 2"),
        promise(2, 1, "select 2"),
        event(1, 2, event::Kind::Recording(recording)),
    ]);
    assert_eq!(sent(&mut call, &batch).await, 5);
    let path = format!("/api/sessions/{}", uuid(1));
    let open = plane.admin("GET", &path, None).await.expect(200);
    assert_eq!(
        (&open["status"], &open["statements"][1]["outcome"]),
        (&json!("open"), &json!("running"))
    );
    assert_eq!(
        (&open["statement_count"], open["statements"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    assert_eq!(open["events_missing"], 0);
    let events = plane.admin("GET", &format!("{path}/events"), None).await.expect(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
    assert_eq!(events["items"][2]["content"]["outcome"], "running");
    let end = SessionEnd {
        cause: "client".to_owned(),
        bytes_to_downstream: 99,
        statements: 3,
        ..SessionEnd::default()
    };
    let batch = segment.batch(&[
        statement(1, 2, 1, "select 2", Outcome::Ok, "SELECT 2"),
        statement(1, 3, 2, "delete from t", Outcome::Denied, "careful"),
        event(1, 4, event::Kind::End(end)),
    ]);
    assert_eq!(sent(&mut call, &batch).await, 8);
    assert_eq!(sent(&mut call, &segment.seal(&peer)).await, 9);
    let shown = plane.admin("GET", &path, None).await.expect(200);
    assert_eq!(
        (&shown["user"], &shown["status"], &shown["end_cause"]),
        (&json!("alice"), &json!("closed"), &json!("client"))
    );
    assert_eq!(
        (&shown["statement_count"], &shown["denied_count"], &shown["rows"]),
        (&json!(3), &json!(1), &json!(6))
    );
    assert_eq!(shown["findings"], json!([{"detector": "EMAIL_ADDRESS", "count": 9}]));
    assert_eq!(shown["events_missing"], 0);
    let statements = shown["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 3);
    assert_eq!(
        (&statements[1]["outcome"], &statements[1]["params"]),
        (&json!("ok"), &json!(["7"]))
    );
    assert_eq!(
        (&statements[2]["guardrail"], &statements[2]["number"]),
        (&json!("careful"), &json!(3))
    );
    assert_eq!(statements[0]["findings"][0]["place"], "email");
    let played = plane.admin("GET", &format!("{path}/recording"), None).await.expect(200);
    assert_eq!(played["items"][0]["lines"], json!(["x"]));
    let events = plane.admin("GET", &format!("{path}/events"), None).await.expect(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 5);
    is_listed_and_guarded(&plane, &path).await;
}

/// The one session, alice's, is found by who looks for it and may see it.
async fn is_listed_and_guarded(plane: &Plane, path: &str) {
    let listed = plane
        .admin("GET", "/api/sessions?user=alice&status=closed", None)
        .await
        .expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        plane.admin("GET", "/api/sessions?user=bob", None).await.expect(200)["items"],
        json!([])
    );
    let envelope = plane
        .admin("GET", "/api/plugins/audit/sessions", None)
        .await
        .expect(200);
    assert_eq!(
        (&envelope["total"], &envelope["has_next_page"]),
        (&json!(1), &json!(false))
    );
    let (mine, other) = (plane.token("alice").await, plane.token("bob").await);
    plane.call("GET", path, Some(&mine), None).await.expect(200);
    plane.call("GET", path, Some(&other), None).await.expect(404);
}

#[tokio::test]
async fn what_is_sent_again_is_stored_once_even_after_a_restart() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut segment = Segment::new(&peer, 0);
    let first = segment.batch(&[started(1, ""), statement(1, 1, 0, "a", Outcome::Ok, "")]);
    let second = segment.batch(&[statement(1, 2, 1, "b", Outcome::Ok, "")]);
    let mut call = stream(&plane, &peer).await;
    assert_eq!(sent(&mut call, &first).await, 2);
    assert_eq!(sent(&mut call, &first).await, 2);
    let plane = plane.restart().await;
    let mut call = stream(&plane, &peer).await;
    assert_eq!(sent(&mut call, &first).await, 2);
    assert_eq!(sent(&mut call, &second).await, 3);
    let whole = AuditBatch {
        records: [first.records, second.records].concat(),
        ..second
    };
    assert_eq!(
        sent(
            &mut call,
            &AuditBatch {
                first_sequence: 0,
                ..whole
            }
        )
        .await,
        3
    );
    let shown = plane
        .admin("GET", &format!("/api/sessions/{}", uuid(1)), None)
        .await
        .expect(200);
    assert_eq!((&shown["statement_count"], &shown["rows"]), (&json!(2), &json!(4)));
    assert_eq!(shown["statements"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_gap_is_not_taken_and_the_answer_says_from_where_to_send() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut segment = Segment::new(&peer, 0);
    let first = segment.batch(&[started(1, "")]);
    let lost = segment.batch(&[statement(1, 1, 0, "a", Outcome::Ok, "")]);
    let third = segment.batch(&[statement(1, 2, 1, "b", Outcome::Ok, "")]);
    let mut call = stream(&plane, &peer).await;
    assert_eq!(sent(&mut call, &third).await, 0);
    assert_eq!(sent(&mut call, &first).await, 1);
    assert_eq!(sent(&mut call, &third).await, 1);
    assert_eq!(sent(&mut call, &lost).await, 2);
    assert_eq!(sent(&mut call, &third).await, 3);
}

#[tokio::test]
async fn changed_records_and_foreign_segments_end_the_stream() {
    const DATA_LOSS: u16 = 15;
    let plane = Plane::start().await;
    let (peer, other) = (dataplane(&plane).await, dataplane(&plane).await);
    let mut segment = Segment::new(&peer, 0);
    let good = segment.batch(&[started(1, "")]);
    let mut bad = good.clone();
    let middle = bad.records.len() / 2;
    bad.records[middle] ^= 1;
    let mut call = stream(&plane, &peer).await;
    call.send(&bad);
    assert_eq!(call.end().await.code, DATA_LOSS);
    let mut call = stream(&plane, &other).await;
    call.send(&good);
    assert_eq!(call.end().await.code, DATA_LOSS);
    assert_eq!(
        plane.admin("GET", "/api/sessions", None).await.expect(200)["items"],
        json!([])
    );
}

#[tokio::test]
async fn sessions_of_a_process_that_died_end_unclean() {
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut call = stream(&plane, &peer).await;
    let mut before = Segment::new(&peer, 0);
    let mut answering = statement(1, 1, 0, "select big", Outcome::Unfinished, "");
    if let Some(event::Kind::Statement(promise)) = answering.kind.take() {
        answering.kind = Some(event::Kind::Promise(promise));
    }
    assert_eq!(sent(&mut call, &before.batch(&[started(1, ""), answering])).await, 2);
    let mut after = Segment::new(&peer, 1);
    assert_eq!(sent(&mut call, &after.batch(&[started(2, "")])).await, 1);
    let first = plane
        .admin("GET", &format!("/api/sessions/{}", uuid(1)), None)
        .await
        .expect(200);
    assert_eq!((&first["status"], &first["unclean"]), (&json!("closed"), &json!(true)));
    assert_eq!(
        (&first["statement_count"], &first["events_missing"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&first["statements"][0]["text"], &first["statements"][0]["outcome"]),
        (&json!("select big"), &json!("unfinished"))
    );
    let second = plane
        .admin("GET", &format!("/api/sessions/{}", uuid(2)), None)
        .await
        .expect(200);
    assert_eq!((&second["status"], &second["unclean"]), (&json!("open"), &json!(false)));
}

#[tokio::test]
async fn ingest_keeps_up() {
    // The goal is 20,000 events per second on an idle machine; the floor here leaves room for busy ones.
    const EVENTS: u64 = 60_000;
    const PER_BATCH: u64 = 1_000;
    let floor_per_second = if on_postgres() { 400.0 } else { 1_500.0 };
    let plane = Plane::start().await;
    let peer = dataplane(&plane).await;
    let mut segment = Segment::new(&peer, 0);
    let text = "select id, email, name, city from customers where id = $1 order by created_at desc limit 10";
    let batches: Vec<AuditBatch> = (0..EVENTS / PER_BATCH)
        .map(|batch| {
            let at = |n: u64| batch * PER_BATCH + n;
            // 50 sessions at once, as from a busy pool of clients.
            let events: Vec<Event> = (0..PER_BATCH)
                .map(|n| {
                    statement(
                        (at(n) % 50) as u8,
                        at(n) / 50,
                        at(n) / 50,
                        text,
                        Outcome::Ok,
                        "SELECT 1",
                    )
                })
                .collect();
            segment.batch(&events)
        })
        .collect();
    let mut call = stream(&plane, &peer).await;
    let begun = std::time::Instant::now();
    for batch in &batches {
        call.send(batch);
    }
    let mut next = 0;
    while next < EVENTS {
        next = call.next::<AuditAck>().await.unwrap().next_sequence;
    }
    let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} events per second");
    assert!(rate > floor_per_second, "{rate:.0} events per second");
    let shown = plane
        .admin("GET", &format!("/api/sessions/{}", uuid(3)), None)
        .await
        .expect(200);
    assert_eq!(shown["statement_count"], EVENTS / 50);
}
