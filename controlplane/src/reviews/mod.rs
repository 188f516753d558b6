//! Reviews as they happen: opened by data planes and users, decided by people, ended by time; each change is durable before
//! anybody hears of it.

use std::time::Duration;

use proto::control::{AccessWanted, HoldAnswer, HoldClosed, HoldEnd, HoldOpened};
use tokio::sync::watch;

use crate::App;
use crate::audit::view::{id_bytes, id_text};
use crate::domain::model::{AccessReview, Catalog, Connection, Entry, GuardrailRule, User};
use crate::domain::review::{Event, Groups, Kind, Refused, Review, State};
use crate::http::problem::Problem;
use crate::limits::{
    BREAK_GLASS_SECONDS_DEFAULT, REVIEW_TICK_MILLISECONDS, REVIEWS_DUE_AT_ONCE, REVIEWS_PENDING_PER_USER_MAX,
};
use crate::notify;
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
    #[error("only members of the groups that the connection names may break the glass")]
    NotForYou,
    #[error("{REVIEWS_PENDING_PER_USER_MAX} requests of yours wait already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0:?}")]
    Save(Problem),
}

/// Applies one event to one review and saves it; grants and their ends are published with it.
pub async fn change(app: &App, id: &str, event: Event) -> Result<Review, Problem> {
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let review = app.store.review(id).await?;
    let mut review = review.ok_or_else(|| Problem::missing("review", id))?;
    let before = review.state;
    let applied = review.apply(event, crate::store::now_micros());
    // A late decision finds out that time was up: that is worth keeping too.
    if !matches!(applied, Ok(false)) {
        save(app, Some(before), &review).await?;
    }
    match applied {
        Ok(_) => Ok(review),
        Err(error @ Refused::NotReviewer) => Err(Problem::Forbidden(error.to_string())),
        Err(refused) => Err(Problem::Conflict(refused.to_string(), Vec::new())),
    }
}

/// Saves a review with the news of its state, if that is new.
async fn save(app: &App, before: Option<State>, review: &Review) -> Result<(), Problem> {
    // Another control plane may have published the grant a moment ago.
    app.publisher.refresh().await;
    let state = app.publisher.state();
    let grants = state.grants.contains_key(&review.id);
    let deliveries = match before {
        Some(before) if before == review.state => Vec::new(),
        _ => notify::of_review(app, &state.catalog, review),
    };
    if review.kind == Kind::Access && (review.state == State::Approved) != grants {
        let change = Change {
            reviews: vec![review.clone()],
            deliveries,
            ..Change::default()
        };
        app.publisher.edit(|_| Ok::<_, Problem>((change, ()))).await?;
    } else {
        app.store.save_review(review, &deliveries).await?;
    }
    tracing::info!(
        review = review.id,
        state = review.state.name(),
        user = review.user,
        connection = review.connection,
        "review"
    );
    app.reviews.wake();
    app.notifier.wake();
    Ok(())
}

/// What a user asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// For how long; the longest that the rule allows when not said.
    pub seconds: Option<u64>,
    pub reason: String,
    /// At once, without anybody's approval.
    pub break_glass: bool,
}

impl Wish {
    /// For how long, if the rule allows this wish to somebody in these groups.
    fn seconds_by(&self, rule: &AccessReview, groups: &[String]) -> Result<u64, AskError> {
        if self.break_glass && !rule.break_glass.iter().any(|group| groups.contains(group)) {
            return Err(AskError::NotForYou);
        }
        if (rule.reason_required || self.break_glass) && self.reason.trim().is_empty() {
            return Err(AskError::Reason);
        }
        let longest = match (self.break_glass, rule.break_glass_seconds) {
            (false, _) => rule.max_seconds,
            (true, None) => rule.max_seconds.min(BREAK_GLASS_SECONDS_DEFAULT),
            (true, Some(seconds)) => seconds,
        };
        let seconds = self.seconds.unwrap_or(longest);
        if (1..=longest).contains(&seconds) {
            Ok(seconds)
        } else {
            Err(AskError::Seconds(longest))
        }
    }
}

/// A user asks for access. The same wish again is the same review; breaking the glass is a grant each time.
pub async fn ask(
    app: &App,
    (user_id, user): (&str, &User),
    (entry, connection): (&Entry, &Connection),
    wish: Wish,
) -> Result<Review, AskError> {
    let rule = connection.access_review.as_ref().ok_or(AskError::NotNeeded)?;
    let seconds = wish.seconds_by(rule, &user.groups)?;
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let theirs = ReviewFilter {
        kind: Some(Kind::Access),
        state: Some(State::Pending),
        user_id: Some(user_id.to_owned()),
        ..ReviewFilter::default()
    };
    let pending = app.store.reviews(&theirs, REVIEWS_PENDING_PER_USER_MAX).await?;
    let now = crate::store::now_micros();
    let same = |review: &&Review| review.connection_id == entry.id && now < review.expires_micros;
    if let Some(present) = pending.iter().find(same)
        && !wish.break_glass
    {
        return Ok(present.clone());
    }
    if pending.len() >= REVIEWS_PENDING_PER_USER_MAX {
        return Err(AskError::TooMany);
    }
    let wait = i64::try_from(rule.wait_seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    let mut review = Review {
        id: uuid::Uuid::now_v7().to_string(),
        kind: Kind::Access,
        state: State::Pending,
        user_id: user_id.to_owned(),
        user: user.name.clone(),
        connection_id: entry.id.clone(),
        connection: connection.name.clone(),
        reason: wish.reason,
        reviewers: rule.reviewers.clone(),
        approvals: rule.approvals,
        groups: rule.groups,
        seconds,
        created_micros: now,
        expires_micros: now.saturating_add(wait),
        ..empty()
    };
    if wish.break_glass {
        review.break_glass(now);
        tracing::warn!(
            review = review.id,
            user = review.user,
            connection = review.connection,
            reason = review.reason,
            "break-glass access"
        );
    }
    save(app, None, &review).await.map_err(AskError::Save)?;
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
    let wish = Wish {
        reason: "tried to connect".to_owned(),
        ..Wish::default()
    };
    if let Err(error) = ask(app, (&user_entry.id, user), connection, wish).await {
        tracing::warn!(%error, user = user.name, connection = connection.1.name, "a wish for access was not taken");
    }
}

/// A data plane holds a statement. Known ones are left as they are.
pub async fn opened(app: &App, dataplane: &str, hold: HoldOpened) -> Result<(), Problem> {
    let _one = app.store.exclusive(Lock::Reviews).await?;
    let id = id_text(&hold.id);
    if app.store.review(&id).await?.is_some() {
        return Ok(());
    }
    let groups = groups_of(&app.publisher.state().catalog, &hold);
    let review = Review {
        id,
        groups,
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
    save(app, None, &review).await
}

/// Which groups must speak, by the guardrail's rule that held the statement. A rule that has gone meanwhile wanted them all:
/// that is never less than it asked for.
fn groups_of(catalog: &Catalog, hold: &HoldOpened) -> Groups {
    let guardrail = catalog.guardrails().find(|guardrail| guardrail.name == hold.guardrail);
    let rules = guardrail
        .map(|guardrail| guardrail.rules.as_slice())
        .unwrap_or_default();
    let held_by = |rule: &&GuardrailRule| {
        let message = rule.message.as_deref().unwrap_or_default();
        !rule.review.is_empty() && rule.reviewers == hold.reviewers && message == hold.message
    };
    let found: Vec<&GuardrailRule> = rules.iter().filter(held_by).collect();
    if !found.is_empty() && found.iter().all(|rule| rule.groups == Groups::Any) {
        Groups::Any
    } else {
        Groups::All
    }
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

/// A review about which nothing is known yet.
pub(crate) fn empty() -> Review {
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
        groups: Groups::Any,
        break_glass: false,
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
