//! Reviews as they happen: opened by data planes and users, decided by people, ended by time; each change is durable before
//! anybody hears of it.

use std::time::Duration;

use proto::control::{AccessWanted, HoldAnswer, HoldClosed, HoldEnd, HoldOpened};
use tokio::sync::watch;

use crate::App;
use crate::audit::view::{id_bytes, id_text};
use crate::domain::model::{Connection, Entry};
use crate::domain::review::{Event, Kind, Refused, Review, State};
use crate::http::problem::Problem;
use crate::limits::{REVIEW_TICK_MILLISECONDS, REVIEWS_DUE_AT_ONCE, REVIEWS_PENDING_PER_USER_MAX};
use crate::store::StoreError;
use crate::store::lock::Lock;
use crate::store::objects::Change;
use crate::store::reviews::ReviewFilter;

/// Who wants to hear of changes of reviews. The changes are made one at a time, under [`Lock::Reviews`].
#[derive(Debug)]
pub struct Reviews {
    changed: watch::Sender<u64>,
}

impl Default for Reviews {
    fn default() -> Self {
        Reviews {
            changed: watch::Sender::new(0),
        }
    }
}

impl Reviews {
    /// Wakes at every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Something has changed, here or at another control plane.
    pub fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Why a request for access was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the connection needs no review: whoever may use it can connect")]
    NotNeeded,
    #[error("a reason is required")]
    Reason,
    #[error("seconds must be from 1 to {0}")]
    Seconds(u64),
    #[error("{REVIEWS_PENDING_PER_USER_MAX} requests of yours wait already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies one event to one review and saves it; grants and their ends are published with it.
pub async fn change(app: &App, id: &str, event: Event) -> Result<Review, Problem> {
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let review = app.store.review(id).await?;
    let mut review = review.ok_or_else(|| Problem::missing("review", id))?;
    let applied = review.apply(event, crate::store::now_micros());
    // A late decision finds out that time was up: that is worth keeping too.
    if !matches!(applied, Ok(false)) {
        save(app, &review).await?;
    }
    match applied {
        Ok(_) => Ok(review),
        Err(error @ Refused::NotReviewer) => Err(Problem::Forbidden(error.to_string())),
        Err(refused) => Err(Problem::Conflict(refused.to_string(), Vec::new())),
    }
}

async fn save(app: &App, review: &Review) -> Result<(), Problem> {
    // Another control plane may have published the grant a moment ago.
    app.publisher.refresh().await;
    let grants = app.publisher.state().grants.contains_key(&review.id);
    if review.kind == Kind::Access && (review.state == State::Approved) != grants {
        let change = Change {
            reviews: vec![review.clone()],
            ..Change::default()
        };
        app.publisher.edit(|_| Ok::<_, Problem>((change, ()))).await?;
    } else {
        app.store.save_review(review).await?;
    }
    tracing::info!(
        review = review.id,
        state = review.state.name(),
        user = review.user,
        connection = review.connection,
        "review"
    );
    app.reviews.wake();
    Ok(())
}

/// A user asks for access. The same wish again is the same review.
pub async fn ask(
    app: &App,
    user: (&str, &str),
    (entry, connection): (&Entry, &Connection),
    seconds: Option<u64>,
    reason: String,
) -> Result<Review, AskError> {
    let rule = connection.access_review.as_ref().ok_or(AskError::NotNeeded)?;
    if rule.reason_required && reason.trim().is_empty() {
        return Err(AskError::Reason);
    }
    let seconds = seconds.unwrap_or(rule.max_seconds);
    if !(1..=rule.max_seconds).contains(&seconds) {
        return Err(AskError::Seconds(rule.max_seconds));
    }
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let theirs = ReviewFilter {
        kind: Some(Kind::Access),
        state: Some(State::Pending),
        user_id: Some(user.0.to_owned()),
        ..ReviewFilter::default()
    };
    let pending = app.store.reviews(&theirs, REVIEWS_PENDING_PER_USER_MAX).await?;
    let now = crate::store::now_micros();
    let same = |review: &&Review| review.connection_id == entry.id && now < review.expires_micros;
    if let Some(present) = pending.iter().find(same) {
        return Ok(present.clone());
    }
    if pending.len() >= REVIEWS_PENDING_PER_USER_MAX {
        return Err(AskError::TooMany);
    }
    let wait = i64::try_from(rule.wait_seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    let review = Review {
        id: uuid::Uuid::now_v7().to_string(),
        kind: Kind::Access,
        state: State::Pending,
        user_id: user.0.to_owned(),
        user: user.1.to_owned(),
        connection_id: entry.id.clone(),
        connection: connection.name.clone(),
        reason,
        reviewers: rule.reviewers.clone(),
        approvals: rule.approvals,
        seconds,
        created_micros: now,
        expires_micros: now.saturating_add(wait),
        ..empty()
    };
    app.store.save_review(&review).await?;
    app.reviews.wake();
    Ok(review)
}

/// A data plane says that somebody tried to connect without a grant.
pub async fn wanted(app: &App, wanted: AccessWanted) {
    let state = app.publisher.state();
    let user = state.catalog.users().find(|(entry, _)| entry.id == wanted.user_id);
    let connection = state
        .catalog
        .connections()
        .find(|(entry, _)| entry.id == wanted.connection_id);
    let (Some((user_entry, user)), Some(connection)) = (user, connection) else {
        return;
    };
    if !connection.1.groups.iter().any(|group| user.groups.contains(group)) {
        return;
    }
    let reason = "tried to connect".to_owned();
    if let Err(error) = ask(app, (&user_entry.id, &user.name), connection, None, reason).await {
        tracing::warn!(%error, user = user.name, connection = connection.1.name, "a wish for access was not taken");
    }
}

/// A data plane holds a statement. Known ones are left as they are.
pub async fn opened(app: &App, dataplane: &str, hold: HoldOpened) -> Result<(), StoreError> {
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let id = id_text(&hold.id);
    if app.store.review(&id).await?.is_some() {
        return Ok(());
    }
    let review = Review {
        id,
        kind: Kind::Statement,
        state: State::Pending,
        user_id: hold.user_id,
        user: hold.user,
        connection_id: hold.connection_id,
        connection: hold.connection,
        statement: hold.statement,
        statement_cut: hold.statement_cut,
        parameters: hold
            .parameters
            .into_iter()
            .map(|parameter| (!parameter.null).then_some(parameter.text))
            .collect(),
        guardrail: hold.guardrail,
        message: hold.message,
        reviewers: hold.reviewers,
        approvals: hold.approvals.max(1),
        session_id: id_text(&hold.session_id),
        dataplane: dataplane.to_owned(),
        created_micros: hold.opened_at_ms.saturating_mul(1000),
        expires_micros: hold.expires_at_ms.saturating_mul(1000),
        ..empty()
    };
    app.store.save_review(&review).await?;
    tracing::info!(
        review = review.id,
        user = review.user,
        connection = review.connection,
        "a statement waits for a review"
    );
    app.reviews.wake();
    Ok(())
}

/// A data plane's statement waits no longer. An unknown one was never seen here, and needs nothing.
pub async fn closed(app: &App, dataplane: &str, closed: &HoldClosed) -> Result<(), Problem> {
    let event = match closed.end() {
        HoldEnd::Released => Event::Released,
        HoldEnd::Refused => Event::Refused,
        HoldEnd::Timeout => Event::TimedOut,
        HoldEnd::Withdrawn => Event::Withdraw {
            why: "the client cancelled it or went away".to_owned(),
        },
    };
    machine(app, dataplane, &id_text(&closed.id), event).await
}

/// Every open statement of a data plane that is not among `alive` is lost: the data plane was restarted.
pub async fn reconcile(app: &App, dataplane: &str, alive: &[HoldOpened]) -> Result<(), Problem> {
    let alive: Vec<String> = alive.iter().map(|hold| id_text(&hold.id)).collect();
    for review in app.store.reviews_open(dataplane).await? {
        if !alive.contains(&review.id) {
            machine(app, dataplane, &review.id, Event::Lost).await?;
        }
    }
    Ok(())
}

/// A data plane speaks of its own statements and of no others.
async fn machine(app: &App, dataplane: &str, id: &str, event: Event) -> Result<(), Problem> {
    match app.store.review(id).await? {
        Some(review) if review.dataplane == dataplane => change(app, id, event).await.map(drop),
        _ => Ok(()),
    }
}

/// Decisions that the data plane has not confirmed.
pub async fn answers(app: &App, dataplane: &str) -> Result<Vec<HoldAnswer>, StoreError> {
    let answer = |review: Review| HoldAnswer {
        id: id_bytes(&review.id).unwrap_or_default(),
        session_id: id_bytes(&review.session_id).unwrap_or_default(),
        approved: review.state == State::Approved,
        by: match review.deciders() {
            names if names.is_empty() => "the control plane".to_owned(),
            names => names,
        },
        comment: review
            .decisions
            .last()
            .map_or(review.note, |decision| decision.comment.clone()),
    };
    let undelivered = app.store.reviews_undelivered(dataplane).await?;
    Ok(undelivered.into_iter().map(answer).collect())
}

/// Ends what time ends; returns never.
pub async fn keep_time(app: std::sync::Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_millis(REVIEW_TICK_MILLISECONDS)).await;
        // One of the control planes does it.
        let Ok(Some(_leader)) = app.store.try_exclusive(Lock::Time).await else {
            continue;
        };
        let due = app
            .store
            .reviews_due(crate::store::now_micros(), REVIEWS_DUE_AT_ONCE)
            .await;
        let due = due.unwrap_or_else(|error| {
            tracing::error!(%error, "reviews that are due cannot be read");
            Vec::new()
        });
        for review in due {
            if let Err(problem) = change(&app, &review.id, Event::Clock).await {
                tracing::error!(?problem, review = review.id, "a review could not be ended");
            }
        }
    }
}

fn empty() -> Review {
    Review {
        id: String::new(),
        kind: Kind::Access,
        state: State::Pending,
        user_id: String::new(),
        user: String::new(),
        connection_id: String::new(),
        connection: String::new(),
        reason: String::new(),
        statement: String::new(),
        statement_cut: false,
        parameters: Vec::new(),
        guardrail: String::new(),
        message: String::new(),
        reviewers: Vec::new(),
        approvals: 1,
        session_id: String::new(),
        dataplane: String::new(),
        seconds: 0,
        created_micros: 0,
        expires_micros: 0,
        decided_micros: None,
        until_micros: None,
        decisions: Vec::new(),
        closed: false,
        note: String::new(),
    }
}
