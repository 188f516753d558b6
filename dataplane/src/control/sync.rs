//! The standing connection to the control plane: snapshots down, acknowledgements and presence up.

use super::{Control, call, cancels, enrol, holds, ship};
use crate::core::message::Message;
use crate::link::driver::Stream;
use crate::tls;
use anyhow::bail;
use proto::Message as _;
use proto::control::{Ack, AgentPresence, Hello, Nack, Presence, SyncReply, SyncRequest, sync_reply, sync_request};
use proto::policy::SignedSnapshot;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Connects and stays connected until something fails.
pub async fn run(control: &Rc<Control>) -> anyhow::Result<()> {
    let identity = control.shared.identity();
    let address = control
        .shared
        .config
        .control
        .clone()
        .unwrap_or_else(|| identity.control.clone());
    let driver = call::connect(&address, tls::control_client(&identity)?).await?;
    enrol::renew_if_due(control, &driver).await?;
    let stream = Rc::new(driver.open(proto::path::CONTROL_SYNC)?);
    say(&stream, sync_request::Kind::Hello(hello(control)));
    say(&stream, sync_request::Kind::Presence(presence(control)));
    let tasks = [
        reactor::spawn(report_presence(control.clone(), stream.clone())),
        reactor::spawn(holds::report(control.clone(), stream.clone())),
        reactor::spawn(ship::run(control.clone(), driver.clone())),
    ];
    tracing::info!(address, "connected to the control plane");
    control.cancels.connected(Some(stream.clone()));
    let outcome = receive(control, &stream).await;
    control.cancels.connected(None);
    for task in tasks {
        task.abort();
    }
    driver.abort("the control plane's stream ended");
    outcome
}

async fn receive(control: &Rc<Control>, stream: &Rc<Stream>) -> anyhow::Result<()> {
    loop {
        let reply: SyncReply = call::next(stream).await?;
        match reply.kind {
            Some(sync_reply::Kind::Snapshot(signed)) => take_snapshot(control, stream, &signed),
            Some(sync_reply::Kind::Kill(kill)) => {
                let Ok(session_id) = <[u8; 16]>::try_from(kill.session_id) else {
                    bail!("a session id has 16 bytes");
                };
                for core in &control.shared.cores {
                    drop(core.try_send(Message::Kill {
                        session_id,
                        by: kill.by.clone(),
                        reason: kill.reason.clone(),
                    }));
                }
            }
            Some(sync_reply::Kind::HoldAnswer(answer)) => holds::answer(control, answer),
            Some(sync_reply::Kind::HoldNoted(noted)) => control.shared.holds.noted(&noted.id),
            Some(sync_reply::Kind::CancelSession(order)) => cancels::look(control, order),
            Some(sync_reply::Kind::CancelOver(over)) => cancels::over(control, &over),
            // A later control plane may say more; what is not known here is not needed here.
            None => {}
        }
    }
}

fn take_snapshot(control: &Rc<Control>, stream: &Rc<Stream>, signed: &SignedSnapshot) {
    let offered = control.policy.borrow_mut().offer(signed);
    match offered {
        Ok(generation) => {
            control.apply_listeners();
            reactor::spawn(acknowledge(control.clone(), stream.clone(), generation));
        }
        Err((generation, refused)) => {
            tracing::error!(generation, reason = %refused, "a snapshot was refused");
            let in_force = control.policy.borrow().generation();
            say(
                stream,
                sync_request::Kind::Nack(Nack {
                    generation,
                    in_force,
                    reason: refused.to_string(),
                }),
            );
        }
    }
}

/// Says so when every core enforces the generation.
async fn acknowledge(control: Rc<Control>, stream: Rc<Stream>, generation: u64) {
    while !control.policy.borrow().is_enforced(generation) {
        control.enforced.notified().await;
    }
    let cores = control
        .shared
        .generations
        .iter()
        .map(|core| core.load(Ordering::Acquire))
        .collect();
    tracing::info!(generation, "policy in force on every core");
    say(&stream, sync_request::Kind::Ack(Ack { generation, cores }));
}

async fn report_presence(control: Rc<Control>, stream: Rc<Stream>) {
    loop {
        control.links_changed.notified().await;
        say(&stream, sync_request::Kind::Presence(presence(&control)));
    }
}

pub(super) fn say(stream: &Stream, kind: sync_request::Kind) {
    stream.send_message(&SyncRequest { kind: Some(kind) }.encode_to_vec());
}

fn hello(control: &Control) -> Hello {
    Hello {
        protocol_version: proto::PROTOCOL_VERSION,
        version: env!("CARGO_PKG_VERSION").into(),
        cores: control.shared.cores.len() as u32,
        generation: control.policy.borrow().generation(),
        backend: control
            .shared
            .backend
            .get()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

fn presence(control: &Control) -> Presence {
    let mut agents: BTreeMap<String, AgentPresence> = BTreeMap::new();
    for link in control.shared.links() {
        let agent = agents.entry(link.agent_id.clone()).or_insert_with(|| AgentPresence {
            agent_id: link.agent_id,
            pool: link.pool,
            name: link.name,
            version: link.version,
            links: 0,
        });
        agent.links += 1;
    }
    Presence {
        agents: agents.into_values().collect(),
    }
}
