//! The control thread: enrolment, snapshots, audit shipping, listeners of connections, metrics; off the data cores.

pub mod call;
pub mod cancels;
pub mod enrol;
pub mod holds;
pub mod http;
pub mod listeners;
pub mod policy;
pub mod ship;
pub mod sync;

use crate::control::listeners::Listeners;
use crate::core::message::{ControlMessage, Message};
use crate::core::shared::Shared;
use crate::limits::{CONTROL_RETRY_FIRST, CONTROL_RETRY_MAX};
use crate::record::syncer::Durable;
use policy::PolicyKeeper;
use reactor::Receiver;
use reactor::sync::Notify;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the tasks of the control thread share.
pub struct Control {
    pub shared: Arc<Shared>,
    pub policy: RefCell<PolicyKeeper>,
    pub listeners: RefCell<Listeners>,
    /// A core has put a policy in force.
    pub enforced: Notify,
    /// Links came or went.
    pub links_changed: Notify,
    /// Cancel requests between data planes.
    pub cancels: cancels::Cancels,
    /// There is news of reviews.
    pub holds_changed: Notify,
    pub stopping: Cell<bool>,
    /// By core: how far its audit records are on disk.
    pub durable: RefCell<Vec<Durable>>,
    /// More records are on disk.
    pub durable_grew: Notify,
    cores_done: Cell<usize>,
    done: Notify,
}

/// Runs the control thread until the program ends.
pub async fn run(
    shared: Arc<Shared>,
    listeners: Listeners,
    metrics: (SocketAddr, OwnedFd),
    mut messages: Receiver<ControlMessage>,
) {
    let control = Rc::new(Control {
        policy: RefCell::new(PolicyKeeper::new(shared.clone())),
        durable: RefCell::new(vec![Durable::default(); shared.cores.len()]),
        durable_grew: Notify::new(),
        shared,
        listeners: RefCell::new(listeners),
        enforced: Notify::new(),
        cancels: cancels::Cancels::default(),
        links_changed: Notify::new(),
        holds_changed: Notify::new(),
        stopping: Cell::new(false),
        cores_done: Cell::new(0),
        done: Notify::new(),
    });
    if let Err(error) = control.policy.borrow_mut().load_spooled() {
        tracing::warn!(error = format!("{error:#}"), "the spooled snapshot is not used");
    }
    control.apply_listeners();
    reactor::spawn(http::serve(control.shared.clone(), metrics.1));
    reactor::spawn(keep_connected(control.clone()));
    reactor::spawn(ship::keep_durable(control.clone()));
    while let Some(message) = messages.recv().await {
        match message {
            ControlMessage::Enforced => control.enforced.notify_all(),
            ControlMessage::LinksChanged => control.links_changed.notify_one(),
            ControlMessage::HoldsChanged => control.holds_changed.notify_one(),
            ControlMessage::CancelAbroad { key, core, ticket } => cancels::ask(&control, &key, core, ticket),
            ControlMessage::CancelLooked { ticket, found } => cancels::looked(&control, ticket, found),
            ControlMessage::Stop => control.begin_stop(),
            ControlMessage::CoreDone => control.core_done(),
        }
        if control.stopping.get() && control.cores_done.get() == control.shared.cores.len() {
            break;
        }
    }
    for core in &control.shared.cores {
        drop(core.try_send(Message::Stop));
    }
    // The last events are worth a moment; what is not shipped now is shipped after the next start.
    let _ = reactor::timeout(Duration::from_secs(2), ship::until_empty(&control)).await;
}

impl Control {
    /// Makes the listeners of connections match the policy in force.
    pub fn apply_listeners(&self) {
        let policy = self.policy.borrow().in_force();
        self.listeners.borrow_mut().apply(&self.shared, policy.as_deref());
    }

    /// How far a core's audit records are on disk. A core that an earlier process had and this one has not is complete:
    /// recovery ended its last segment.
    pub fn durable_of(&self, core: u32) -> Durable {
        let durable = self.durable.borrow();
        durable.get(core as usize).copied().unwrap_or(Durable::ALL)
    }

    fn begin_stop(&self) {
        if self.stopping.replace(true) {
            return;
        }
        tracing::info!("draining");
        self.shared.draining.store(true, Ordering::Release);
        for core in &self.shared.cores {
            drop(core.try_send(Message::Drain));
        }
    }

    fn core_done(&self) {
        self.cores_done.set(self.cores_done.get() + 1);
        self.done.notify_all();
    }
}

/// Keeps a connection to the control plane; data cores notice nothing when it is away.
async fn keep_connected(control: Rc<Control>) {
    let mut wait = CONTROL_RETRY_FIRST;
    loop {
        let began = reactor::now();
        let why = match sync::run(&control).await {
            Ok(()) => "closed".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if reactor::now().duration_since(began) > CONTROL_RETRY_MAX {
            wait = CONTROL_RETRY_FIRST;
        }
        tracing::warn!(
            why,
            "no connection to the control plane; the policy in force stays in force"
        );
        reactor::sleep(jittered(wait)).await;
        wait = (wait * 2).min(CONTROL_RETRY_MAX);
    }
}

/// A random part of `wait`, so that many data planes do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    let _ = aws_lc_rs::rand::fill(&mut random);
    wait.mul_f64(0.5 + f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX) / 2.0)
}
