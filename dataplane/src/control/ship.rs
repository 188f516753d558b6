//! Audit records on their way to the control plane: made durable here, shipped in order, removed once stored there.

use super::{Control, call};
use crate::limits::{AUDIT_BATCHES_IN_FLIGHT_MAX, SYNC_INTERVAL};
use crate::link::driver::{Driver, Stream};
use crate::record::syncer::Syncer;
use crate::record::tail::{Batch, Tail};
use crate::record::{cores, spool_dir};
use proto::Message as _;
use proto::control::{AuditAck, AuditBatch};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// A batch that waits for its acknowledgement.
struct Sent {
    core: u32,
    segment: u64,
    next_sequence: u64,
    events: u64,
}

struct Shipper {
    control: Rc<Control>,
    tails: BTreeMap<u32, Tail>,
    in_flight: VecDeque<Sent>,
}

/// Makes what was appended durable within [`SYNC_INTERVAL`], connected or not; what is durable may be shipped.
pub async fn keep_durable(control: Rc<Control>) {
    let dir = spool_dir(&control.shared.config.data_dir);
    let mut syncers: Vec<Syncer> = (0..control.shared.cores.len())
        .map(|core| Syncer::new(&dir, core as u32))
        .collect();
    let mut appends = None;
    loop {
        reactor::sleep(SYNC_INTERVAL).await;
        // Read first: what is appended meanwhile is for the next round.
        let now = control.shared.spool.appends();
        if appends == Some(now) {
            // Nothing happens in an idle process: no timer either.
            control.shared.spool.appended_after(now).await;
            continue;
        }
        appends = Some(now);
        let mut grew = false;
        for (syncer, durable) in syncers.iter_mut().zip(control.durable.borrow_mut().iter_mut()) {
            match syncer.sync() {
                Ok(now) => grew |= std::mem::replace(durable, now) != now,
                Err(error) => {
                    appends = None;
                    tracing::error!(%error, "the audit spool cannot be made durable");
                }
            }
        }
        if grew {
            control.durable_grew.notify_one();
        }
    }
}

/// Ships over one connection until it fails.
pub async fn run(control: Rc<Control>, driver: Rc<Driver>) {
    let stream = match driver.open(proto::path::CONTROL_AUDIT) {
        Ok(stream) => stream,
        Err(error) => return driver.abort(&format!("no audit stream: {error}")),
    };
    let mut shipper = Shipper {
        control,
        tails: BTreeMap::new(),
        in_flight: VecDeque::new(),
    };
    if let Err(error) = shipper.run(&stream).await {
        // Shipping starts again from the oldest segment; the control plane knows what it has.
        driver.abort(&format!("audit shipping failed: {error:#}"));
    }
}

/// Waits until everything written was stored by the control plane.
pub async fn until_empty(control: &Control) {
    let spool = &control.shared.spool;
    while spool.events_shipped.load(Ordering::Relaxed) < spool.events_written.load(Ordering::Relaxed) {
        reactor::sleep(SYNC_INTERVAL).await;
    }
}

impl Shipper {
    async fn run(&mut self, stream: &Stream) -> anyhow::Result<()> {
        loop {
            let sent = self.send_new(stream)?;
            if self.in_flight.is_empty() {
                // One sync makes one batch: records are few and large however often sessions answer.
                self.control.durable_grew.notified().await;
            } else if !sent || self.in_flight.len() >= AUDIT_BATCHES_IN_FLIGHT_MAX {
                self.take_ack(stream).await?;
            }
        }
    }

    /// Sends what is new, up to the bound of batches in flight; `false` when there was nothing.
    fn send_new(&mut self, stream: &Stream) -> anyhow::Result<bool> {
        refresh(&self.control, &mut self.tails);
        let mut any = false;
        for (core, tail) in &mut self.tails {
            let durable = self.control.durable_of(*core);
            while self.in_flight.len() < AUDIT_BATCHES_IN_FLIGHT_MAX {
                let Some(batch) = tail.next_batch(durable)? else {
                    break;
                };
                any = true;
                let Batch {
                    core,
                    segment,
                    header,
                    first_sequence,
                    records,
                    events,
                    next_sequence,
                } = batch;
                self.in_flight.push_back(Sent {
                    core,
                    segment,
                    next_sequence,
                    events,
                });
                stream.send_message(
                    &AuditBatch {
                        header,
                        first_sequence,
                        records,
                    }
                    .encode_to_vec(),
                );
            }
        }
        Ok(any)
    }

    async fn take_ack(&mut self, stream: &Stream) -> anyhow::Result<()> {
        let ack: AuditAck = call::next(stream).await?;
        let stored = |sent: &Sent| {
            sent.core == ack.core && (sent.segment, sent.next_sequence) <= (ack.segment, ack.next_sequence)
        };
        let events: u64 = self
            .in_flight
            .iter()
            .filter(|sent| stored(sent))
            .map(|sent| sent.events)
            .sum();
        self.in_flight.retain(|sent| !stored(sent));
        self.control
            .shared
            .spool
            .events_shipped
            .fetch_add(events, Ordering::Relaxed);
        if let Some(tail) = self.tails.get(&ack.core) {
            tail.stored(ack.segment, &self.control.shared.spool)?;
        }
        Ok(())
    }
}

/// Adds tails for cores that have a spool by now.
fn refresh(control: &Control, tails: &mut BTreeMap<u32, Tail>) {
    let dir = spool_dir(&control.shared.config.data_dir);
    for core in cores(&dir).unwrap_or_default() {
        tails.entry(core).or_insert_with(|| Tail::new(&dir, core));
    }
}
