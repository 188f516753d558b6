//! Idle sessions: logs in many, says so, and holds them until its standard input ends.

use std::rc::Rc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tokio::sync::Semaphore;

use super::on_one_thread;
use crate::client::{Dialler, Target};
use crate::input;

/// Logins at the same time.
const PARALLEL: usize = 32;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 9000)]
    sessions: usize,
}

pub fn run(options: &Options) -> Result<()> {
    on_one_thread(hold(options))
}

async fn hold(options: &Options) -> Result<()> {
    let dialler = Rc::new(Dialler::new(&options.target)?);
    let gate = Rc::new(Semaphore::new(PARALLEL));
    let mut tasks = Vec::new();
    for _ in 0..options.sessions {
        let (dialler, gate) = (dialler.clone(), gate.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let _turn = gate.acquire().await?;
            dialler.log_in().await
        }));
    }
    let mut sessions = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        let mut session = task.await?.with_context(|| format!("session {index}"))?;
        session.input = Vec::new();
        sessions.push(session);
    }
    println!("{}", json!({"sessions": sessions.len()}));
    input::ended().await;
    Ok(())
}
