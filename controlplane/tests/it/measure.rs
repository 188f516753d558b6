//! Fills a store with many sessions and measures how fast records are taken in and found. `perf/run search` runs it.

use crate::audit::{Segment, stream};
use crate::plane::{Plane, on_postgres};
use crate::wire_client::dataplane;
use proto::audit::{Event, Finding, Outcome, SessionEnd, SessionStart, Statement, event};
use proto::control::AuditAck;
use serde_json::{Value, json};
use std::time::Instant;

/// Events of a session: its start, statements, and its end.
const EVENTS_PER_SESSION: u64 = 10;
/// Sessions that are open at the same time.
const SESSIONS_AT_ONCE: u64 = 400;
/// Batches on their way, as a data plane has.
const IN_FLIGHT: u64 = 8;
/// Searches of each kind.
const SEARCHES: u64 = 40;
const USERS: u64 = 500;
const CONNECTIONS: u64 = 200;
const TABLES: u64 = 1000;
const BEGAN_MICROS: u64 = 1_800_000_000_000_000;

/// A kind of search: its name, and its path by a number.
type Search = (&'static str, Box<dyn FnMut(u64) -> String>);

/// Numbers without an end that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn kind_of(numbers: &mut Numbers, session: u64, place: u64) -> event::Kind {
    match place {
        0 => event::Kind::Start(SessionStart {
            user: format!("user{}", session % USERS),
            user_id: format!("id-of-user{}", session % USERS),
            connection: format!("connection{}", (session / 7) % CONNECTIONS),
            protocol: "postgres".to_owned(),
            client_address: "10.1.2.3:50000".to_owned(),
            application: "measure".to_owned(),
            ..SessionStart::default()
        }),
        last if last == EVENTS_PER_SESSION - 1 => event::Kind::End(SessionEnd {
            cause: "client".to_owned(),
            ..SessionEnd::default()
        }),
        _ => {
            let (table, row) = (numbers.below(TABLES), numbers.below(1_000_000_000));
            let denied = numbers.below(50) == 0;
            let finding = Finding {
                detector: "EMAIL_ADDRESS".to_owned(),
                place: "email".to_owned(),
                action: "masked".to_owned(),
                count: 1,
            };
            event::Kind::Statement(Statement {
                number: place - 1,
                text: match denied {
                    true => format!("DELETE FROM table_{table}"),
                    false => format!(
                        "SELECT id, email, name FROM table_{table} WHERE owner = 'o{row}' ORDER BY created_at LIMIT 10"
                    ),
                },
                rows: 3,
                bytes: 200,
                duration_micros: 900,
                outcome: if denied { Outcome::Denied } else { Outcome::Ok }.into(),
                outcome_detail: "SELECT 3".to_owned(),
                findings: if numbers.below(4) == 0 {
                    vec![finding]
                } else {
                    Vec::new()
                },
                ..Statement::default()
            })
        }
    }
}

/// All sessions' events in batches, as they come when many are open at once. Gives the rate in events per second.
async fn fill(plane: &Plane, sessions: u64) -> f64 {
    let peer = dataplane(plane).await;
    let mut segment = Segment::new(&peer, 0);
    let mut call = stream(plane, &peer).await;
    let mut numbers = Numbers(7);
    let (mut sent, mut stored, mut spent) = (0, 0, 0.0);
    let mut waiting = std::collections::VecDeque::new();
    for first in (0..sessions).step_by(SESSIONS_AT_ONCE as usize) {
        for place in (0..EVENTS_PER_SESSION).step_by(2) {
            let events: Vec<Event> = (first..sessions.min(first + SESSIONS_AT_ONCE))
                .flat_map(|session| [(session, place), (session, place + 1)])
                .map(|(session, place)| Event {
                    session_id: uuid::Uuid::from_u128(u128::from(session) + 1).as_bytes().to_vec(),
                    sequence: place,
                    at_micros: BEGAN_MICROS + session * 10_000 + place * 1000,
                    kind: Some(kind_of(&mut numbers, session, place)),
                })
                .collect();
            sent += events.len() as u64;
            let batch = segment.batch(&events);
            // What making them costs is not the control plane's.
            let begun = Instant::now();
            call.send(&batch);
            waiting.push_back(sent);
            while waiting.len() as u64 >= IN_FLIGHT {
                stored = call.next::<AuditAck>().await.unwrap().next_sequence;
                while waiting.front().is_some_and(|sent| *sent <= stored) {
                    waiting.pop_front();
                }
            }
            spent += begun.elapsed().as_secs_f64();
        }
    }
    let begun = Instant::now();
    while stored < sent {
        stored = call.next::<AuditAck>().await.unwrap().next_sequence;
    }
    sent as f64 / (spent + begun.elapsed().as_secs_f64())
}

/// Milliseconds of searches in ascending order.
async fn searched(plane: &Plane, mut query: impl FnMut(u64) -> String) -> Vec<f64> {
    let mut times = Vec::new();
    for number in 0..SEARCHES {
        let path = query(number);
        let begun = Instant::now();
        let answer = plane.admin("GET", &path, None).await.expect(200);
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert!(answer["items"].is_array(), "{path}");
    }
    times.sort_by(f64::total_cmp);
    times
}

fn share(times: &[f64], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// A time within the sessions, as the API takes it.
fn moment(session: u64) -> String {
    controlplane::http::input::time_text((BEGAN_MICROS + session * 10_000) as i64).unwrap()
}

/// Pages to the end of a search: how many events there were, each once.
async fn paged(plane: &Plane, query: &str) -> usize {
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = plane
            .admin("GET", &format!("/api/events?{query}&limit=1000{cursor}"), None)
            .await
            .expect(200);
        for item in page["items"].as_array().unwrap() {
            assert!(
                seen.insert(format!("{} {}", item["session_id"], item["sequence"])),
                "{item} twice"
            );
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen.len(),
        }
    }
}

fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// A small one in every run, so that it works when it is wanted; `SLUICE_MEASURE_SESSIONS=100000` makes it a measurement.
#[tokio::test]
async fn many_sessions_are_taken_in_and_found() {
    let sessions = number("SLUICE_MEASURE_SESSIONS", 400);
    let plane = Plane::start().await;
    let rate = fill(&plane, sessions).await;
    plane.running.app.store.settle().await.unwrap();
    let mut numbers = Numbers(11);
    let mut figures = json!({
        "store": if on_postgres() { "postgres" } else { "sqlite" },
        "sessions": sessions,
        "events": sessions * EVENTS_PER_SESSION,
        "ingest_events_per_s": rate.round(),
    });
    let mut worst: f64 = 0.0;
    let mut searches: Vec<Search> = Vec::new();
    let mut below = move |bound| numbers.below(bound);
    let picks: Vec<u64> = (0..SEARCHES).map(|_| below(sessions)).collect();
    let pick = |n: u64| picks[n as usize];
    searches.push((
        "sessions by user",
        Box::new(move |n| format!("/api/sessions?user=user{}", n * 7 % USERS)),
    ));
    searches.push((
        "sessions by connection",
        Box::new(move |n| format!("/api/sessions?connection=connection{}", n * 3 % CONNECTIONS)),
    ));
    let places: Vec<(String, String)> = (0..SEARCHES)
        .map(|n| (moment(pick(n)), moment(pick(n) + 1000)))
        .collect();
    let times = places.clone();
    searches.push((
        "sessions by time",
        Box::new(move |n| {
            format!(
                "/api/sessions?since={}&until={}",
                times[n as usize].0, times[n as usize].1
            )
        }),
    ));
    searches.push((
        "sessions by statement",
        Box::new(move |n| format!("/api/sessions?text=table_{}", n * 13 % TABLES)),
    ));
    searches.push((
        "sessions by common word",
        Box::new(|_| "/api/sessions?text=select".to_owned()),
    ));
    searches.push((
        "events by user",
        Box::new(move |n| format!("/api/events?user=user{}", n * 11 % USERS)),
    ));
    searches.push((
        "events by connection",
        Box::new(move |n| format!("/api/events?connection=connection{}", n * 5 % CONNECTIONS)),
    ));
    let times = places.clone();
    searches.push((
        "events by time",
        Box::new(move |n| {
            format!(
                "/api/events?since={}&until={}",
                times[n as usize].0, times[n as usize].1
            )
        }),
    ));
    searches.push((
        "events by statement",
        Box::new(move |n| format!("/api/events?text=table_{}", n * 17 % TABLES)),
    ));
    searches.push((
        "events by beginning",
        Box::new(move |n| format!("/api/events?text=table_{}*", n % 100)),
    ));
    searches.push((
        "events by common words",
        Box::new(|_| "/api/events?text=select%20email".to_owned()),
    ));
    searches.push((
        "events by no word there",
        Box::new(|n| format!("/api/events?text=nothing{n}")),
    ));
    searches.push((
        "events denied of a user",
        Box::new(move |n| format!("/api/events?outcome=denied&user=user{}", n * 7 % USERS)),
    ));
    let times = places;
    searches.push((
        "events by all",
        Box::new(move |n| {
            format!(
                "/api/events?text=table_{}&connection=connection{}&since={}",
                n % TABLES,
                n % CONNECTIONS,
                times[n as usize].0
            )
        }),
    ));
    for (name, query) in searches {
        let times = searched(&plane, query).await;
        let (p50, p95) = (share(&times, 0.5), share(&times, 0.95));
        worst = worst.max(p95);
        figures[format!("{name}, p50 ms")] = Value::from((p50 * 10.0).round() / 10.0);
        figures[format!("{name}, p95 ms")] = Value::from((p95 * 10.0).round() / 10.0);
    }
    figures["worst p95 ms"] = Value::from((worst * 10.0).round() / 10.0);
    assert_eq!(
        paged(&plane, "user=user3").await as u64,
        (sessions - 3).div_ceil(USERS) * EVENTS_PER_SESSION
    );
    figures["peak memory, MB"] = Value::from(peak_memory_mb());
    println!("FIGURES {figures}");
}
