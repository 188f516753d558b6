//! Large results: read as fast as they come, at a fixed rate, or left unread; counted, and looked through on request.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::on_one_thread;
use crate::client::{Dialler, Session, Target};
use crate::{input, wire};

/// One read takes at most this much.
const READ_BYTES: usize = 256 * 1024;
/// ReadyForQuery outside a transaction, which ends every answer.
const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];
/// A paced reader reads this often.
const PACE: Duration = Duration::from_millis(1);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// The statement, sent as a simple query.
    #[arg(long, default_value = "SELECT * FROM perf_typed_100")]
    statement: String,
    /// Sessions that read at the same time, each on a thread of its own.
    #[arg(long, default_value_t = 1)]
    readers: usize,
    /// Results that each session reads.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Ends after this many seconds instead, between two results.
    #[arg(long)]
    seconds: Option<f64>,
    /// Bytes per second of each session.
    #[arg(long)]
    pace: Option<f64>,
    /// Reads nothing after the first bytes, until standard input ends.
    #[arg(long)]
    stall: bool,
    /// Looks at every message: counts rows and what personal data is left in them.
    #[arg(long)]
    verify: bool,
}

#[derive(Default)]
struct Read {
    bytes: u64,
    results: u64,
    rows: u64,
    /// Cells that still hold an address of the generated kind.
    addresses: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let reads: Vec<Read> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.readers.max(1))
            .map(|_| scope.spawn(|| on_one_thread(session(options))))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|read| read.unwrap_or_else(|_| bail!("a reader panicked")))
            .collect::<Result<_>>()
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", shown(&reads, seconds));
    Ok(())
}

fn shown(reads: &[Read], seconds: f64) -> Value {
    let sum = |of: fn(&Read) -> u64| reads.iter().map(of).sum::<u64>();
    // Jain's index of fairness over the sessions.
    let squares: f64 = reads.iter().map(|read| (read.bytes as f64).powi(2)).sum();
    let bytes = sum(|read| read.bytes);
    json!({
        "bytes": bytes, "results": sum(|read| read.results), "rows": sum(|read| read.rows),
        "addresses": sum(|read| read.addresses), "seconds": seconds, "megabytes_per_second": bytes as f64 / seconds / 1e6,
        "jain": (bytes as f64).powi(2) / (reads.len() as f64 * squares.max(1.0)),
    })
}

async fn session(options: &Options) -> Result<Read> {
    let mut session = Dialler::new(&options.target)?.log_in().await?;
    let mut read = Read::default();
    let begun = Instant::now();
    let mut query = Vec::new();
    wire::message(&mut query, b'Q', |out| wire::text(out, &options.statement));
    loop {
        session.socket.write_all(&query).await?;
        if options.stall {
            stall(&mut session).await?;
            return Ok(read);
        }
        if options.verify {
            look(&mut session, &mut read).await?;
        } else {
            drink(&mut session, &mut read, options.pace).await?;
        }
        read.results += 1;
        let over = match options.seconds {
            Some(seconds) => begun.elapsed().as_secs_f64() >= seconds,
            None => read.results >= options.repeat as u64,
        };
        if over {
            let _ = session.close().await;
            return Ok(read);
        }
    }
}

/// Waits for the first bytes, then holds the session without reading.
async fn stall(session: &mut Session) -> Result<()> {
    let mut first = [0; 1];
    session.socket.read_exact(&mut first).await?;
    println!("{}", json!({"stalled": true}));
    input::ended().await;
    Ok(())
}

/// Reads one answer without looking at it, but for its last bytes.
async fn drink(session: &mut Session, read: &mut Read, pace: Option<f64>) -> Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut last: Vec<u8> = Vec::new();
    let begun = Instant::now();
    let mut bytes = 0u64;
    loop {
        let mut want = READ_BYTES;
        if let Some(rate) = pace {
            loop {
                let allowed = (begun.elapsed().as_secs_f64() * rate) as u64;
                want = allowed.saturating_sub(bytes).min(READ_BYTES as u64) as usize;
                if want > 0 {
                    break;
                }
                tokio::time::sleep(PACE).await;
            }
        }
        let count = session.socket.read(&mut buffer[..want]).await?;
        if count == 0 {
            bail!("the session was closed in the middle of a result");
        }
        if bytes == 0 && buffer[0] == b'E' {
            bail!(
                "{}",
                wire::error_text(buffer.get(wire::HEADER_BYTES..count).unwrap_or_default())
            );
        }
        bytes += count as u64;
        read.bytes += count as u64;
        if count >= READY.len() {
            last.clear();
            last.extend_from_slice(&buffer[count - READY.len()..count]);
        } else {
            last.extend_from_slice(&buffer[..count]);
            last.drain(..last.len().saturating_sub(READY.len()));
        }
        if last == READY {
            return Ok(());
        }
    }
}

/// Reads one answer message by message.
async fn look(session: &mut Session, read: &mut Read) -> Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut pending: Vec<u8> = Vec::new();
    loop {
        let count = session.socket.read(&mut buffer).await?;
        if count == 0 {
            bail!("the session was closed in the middle of a result");
        }
        read.bytes += count as u64;
        pending.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Some((tag, len)) = wire::header(&pending[at..])? {
            let Some(frame) = pending.get(at..at + len) else {
                break;
            };
            at += len;
            match tag {
                b'D' | b'd' => {
                    read.rows += 1;
                    read.addresses += u64::from(has_address(frame));
                }
                b'E' => bail!("{}", wire::error_text(&frame[wire::HEADER_BYTES..])),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
        pending.drain(..at);
    }
}

fn has_address(frame: &[u8]) -> bool {
    frame.windows(12).any(|part| part == b"@example.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_are_fair() {
        let read = |bytes| Read {
            bytes,
            ..Read::default()
        };
        assert_eq!(shown(&[read(10), read(10)], 1.0)["jain"], 1.0);
        assert_eq!(shown(&[read(10), read(0)], 1.0)["jain"], 0.5);
    }

    #[test]
    fn an_address_is_seen() {
        assert!(has_address(b"D....casey.1@example.com"));
        assert!(!has_address(b"D....<EMAIL_ADDRESS>"));
    }
}
