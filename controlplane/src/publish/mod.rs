//! From a change to data planes that enforce it: check, compile, save, sign, publish, and follow the progress.

pub mod build;
pub mod cancels;
pub mod orders;
pub mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::policy::{SignedSnapshot, Snapshot};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::domain::check;
use crate::domain::mistake::Mistake;
use crate::domain::model::{Body, Entry, Key, Kind, Owner};
use crate::domain::review::State;
use crate::limits::{SNAPSHOT_RENEW_DIVISOR, WINDOW_TICK_SECONDS};
use crate::pki::Pki;
use crate::store::lock::{Held, Lock};
use crate::store::objects::{Change, PolicyState, Terms};
use crate::store::{Store, StoreError, now_micros};

/// How far ahead of us a data plane's generation may be for us to jump over it, as after restoring a backup.
const GENERATION_JUMP_MAX: u64 = 1_000_000;
/// The highest generation that an administrator may ask for: every reader of our JSON holds it exactly.
const GENERATION_MAX: u64 = 1 << 53;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the policy is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Mistake>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("generation {0} is above the bound of {GENERATION_MAX}")]
    TooHigh(u64),
    #[error("a snapshot of {0} bytes is above the bound of {max}", max = proto::limits::SNAPSHOT_BYTES_MAX)]
    TooLarge(usize),
}

/// The snapshot in force.
#[derive(Clone, Debug)]
pub struct Published {
    pub generation: u64,
    pub issued_at_ms: i64,
    pub expires_at_ms: i64,
    pub signed: SignedSnapshot,
}

/// Edits the policy, one change at a time, and hands the newest snapshot to whoever watches.
pub struct Publisher {
    store: Store,
    pki: Arc<Pki>,
    max_age_seconds: u64,
    review_url: String,
    installation_key: Vec<u8>,
    state: Mutex<Arc<PolicyState>>,
    current: watch::Sender<Arc<Published>>,
    readable: watch::Sender<Arc<PolicyState>>,
}

impl Publisher {
    /// Reads the stored policy and publishes it as a new generation, so that no earlier one is signed again.
    pub async fn open(
        store: Store,
        pki: Arc<Pki>,
        max_age_seconds: u64,
        review_url: String,
    ) -> Result<Publisher, PublishError> {
        let _one = store.exclusive(Lock::Policy).await?;
        let installation_key = installation_key(&store).await?;
        let mut state = store.policy_state().await?;
        let present = state
            .terms
            .clone()
            .filter(|terms| store.is_shared() && now_micros() / 1000 < terms.expires_at_ms);
        let published = match present {
            // Another control plane has published it, and goes on with it.
            Some(terms) => build(&state, &pki, &installation_key, terms)?,
            None => {
                let before = state.generation;
                state.generation += 1;
                let terms = terms(&review_url, max_age_seconds);
                let published = build(&state, &pki, &installation_key, terms.clone())?;
                store
                    .save_change(&Change::default(), before, state.generation, &terms)
                    .await?;
                state.terms = Some(terms);
                published
            }
        };
        let state = Arc::new(state);
        Ok(Publisher {
            pki,
            max_age_seconds,
            review_url,
            installation_key,
            readable: watch::Sender::new(state.clone()),
            state: Mutex::new(state),
            current: watch::Sender::new(Arc::new(published)),
            store: store.clone(),
        })
    }

    /// The policy as it is now.
    pub fn state(&self) -> Arc<PolicyState> {
        self.readable.borrow().clone()
    }

    /// The newest snapshot; the receiver wakes at every newer one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.current.subscribe()
    }

    /// The newest snapshot.
    pub fn current(&self) -> Arc<Published> {
        self.current.borrow().clone()
    }

    /// Makes one change: `decide` sees the present state and says what to change. Nothing is saved unless the compiler
    /// accepts the whole policy with the change; an empty change publishes nothing. Returns the generation in force after it.
    pub async fn edit<T, E: From<PublishError>>(
        &self,
        decide: impl FnOnce(&PolicyState) -> Result<(Change, T), E>,
    ) -> Result<(T, u64), E> {
        let (mut state, _one) = self.newest().await?;
        let (change, answer) = decide(&state)?;
        if change.is_empty() {
            return Ok((answer, state.generation));
        }
        let generation = state.generation + 1;
        *state = self.advance(&state, change, generation).await?;
        Ok((answer, generation))
    }

    /// Whether `change` would be accepted, without making it.
    pub async fn check(&self, change: &Change) -> Result<(), PublishError> {
        let state = self.state.lock().await.clone();
        let mut candidate = (*state).clone();
        apply(&mut candidate, change);
        candidate.generation += 1;
        build(&candidate, &self.pki, &self.installation_key, self.terms()).map(drop)
    }

    /// Takes over what another control plane on the same store has published.
    pub async fn refresh(&self) {
        let mut state = self.state.lock().await;
        if let Err(error) = self.take_over(&mut state).await {
            tracing::error!(%error, "what another control plane has published cannot be used");
        }
    }

    /// The newest state, which nobody changes until what comes with it is dropped: not here, and not at another control plane.
    async fn newest(&self) -> Result<(MutexGuard<'_, Arc<PolicyState>>, Held), PublishError> {
        let one = self.store.exclusive(Lock::Policy).await?;
        let mut state = self.state.lock().await;
        self.take_over(&mut state).await?;
        Ok((state, one))
    }

    async fn take_over(&self, state: &mut Arc<PolicyState>) -> Result<(), PublishError> {
        if self.store.generation().await? == state.generation {
            return Ok(());
        }
        let next = self.store.policy_state().await?;
        let terms = next.terms.clone().unwrap_or_else(|| self.terms());
        let published = build(&next, &self.pki, &self.installation_key, terms)?;
        *state = Arc::new(next);
        self.readable.send_replace(state.clone());
        self.current.send_replace(Arc::new(published));
        tracing::info!(generation = state.generation, "published by another control plane");
        Ok(())
    }

    /// Publishes the same policy anew before its snapshot runs out; returns never.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            let pause = (self.max_age_seconds / SNAPSHOT_RENEW_DIVISOR).max(1);
            tokio::time::sleep(std::time::Duration::from_secs(pause)).await;
            let age_ms = now_micros() / 1000 - self.current().issued_at_ms;
            if self.store.is_shared() && age_ms < i64::try_from(pause * 500).unwrap_or(i64::MAX) {
                // Another control plane has done it.
                continue;
            }
            if let Err(error) = self.republish_above(0).await {
                tracing::error!(%error, "the snapshot could not be renewed");
            }
        }
    }

    /// Publishes the same policy anew when a time window begins or what touches one is changed; returns never.
    pub async fn keep_windows(self: Arc<Self>) {
        let mut seen = BTreeMap::new();
        loop {
            let state = self.state();
            let now: BTreeMap<String, _> = build::windows(&state, now_micros() / 1000)
                .into_iter()
                .map(|(id, open)| (id.to_owned(), open))
                .collect();
            if now != seen {
                match self.republish_above(0).await {
                    Ok(_) => seen = now,
                    Err(error) => tracing::error!(%error, "the snapshot of a new time window could not be published"),
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(WINDOW_TICK_SECONDS)).await;
        }
    }

    /// Publishes a generation above `seen`, which a data plane has from before our database was restored.
    pub async fn overtake(&self, seen: u64) -> Result<(), PublishError> {
        let current = self.current().generation;
        if seen <= current {
            return Ok(());
        }
        if seen - current > GENERATION_JUMP_MAX {
            tracing::error!(
                seen,
                current,
                "a data plane claims a generation far above ours and will refuse our snapshots; \
                 if the claim is right, say: sluice policy republish --above {seen}"
            );
            return Ok(());
        }
        tracing::warn!(
            seen,
            current,
            "a data plane has a newer generation than ours, as after a restore from a backup: publishing above it; \
             what was changed or revoked since the backup is as it was before"
        );
        self.republish_above(seen).await.map(drop)
    }

    /// Publishes the present policy as a generation above `seen` and above the present one. Returns the new one.
    pub async fn republish_above(&self, seen: u64) -> Result<u64, PublishError> {
        let (mut state, _one) = self.newest().await?;
        let generation = state.generation.max(seen).saturating_add(1);
        if generation > GENERATION_MAX {
            return Err(PublishError::TooHigh(generation));
        }
        *state = self.advance(&state, Change::default(), generation).await?;
        Ok(generation)
    }

    fn terms(&self) -> Terms {
        terms(&self.review_url, self.max_age_seconds)
    }

    async fn advance(
        &self,
        state: &PolicyState,
        change: Change,
        generation: u64,
    ) -> Result<Arc<PolicyState>, PublishError> {
        let mut next = state.clone();
        apply(&mut next, &change);
        next.generation = generation;
        let terms = self.terms();
        let published = build(&next, &self.pki, &self.installation_key, terms.clone())?;
        self.store
            .save_change(&change, state.generation, generation, &terms)
            .await?;
        next.terms = Some(terms);
        let next = Arc::new(next);
        self.readable.send_replace(next.clone());
        self.current.send_replace(Arc::new(published));
        tracing::info!(generation, "published");
        Ok(next)
    }
}

/// The terms of a snapshot that is made now.
fn terms(review_url: &str, max_age_seconds: u64) -> Terms {
    let issued_at_ms = now_micros() / 1000;
    let age_ms = i64::try_from(max_age_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Terms {
        issued_at_ms,
        expires_at_ms: issued_at_ms.saturating_add(age_ms),
        review_url: review_url.to_owned(),
    }
}

/// An object with its new content, keeping what the control plane knew of it.
pub fn entry_for(state: &PolicyState, body: Body, owner: Owner) -> Entry {
    let now = now_micros();
    match state.catalog.entries.get(&body.key()) {
        Some(present) => Entry {
            body,
            managed_by: owner,
            updated_micros: now,
            ..present.clone()
        },
        None => Entry {
            id: uuid::Uuid::now_v7().to_string(),
            body,
            managed_by: owner,
            created_micros: now,
            updated_micros: now,
        },
    }
}

/// Completes a change of objects: tokens of deleted users are revoked, new users get a salt.
pub fn change_of(state: &PolicyState, puts: Vec<Entry>, deletes: Vec<Key>) -> Result<Change, StoreError> {
    let mut change = Change {
        puts,
        deletes,
        ..Change::default()
    };
    for key in change.deletes.iter().filter(|(kind, _)| *kind == Kind::User) {
        if let Some(entry) = state.catalog.entries.get(key) {
            let theirs = state
                .tokens
                .values()
                .filter(|t| t.user_id == entry.id)
                .map(|t| t.id.clone());
            change.tokens_revoked.extend(theirs);
        }
    }
    for entry in change.puts.iter().filter(|e| e.body.kind() == Kind::User) {
        if !state.salts.contains_key(&entry.id) {
            change
                .salts_new
                .insert(entry.id.clone(), crate::agents::token::random::<16>()?.to_vec());
        }
    }
    Ok(change)
}

fn apply(state: &mut PolicyState, change: &Change) {
    for key in &change.deletes {
        state.catalog.entries.remove(key);
    }
    for entry in &change.puts {
        state.catalog.entries.insert(entry.body.key(), entry.clone());
    }
    for id in &change.tokens_revoked {
        state.tokens.remove(id);
    }
    let tokens: BTreeMap<_, _> = change.tokens_new.iter().map(|t| (t.id.clone(), t.clone())).collect();
    state.tokens.extend(tokens);
    state.salts.extend(change.salts_new.clone());
    state.revoked_agents.extend(change.agents_revoked.clone());
    for review in &change.reviews {
        if review.state == State::Approved {
            state.grants.insert(review.id.clone(), review.clone());
        } else {
            state.grants.remove(&review.id);
        }
    }
}

/// Checks, builds, compiles and signs. The compiler is the one that data planes use, so what passes here passes there.
fn build(state: &PolicyState, pki: &Pki, installation_key: &[u8], terms: Terms) -> Result<Published, PublishError> {
    check::references(&state.catalog).map_err(PublishError::Refused)?;
    let life = build::Life {
        issued_at_ms: terms.issued_at_ms,
        expires_at_ms: terms.expires_at_ms,
    };
    let snapshot = Snapshot {
        review_url: terms.review_url,
        ..build::snapshot(state, installation_key, life, pki.policy_key())
    };
    session::policy::compile(&snapshot).map_err(|errors| {
        let mistake = |e: session::PolicyError| Mistake {
            place: e.place,
            message: e.message,
        };
        PublishError::Refused(errors.into_iter().map(mistake).collect())
    })?;
    let signed = pki.policy_key().sign_snapshot(&snapshot);
    if signed.snapshot.len() > proto::limits::SNAPSHOT_BYTES_MAX {
        return Err(PublishError::TooLarge(signed.snapshot.len()));
    }
    Ok(Published {
        generation: snapshot.generation,
        issued_at_ms: terms.issued_at_ms,
        expires_at_ms: terms.expires_at_ms,
        signed,
    })
}

async fn installation_key(store: &Store) -> Result<Vec<u8>, StoreError> {
    const NAME: &str = "installation_key";
    if let Some(key) = store.setting(NAME).await? {
        return Ok(key);
    }
    // Under the lock of the policy: another control plane makes no other one.
    let key = crate::agents::token::random::<32>()?;
    store.set_setting(NAME, &key).await?;
    Ok(key.to_vec())
}
