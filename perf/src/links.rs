//! Simulated agents: many links that dial, are greeted, stay, and at a word are all lost and dialled again at once.
//!
//! They have one identity between them, and each an instance number of its own, so that a data plane sees as many runs
//! of an agent. Sessions that it opens on them are refused: only links are simulated.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::identity::{Credentials, DATA_PLANE_NAME, Identity, enrol, tls};
use agent::link::dial::dial;
use agent::link::{Incoming, Link, Stream, drive};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use clap::Args;
use prost::Message as _;
use proto::tunnel::{HelloReply, HelloRequest};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};
use tunnel::{GrpcStatus, Limits, Mux};

use crate::input;
use crate::tally::Tally;

/// Until every link must have been greeted.
const GREETED_WITHIN: Duration = Duration::from_secs(120);
/// Pause before a failed dial is tried again: an agent's own first back-off.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct Options {
    /// Credentials file of a pool, as `sluice pools keys create` writes it.
    #[arg(long)]
    credentials: PathBuf,
    /// Where the data plane takes links, `HOST:PORT`.
    #[arg(long)]
    gateway: String,
    #[arg(long, default_value_t = 2000)]
    links: usize,
}

pub fn run(options: &Options) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, simulate(options))
}

async fn simulate(options: &Options) -> Result<()> {
    let credentials = Credentials::read(&options.credentials)?;
    let identity = Arc::new(enrol(&credentials, "perf").await.context("enrolment")?);
    let mut lines = input::lines();
    loop {
        let links = connect_all(options, &identity).await?;
        // A line means: lose them all. The end of the input ends everything.
        if lines.recv().await.is_none() {
            return Ok(());
        }
        drop(links);
    }
}

/// All links at once; returns when the last one was greeted. Dropping the set closes every socket.
async fn connect_all(options: &Options, identity: &Arc<Identity>) -> Result<JoinSet<()>> {
    let begun = Instant::now();
    let (greeted, mut greetings) = mpsc::unbounded_channel();
    let mut links = JoinSet::new();
    for index in 0..options.links {
        let (identity, gateway, greeted) = (identity.clone(), options.gateway.clone(), greeted.clone());
        links.spawn_local(async move { keep(&identity, &gateway, index, &greeted).await });
    }
    drop(greeted);
    let (mut tally, mut retries) = (Tally::new(), 0);
    while tally.count() < options.links as u64 {
        let left = GREETED_WITHIN.saturating_sub(begun.elapsed());
        match timeout(left, greetings.recv()).await {
            Ok(Some(Happened::Greeted)) => tally.record(begun.elapsed()),
            Ok(Some(Happened::Failed(error))) => {
                retries += 1;
                if retries == 1 {
                    eprintln!("first failure: {error}");
                }
            }
            Ok(None) => bail!("no link is left"),
            Err(_) => bail!(
                "{} of {} links greeted within {GREETED_WITHIN:?}",
                tally.count(),
                options.links
            ),
        }
    }
    println!(
        "{}",
        json!({
            "links": options.links, "seconds": begun.elapsed().as_secs_f64(), "retries": retries,
            "greeted_us": tally.to_json(),
        })
    );
    Ok(links)
}

enum Happened {
    Greeted,
    Failed(String),
}

async fn keep(identity: &Identity, gateway: &str, index: usize, happened: &mpsc::UnboundedSender<Happened>) {
    loop {
        if let Err(error) = link(identity, gateway, index, happened).await {
            // Nobody listens once all were greeted.
            let _ = happened.send(Happened::Failed(format!("{error:#}")));
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn link(
    identity: &Identity,
    gateway: &str,
    index: usize,
    happened: &mpsc::UnboundedSender<Happened>,
) -> Result<()> {
    // A set-up of its own for every dial, as an agent makes it: no TLS session is resumed.
    let socket = dial(gateway, tls::mutual(identity)?, DATA_PLANE_NAME).await?;
    let link = Link::new(Mux::<BytesMut>::server(Limits {
        message_bytes_max: proto::limits::MESSAGE_BYTES_MAX,
        ..Limits::default()
    }));
    let end = drive(socket, &link, |opened| match opened.path.as_str() {
        proto::path::AGENT_HELLO => {
            let happened = happened.clone();
            tokio::task::spawn_local(async move {
                if greet(&opened.stream, index).await.is_some() {
                    let _ = happened.send(Happened::Greeted);
                }
            });
        }
        _ => opened
            .stream
            .finish(GrpcStatus::Unavailable, "a simulated agent serves no session"),
    })
    .await;
    bail!("{end}")
}

async fn greet(stream: &Stream, index: usize) -> Option<()> {
    loop {
        match stream.next().await {
            Incoming::Message(message) => {
                HelloRequest::decode(message.as_slice()).ok()?;
                break;
            }
            Incoming::Data(data) => stream.release(data.len()),
            Incoming::Half | Incoming::Closed { .. } => return None,
        }
    }
    let mut instance = vec![0; 16];
    instance[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
    let reply = HelloReply {
        protocol_version: proto::PROTOCOL_VERSION,
        name: format!("simulated-{index}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sessions_max: 0,
        instance,
        metadata: Vec::new(),
    };
    stream.send_message(&reply.encode_to_vec());
    stream.finish(GrpcStatus::Ok, "");
    Some(())
}
