//! A login storm: every worker connects, logs in, says goodbye, and begins again.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::on_one_thread;
use crate::client::{Dialler, Target};
use crate::tally::Tally;

/// A login that takes longer has failed.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 16)]
    workers: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Pause of each worker between two logins, for a probe that disturbs nobody.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
}

struct Done {
    tally: Tally,
    failed: u64,
    failure: Option<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let done = on_one_thread(load(options))?;
    let logins = done.tally.count();
    println!(
        "{}",
        json!({
            "logins": logins, "failed": done.failed, "failure": done.failure, "seconds": options.seconds,
            "per_second": logins as f64 / options.seconds, "latency_us": done.tally.to_json(),
        })
    );
    Ok(())
}

async fn load(options: &Options) -> Result<Done> {
    let dialler = Rc::new(Dialler::new(&options.target)?);
    // The first login derives the keys of this generator; it is not counted.
    dialler.log_in().await?.close().await?;
    let end = Instant::now() + Duration::from_secs_f64(options.seconds);
    let pause = Duration::from_millis(options.pause_ms);
    let mut tasks = Vec::new();
    for _ in 0..options.workers {
        tasks.push(tokio::task::spawn_local(worker(dialler.clone(), end, pause)));
    }
    let mut all = Done {
        tally: Tally::new(),
        failed: 0,
        failure: None,
    };
    for task in tasks {
        let done = task.await?;
        all.tally.add(&done.tally);
        all.failed += done.failed;
        all.failure = all.failure.or(done.failure);
    }
    Ok(all)
}

async fn worker(dialler: Rc<Dialler>, end: Instant, pause: Duration) -> Done {
    let mut done = Done {
        tally: Tally::new(),
        failed: 0,
        failure: None,
    };
    while Instant::now() < end {
        let begun = Instant::now();
        let outcome = timeout(LOGIN_TIME_MAX, dialler.log_in()).await;
        match outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("no login within {LOGIN_TIME_MAX:?}"))) {
            Ok(session) => {
                done.tally.record(begun.elapsed());
                // The server may be the first to close.
                let _ = session.close().await;
            }
            Err(error) => {
                done.failed += 1;
                done.failure = Some(format!("{error:#}"));
            }
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    done
}
