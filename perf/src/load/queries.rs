//! Small prepared queries: each client sends Bind, Execute, Sync and reads up to ReadyForQuery, as `pgbench -M prepared` does.
//!
//! With a rate, each query has a scheduled start, and its latency counts from there, so that a stall is charged to every
//! query that it delayed and not only to the one that was in flight.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};

use super::on_one_thread;
use crate::client::{Dialler, Session, Target};
use crate::tally::Tally;
use crate::{input, wire};

/// How long the schedule may begin after the last login.
const LEAD: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 16)]
    clients: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds at the start that are not counted.
    #[arg(long, default_value_t = 0.5)]
    warm: f64,
    /// Queries per second of all clients together; without it every client sends as soon as it has its answer.
    #[arg(long)]
    rate: Option<f64>,
    /// Says when all are logged in and begins at a line on standard input, so that CPU time is counted without the logins.
    #[arg(long)]
    handshake: bool,
    /// The statement; `$1` is an int4.
    #[arg(long, default_value = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;")]
    statement: String,
    /// Values of `$1` are between 1 and this; 0: the statement has no parameter.
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u32,
}

struct Schedule {
    start: Instant,
    counted_from: Instant,
    end: Instant,
    /// Between two queries of one client.
    period: Option<Duration>,
    /// Between the first queries of neighbouring clients.
    stagger: Duration,
}

struct Done {
    sessions: Vec<Session>,
    counted: Tally,
    /// With those of the warm-up, for what a query costs the proxy.
    all: u64,
}

pub fn run(options: &Options) -> Result<()> {
    on_one_thread(async {
        let done = load(options).await?;
        let queries = done.counted.count();
        println!(
            "{}",
            json!({
                "queries": queries, "all_queries": done.all, "seconds": options.seconds,
                "per_second": queries as f64 / options.seconds, "latency_us": done.counted.to_json(),
            })
        );
        for session in done.sessions {
            // The answer to Terminate is a closed socket, which nobody waits for.
            let _ = session.close().await;
        }
        Ok(())
    })
}

async fn load(options: &Options) -> Result<Done> {
    let dialler = Dialler::new(&options.target)?;
    let mut sessions = Vec::new();
    for _ in 0..options.clients {
        let mut session = dialler.log_in().await?;
        prepare(&mut session, options).await?;
        sessions.push(session);
    }
    if options.handshake {
        println!("{}", json!({"ready": options.clients}));
        input::lines().recv().await.context("no word to begin")?;
    }
    let start = Instant::now() + LEAD;
    let counted_from = start + Duration::from_secs_f64(options.warm);
    let every = |clients: f64| options.rate.map(|rate| Duration::from_secs_f64(clients / rate));
    let schedule = Rc::new(Schedule {
        start,
        counted_from,
        end: counted_from + Duration::from_secs_f64(options.seconds),
        period: every(options.clients as f64),
        stagger: every(1.0).unwrap_or_default(),
    });
    let mut tasks = Vec::new();
    for (index, session) in sessions.into_iter().enumerate() {
        let (schedule, accounts) = (schedule.clone(), options.accounts);
        tasks.push(tokio::task::spawn_local(client(
            session,
            index as u32,
            schedule,
            accounts,
        )));
    }
    let mut sum = Done {
        sessions: Vec::new(),
        counted: Tally::new(),
        all: 0,
    };
    for task in tasks {
        let done = task.await?.context("a client")?;
        sum.counted.add(&done.counted);
        sum.all += done.all;
        sum.sessions.extend(done.sessions);
    }
    Ok(sum)
}

/// The prepared statement, of a name of this run's own: a proxy may hand a session at the server, with all that was prepared in it, to
/// the next run.
fn statement_name() -> String {
    format!("P_{}", std::process::id())
}

async fn prepare(session: &mut Session, options: &Options) -> Result<()> {
    let mut out = Vec::new();
    wire::message(&mut out, b'P', |out| {
        wire::text(out, &statement_name());
        wire::text(out, &options.statement);
        out.extend_from_slice(&0i16.to_be_bytes());
    });
    wire::message(&mut out, b'S', |_| {});
    session.socket.write_all(&out).await?;
    session.ready().await.context("prepare")
}

async fn client(mut session: Session, index: u32, schedule: Rc<Schedule>, accounts: u32) -> Result<Done> {
    let (mut counted, mut all) = (Tally::new(), 0);
    let mut numbers = 0x9e37_79b9u32 ^ (index + 1).wrapping_mul(0x85eb_ca6b);
    let mut due = schedule.start + schedule.stagger * index;
    let (mut out, statement) = (Vec::new(), statement_name());
    sleep_until(due).await;
    while due < schedule.end {
        numbers ^= numbers << 13;
        numbers ^= numbers >> 17;
        numbers ^= numbers << 5;
        query(&mut out, &statement, (accounts > 0).then(|| numbers % accounts + 1));
        session.socket.write_all(&out).await?;
        session.ready().await?;
        let now = Instant::now();
        if due >= schedule.counted_from && (schedule.period.is_some() || now < schedule.end) {
            counted.record(now - due);
        }
        all += 1;
        match schedule.period {
            None => due = now,
            Some(period) => {
                due += period;
                if due > now {
                    sleep_until(due).await;
                }
            }
        }
    }
    Ok(Done {
        sessions: vec![session],
        counted,
        all,
    })
}

fn query(out: &mut Vec<u8>, statement: &str, parameter: Option<u32>) {
    out.clear();
    wire::message(out, b'B', |out| {
        wire::text(out, "");
        wire::text(out, statement);
        out.extend_from_slice(&0i16.to_be_bytes());
        match parameter {
            None => out.extend_from_slice(&0i16.to_be_bytes()),
            Some(number) => {
                let digits = number.to_string();
                out.extend_from_slice(&1i16.to_be_bytes());
                out.extend_from_slice(&(digits.len() as i32).to_be_bytes());
                out.extend_from_slice(digits.as_bytes());
            }
        }
        out.extend_from_slice(&0i16.to_be_bytes());
    });
    wire::message(out, b'E', |out| {
        wire::text(out, "");
        out.extend_from_slice(&0i32.to_be_bytes());
    });
    wire::message(out, b'S', |_| {});
}
