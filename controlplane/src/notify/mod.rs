//! News on its way to people and programs: written with what happened, sent until it is taken, given up after some days.
//!
//! An event becomes one row per target in the transaction that makes it true. A sender takes due rows on, target by target
//! and in order, and notes how it went. A target that does not answer is left alone for a while: one try of its oldest
//! row says whether it is back. Whatever is sent carries the event's id, which is the same at every try, because a crash
//! between the answer and our note of it sends it again.

pub mod backoff;
pub mod clock;
pub mod email;
pub mod message;
pub mod post;
pub mod slack;
pub mod target;
pub mod teams;
pub mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::backoff::pause_micros;
use self::clock::Clock;
use self::post::Poster;
use crate::App;
use crate::config::Config;
use crate::domain::model::Catalog;
use crate::domain::notification::{Channel, Notification, TEST, event_of};
use crate::domain::review::Review;
use crate::http::input::time_text;
use crate::http::reviews::View;
use crate::limits::{
    DELIVERIES_AT_ONCE, DELIVERY_CLAIM_SECONDS, DELIVERY_ERROR_CHARS_MAX, DELIVERY_KEPT_DAYS, DELIVERY_TARGETS_AT_ONCE,
    DELIVERY_TICK_MILLISECONDS,
};
use crate::store::StoreError;
use crate::store::outbox::{Delivery, DeliveryState};

const MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 24 * 3600 * MICROS;

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The target is away or overloaded: nothing else is tried for a while.
    #[error("{0}")]
    Target(String),
    /// The target refused this one: the next one may be welcome.
    #[error("{0}")]
    This(String),
    /// The target wants no more of it, ever.
    #[error("{0}")]
    Gone(String),
}

/// What senders share.
#[derive(Debug)]
pub struct Notifier {
    pub clock: Clock,
    pub(crate) poster: Poster,
    /// Where people reach us, for links.
    api_url: String,
    wake: Notify,
    /// Failures of a target in a row.
    failures: Mutex<BTreeMap<String, u32>>,
}

impl Notifier {
    /// A notifier with the clock that the configuration asks for.
    pub fn new(config: &Config, api_url: String) -> Notifier {
        Notifier {
            clock: Clock::new(config.dev_clock_file.clone()),
            poster: Poster::new(),
            api_url,
            wake: Notify::new(),
            failures: Mutex::default(),
        }
    }

    /// Something may be due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    fn failed(&self, target: &str) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(target.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn succeeded(&self, target: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(target);
    }
}

/// The rows that say that a review has come into its state.
pub fn of_review(app: &App, catalog: &Catalog, review: &Review) -> Vec<Delivery> {
    let event = event_of(review);
    let mut data = serde_json::to_value(View::from(review.clone())).unwrap_or_default();
    data["url"] = json!(format!("{}/reviews/{}", app.notifier.api_url, review.id));
    rows(app, catalog, &event, &review.connection, &review.id, data)
}

/// The row that tries a target out.
pub fn of_test(app: &App, target: &Notification) -> Delivery {
    let data = json!({"target": target.name, "url": app.notifier.api_url});
    let event_id = event_id();
    row(app, &event_id, TEST, &target.name, "", &data)
}

fn rows(app: &App, catalog: &Catalog, event: &str, connection: &str, subject: &str, data: Value) -> Vec<Delivery> {
    let event_id = event_id();
    catalog
        .notifications()
        .filter(|target| target.wants(event, connection))
        .map(|target| row(app, &event_id, event, &target.name, subject, &data))
        .collect()
}

fn row(app: &App, event_id: &str, event: &str, target: &str, subject: &str, data: &Value) -> Delivery {
    let now = app.notifier.clock.now_micros();
    let body = json!({"type": event, "timestamp": time_text(crate::store::now_micros()), "data": data});
    Delivery {
        id: uuid::Uuid::now_v7().to_string(),
        event_id: event_id.to_owned(),
        event: event.to_owned(),
        target: target.to_owned(),
        subject: subject.to_owned(),
        body: body.to_string(),
        state: DeliveryState::Waiting,
        attempts: 0,
        due_micros: Some(now),
        created_micros: now,
        done_micros: None,
        error: String::new(),
    }
}

fn event_id() -> String {
    format!("evt_{}", uuid::Uuid::now_v7().simple())
}

/// Sends what is due; returns never.
pub async fn run(app: Arc<App>) {
    let mut senders: JoinSet<String> = JoinSet::new();
    let mut busy: BTreeSet<String> = BTreeSet::new();
    let mut pruned_micros = 0;
    loop {
        tokio::select! {
            () = app.notifier.wake.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(DELIVERY_TICK_MILLISECONDS)) => {}
            Some(done) = senders.join_next(), if !senders.is_empty() => {
                match done {
                    Ok(target) => { busy.remove(&target); }
                    // Which one it was is not known: all are asked for again, and the claims keep them apart.
                    Err(error) => { tracing::error!(%error, "a sender of notifications ended"); busy.clear(); }
                }
            }
        }
        app.notifier.clock.look();
        let now = app.notifier.clock.now_micros();
        if now.saturating_sub(pruned_micros) > DAY_MICROS / 24 {
            pruned_micros = now;
            if let Err(error) = app.store.prune_deliveries(now - DELIVERY_KEPT_DAYS * DAY_MICROS).await {
                tracing::error!(%error, "old notifications could not be removed");
            }
        }
        for target in due_targets(&app, now).await {
            if busy.len() >= DELIVERY_TARGETS_AT_ONCE {
                break;
            }
            if busy.insert(target.clone()) {
                let app = app.clone();
                senders.spawn(async move {
                    send_all(&app, &target).await;
                    target
                });
            }
        }
    }
}

/// Sends what is due now and returns when all of it was tried. For tests that move the clock.
pub async fn run_once(app: &App) {
    for target in due_targets(app, app.notifier.clock.now_micros()).await {
        send_all(app, &target).await;
    }
}

async fn due_targets(app: &App, now_micros: i64) -> Vec<String> {
    app.store
        .delivery_targets_due(now_micros)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "due notifications cannot be read");
            Vec::new()
        })
}

async fn send_all(app: &App, target: &str) {
    if let Err(error) = send_due(app, target).await {
        tracing::error!(%error, target, "notifications cannot be sent");
    }
}

/// Sends what is due for one target in order, until something keeps it from taking more.
async fn send_due(app: &App, target: &str) -> Result<(), StoreError> {
    loop {
        let now = app.notifier.clock.now_micros();
        let due = app.store.deliveries_due(target, now, DELIVERIES_AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut tried = 0;
        for delivery in due {
            let claim = now.saturating_add(DELIVERY_CLAIM_SECONDS * MICROS);
            if !app.store.claim_delivery(&delivery.id, now, claim).await? {
                continue;
            }
            tried += 1;
            if !send_one(app, delivery).await? {
                return Ok(());
            }
        }
        if tried == 0 {
            return Ok(());
        }
    }
}

/// Tries one delivery and notes how it went. False: the target is not to be asked for a while.
async fn send_one(app: &App, mut delivery: Delivery) -> Result<bool, StoreError> {
    let outcome = target::send(app, &delivery).await;
    let now = app.notifier.clock.now_micros();
    delivery.attempts = delivery.attempts.saturating_add(1);
    delivery.due_micros = None;
    let Err(fault) = outcome else {
        app.notifier.succeeded(&delivery.target);
        delivery.state = DeliveryState::Delivered;
        delivery.done_micros = Some(now);
        delivery.error.clear();
        app.store.finish_delivery(&delivery).await?;
        return Ok(true);
    };
    delivery.error = fault.to_string().chars().take(DELIVERY_ERROR_CHARS_MAX).collect();
    let next = now.saturating_add(pause_micros(delivery.attempts, random()));
    let give_up = delivery
        .created_micros
        .saturating_add(i64::from(app.config.notification_days_max) * DAY_MICROS);
    if matches!(fault, Fault::Gone(_)) || next > give_up {
        delivery.state = DeliveryState::Dead;
        delivery.done_micros = Some(now);
        tracing::error!(
            delivery = delivery.id,
            target = delivery.target,
            event = delivery.event,
            error = delivery.error,
            "a notification is given up"
        );
    } else {
        delivery.due_micros = Some(next);
        tracing::warn!(
            delivery = delivery.id,
            target = delivery.target,
            attempts = delivery.attempts,
            error = delivery.error,
            "a notification was not taken and is tried again"
        );
    }
    app.store.finish_delivery(&delivery).await?;
    if !matches!(fault, Fault::Target(_)) {
        return Ok(true);
    }
    let failures = app.notifier.failed(&delivery.target);
    let until = now.saturating_add(pause_micros(failures, random()));
    app.store.pause_deliveries(&delivery.target, until).await?;
    Ok(false)
}

/// From 0 to 1; where the system has no randomness, the middle does.
fn random() -> f64 {
    crate::agents::token::random::<4>().map_or(0.5, |bytes| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

/// The target of a name, as the policy has it now.
pub(crate) fn target_of(catalog: &Catalog, name: &str) -> Option<Notification> {
    catalog.notifications().find(|target| target.name == name).cloned()
}

/// Whether a target has buttons that answer.
pub(crate) fn is_interactive(target: &Notification) -> bool {
    target.channel == Channel::Slack && target.signing_secret.is_some()
}
