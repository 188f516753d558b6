//! The stored record: found by what it says, proved to be as it was taken in, and the same after a backup and a restore.

use crate::audit::{Segment, event, promise, sent, started, statement, stream, uuid};
use crate::plane::{POLICY, Plane, on_postgres};
use crate::wire_client::dataplane;
use proto::audit::{Outcome, Recording, SessionEnd, event};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};

/// Three sessions: two of them with statements, one of those still answering.
async fn recorded(plane: &Plane) {
    let peer = dataplane(plane).await;
    let mut segment = Segment::new(&peer, 0);
    let mut call = stream(plane, &peer).await;
    let recording = Recording {
        batch: 1,
        offset: 0,
        data: b"what was seen".to_vec(),
    };
    let batch = segment.batch(&[
        started(1, ""),
        statement(1, 1, 0, "SELECT name FROM customers", Outcome::Ok, "SELECT 2"),
        started(2, ""),
        event(1, 2, event::Kind::Recording(recording)),
        statement(2, 1, 0, "DELETE FROM orders", Outcome::Denied, "careful"),
        started(3, ""),
    ]);
    assert_eq!(sent(&mut call, &batch).await, 6);
    let batch = segment.batch(&[
        statement(
            1,
            2,
            1,
            "SELECT email FROM customers WHERE id = 7",
            Outcome::Ok,
            "SELECT 1",
        ),
        promise(3, 2, "SELECT pg_sleep(100)"),
        event(2, 2, event::Kind::End(SessionEnd::default())),
    ]);
    assert_eq!(sent(&mut call, &batch).await, 9);
}

async fn texts(plane: &Plane, query: &str) -> Vec<String> {
    let found = plane
        .admin("GET", &format!("/api/events?{query}"), None)
        .await
        .expect(200);
    let text = |item: &Value| item["content"]["text"].as_str().unwrap_or_default().to_owned();
    found["items"].as_array().unwrap().iter().map(text).collect()
}

async fn count(plane: &Plane, query: &str) -> usize {
    let found = plane
        .admin("GET", &format!("/api/sessions?{query}"), None)
        .await
        .expect(200);
    found["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn events_are_found_by_words_and_marks() {
    let plane = Plane::start().await;
    recorded(&plane).await;
    assert_eq!(
        texts(&plane, "text=customers%20email").await,
        ["SELECT email FROM customers WHERE id = 7"]
    );
    assert_eq!(texts(&plane, "text=cust*").await.len(), 2);
    assert_eq!(texts(&plane, "text=cust").await.len(), 0);
    assert_eq!(texts(&plane, "outcome=denied&user=alice").await, ["DELETE FROM orders"]);
    assert_eq!(texts(&plane, "outcome=denied&user=bob").await.len(), 0);
    assert_eq!(
        texts(&plane, "verb=select&detector=email_address&connection=orders")
            .await
            .len(),
        2
    );
    assert_eq!(texts(&plane, "").await.len(), 7, "all but recordings and promises");
    assert_eq!(texts(&plane, "since=2100-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(texts(&plane, "until=2100-01-01T00:00:00Z&text=orders").await.len(), 1);
    assert_eq!(
        (
            count(&plane, "text=customers").await,
            count(&plane, "outcome=denied").await
        ),
        (1, 1)
    );
    assert_eq!((count(&plane, "").await, count(&plane, "text=nothing").await), (3, 0));
    plane.admin("GET", "/api/events?cursor=x", None).await.expect(400);
}

#[tokio::test]
async fn pages_of_events_follow_each_other_without_loss() {
    let plane = Plane::start().await;
    recorded(&plane).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = plane
            .admin("GET", &format!("/api/events?limit=1{cursor}"), None)
            .await
            .expect(200);
        for item in page["items"].as_array().unwrap() {
            seen.push(format!("{} {}", item["session_id"], item["sequence"]));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!((seen.len(), once.len()), (7, 7), "{seen:?}");
}

/// The database behind the control plane's back.
enum Raw {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Raw {
    async fn open(plane: &Plane) -> Raw {
        match plane.config().database_url {
            Some(url) => Raw::Postgres(sqlx::PgConnection::connect(&url).await.unwrap()),
            None => {
                let url = format!("sqlite://{}", plane.dir.path().join("controlplane.db").display());
                Raw::Sqlite(sqlx::SqliteConnection::connect(&url).await.unwrap())
            }
        }
    }

    async fn execute(&mut self, text: &str) -> u64 {
        match self {
            Raw::Sqlite(raw) => sqlx::query(AssertSqlSafe(text))
                .execute(raw)
                .await
                .unwrap()
                .rows_affected(),
            Raw::Postgres(raw) => sqlx::query(AssertSqlSafe(text))
                .execute(raw)
                .await
                .unwrap()
                .rows_affected(),
        }
    }

    /// All values of a column of bytes, with the number of the row.
    async fn bytes(&mut self, text: &str) -> Vec<(i64, Vec<u8>)> {
        match self {
            Raw::Sqlite(raw) => sqlx::query_as(AssertSqlSafe(text)).fetch_all(raw).await.unwrap(),
            Raw::Postgres(raw) => sqlx::query_as(AssertSqlSafe(text)).fetch_all(raw).await.unwrap(),
        }
    }

    async fn put(&mut self, text: &str, value: &[u8]) {
        let changed = match self {
            Raw::Sqlite(raw) => sqlx::query(AssertSqlSafe(text))
                .bind(value)
                .execute(raw)
                .await
                .unwrap()
                .rows_affected(),
            Raw::Postgres(raw) => sqlx::query(AssertSqlSafe(text))
                .bind(value)
                .execute(raw)
                .await
                .unwrap()
                .rows_affected(),
        };
        assert_eq!(changed, 1, "{text}");
    }
}

/// Sessions that are not as they were taken in.
async fn broken(plane: &Plane) -> Vec<Value> {
    let answer = plane
        .admin("POST", "/api/audit/verify", Some(json!({})))
        .await
        .expect(200);
    assert_eq!(answer["next_cursor"], Value::Null);
    answer["broken"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_changed_byte_of_a_stored_session_is_found() {
    let plane = Plane::start().await;
    recorded(&plane).await;
    assert_eq!(broken(&plane).await, [] as [Value; 0]);
    let mut raw = Raw::open(&plane).await;
    let mut tried = 0;
    for column in ["content", "hash", "session_id"] {
        for (id, value) in raw
            .bytes(&format!("SELECT id, {column} FROM session_chunk ORDER BY id"))
            .await
        {
            let put = format!("UPDATE session_chunk SET {column} = $1 WHERE id = {id}");
            // Every byte of the short ones, some of the long.
            for place in (0..value.len()).step_by(1 + value.len() / 24) {
                let mut changed = value.clone();
                changed[place] ^= 1 << (place % 8);
                raw.put(&put, &changed).await;
                assert!(!broken(&plane).await.is_empty(), "{column} of part {id}, byte {place}");
                tried += 1;
            }
            raw.put(&put, &value).await;
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(broken(&plane).await, [] as [Value; 0]);
}

#[tokio::test]
async fn every_other_change_of_a_stored_session_is_found() {
    let plane = Plane::start().await;
    recorded(&plane).await;
    let mut raw = Raw::open(&plane).await;
    let numbers = "started_micros core segment generation statements denied failed rows bytes events sequence_max chunks \
                   bytes_to_upstream bytes_to_downstream";
    let mut changes: Vec<(String, String)> = Vec::new();
    for column in numbers.split_whitespace() {
        let change = |sign| format!("UPDATE session SET {column} = {column} {sign} 1");
        changes.push((change('+'), change('-')));
    }
    for column in [
        "\"user\"",
        "user_id",
        "connection",
        "protocol",
        "database",
        "client_address",
        "dataplane",
        "application",
    ] {
        let undo = format!("UPDATE session SET {column} = substr({column}, 2)");
        changes.push((format!("UPDATE session SET {column} = 'x' || {column}"), undo));
    }
    for column in ["first_sequence", "events", "first_micros", "last_micros"] {
        let change = |sign| format!("UPDATE session_chunk SET {column} = {column} {sign} 1");
        changes.push((change('+'), change('-')));
    }
    changes.push(("UPDATE session SET findings = '{}' || ' '".to_owned(), String::new()));
    for (change, undo) in &changes {
        assert!(raw.execute(change).await > 0, "{change}");
        assert!(!broken(&plane).await.is_empty(), "{change}");
        if !undo.is_empty() {
            raw.execute(undo).await;
            assert_eq!(broken(&plane).await, [] as [Value; 0], "{undo}");
        }
    }
}

#[tokio::test]
async fn missing_and_added_parts_are_found_and_the_first_is_named() {
    let plane = Plane::start().await;
    recorded(&plane).await;
    let mut raw = Raw::open(&plane).await;
    assert_eq!(raw.execute("DELETE FROM session_promise").await, 1);
    let found = broken(&plane).await;
    assert_eq!((found.len(), &found[0]["place"]), (1, &json!("promises")));
    let of_first = match on_postgres() {
        true => "session_id = decode(repeat('01', 16), 'hex')",
        false => "session_id = x'01010101010101010101010101010101'",
    };
    let last = format!(
        "DELETE FROM session_chunk WHERE id = (SELECT max(id) FROM session_chunk WHERE recording = 0 AND {of_first})"
    );
    assert_eq!(raw.execute(&last).await, 1);
    let found = broken(&plane).await;
    assert_eq!(
        (&found[0]["place"], &found[0]["session"]),
        (&json!("events"), &json!(uuid(1)))
    );
    assert_eq!(found[0]["sequence"], 2, "the first event that cannot be vouched for");
}

#[tokio::test]
async fn a_backup_is_restored_as_it_was_and_not_when_it_was_changed() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    recorded(&plane).await;
    let sessions = plane.admin("GET", "/api/sessions", None).await.expect(200);
    let policy = plane.admin("GET", "/api/export", None).await.text;
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("backup");
    controlplane::backup::backup(&plane.config(), &dir).await.unwrap();
    controlplane::backup::backup(&plane.config(), &dir)
        .await
        .expect_err("the directory is there already");
    let whole: Vec<u8> = walk(&dir)
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(
        !whole.windows(7).any(|window| window == b"hunter2"),
        "a literal secret is sealed"
    );
    let fresh = plane.elsewhere().await;
    let key = std::fs::read(plane.dir.path().join("envelope.key")).unwrap();
    std::fs::write(fresh.1.path().join("envelope.key"), key).unwrap();
    for path in walk(&dir) {
        let content = std::fs::read(&path).unwrap();
        let mut changed = content.clone();
        changed[content.len() / 2] ^= 1;
        std::fs::write(&path, changed).unwrap();
        if !path.ends_with("backup.json") {
            controlplane::backup::restore(&fresh.0, &dir)
                .await
                .expect_err("it was changed");
        }
        std::fs::write(&path, content).unwrap();
    }
    controlplane::backup::restore(&fresh.0, &dir).await.unwrap();
    controlplane::backup::restore(&fresh.0, &dir)
        .await
        .expect_err("it is there already");
    let admin = plane.admin.clone();
    plane.running.stop().await;
    let restored = Plane::open(fresh.0, fresh.1).await;
    assert_eq!(restored.admin, admin);
    assert_eq!(restored.admin("GET", "/api/sessions", None).await.expect(200), sessions);
    assert_eq!(restored.admin("GET", "/api/export", None).await.text, policy);
    assert_eq!(broken(&restored).await, [] as [Value; 0]);
    // Numbers that the database gives go on where they were.
    recorded(&restored).await;
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
