//! Several control planes on one store: each tells the others what happens to it, and hears of what happens to them.
//!
//! PostgreSQL's notifications say when to look; a look every [`FEED_POLL_MILLISECONDS`] finds what a lost one would have
//! said. Nothing here decides: what was heard of is read from the store again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::App;
use crate::limits::{FEED_POLL_MILLISECONDS, REPLICA_BEAT_SECONDS, STANDINGS_PAUSE_MILLISECONDS};
use crate::store::StoreError;
use crate::store::enrolment::Role;
use crate::store::feed::{self, CHANNEL, Numbers, Topic};
use crate::store::lock::Lock;

/// Takes part for as long as the program runs; returns at once where the store is not shared.
pub async fn run(app: Arc<App>) {
    if !app.store.is_shared() {
        return;
    }
    tokio::join!(beat(&app), tell(&app), listen(&app));
}

/// Says that this control plane has stopped in order.
pub async fn leave(app: &App) {
    if app.store.is_shared()
        && let Err(error) = app.store.leave(&app.replica).await
    {
        tracing::warn!(%error, "the other control planes could not be told that this one stops");
    }
}

/// Says that this control plane is alive, and tidies up after those that are not.
async fn beat(app: &App) {
    loop {
        if let Err(error) = beat_once(app).await {
            tracing::warn!(%error, "the other control planes cannot be told that this one is alive");
        }
        tokio::time::sleep(Duration::from_secs(REPLICA_BEAT_SECONDS)).await;
    }
}

async fn beat_once(app: &App) -> Result<(), StoreError> {
    app.store.beat(&app.replica).await?;
    // Who was connected to a control plane that died is not told by anybody.
    app.progress
        .set_elsewhere(app.store.standings_elsewhere(&app.replica).await?);
    if let Some(_leader) = app.store.try_exclusive(Lock::Retention).await? {
        app.store.tidy_replicas().await?;
    }
    Ok(())
}

/// Tells how the data planes that are connected here stand.
async fn tell(app: &App) {
    loop {
        let standings = app.progress.untold().await;
        if let Err(error) = app.store.save_standings(&app.replica, &standings).await {
            tracing::warn!(%error, "how data planes stand could not be stored");
            app.progress.tell_again(&standings);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // Cores acknowledge a snapshot at about the same time: one write for all of them.
        tokio::time::sleep(Duration::from_millis(STANDINGS_PAUSE_MILLISECONDS)).await;
    }
}

/// Looks at every notification, and now and then without one.
async fn listen(app: &App) {
    let mut seen = Numbers::new();
    loop {
        match listener(app).await {
            Ok(mut listener) => {
                let error = follow(app, &mut listener, &mut seen).await;
                tracing::warn!(%error, "notifications of the database are interrupted");
            }
            Err(error) => tracing::warn!(%error, "the database's notifications cannot be had"),
        }
        if let Err(error) = look(app, &mut seen).await {
            tracing::warn!(%error, "changes of other control planes cannot be read");
        }
        tokio::time::sleep(Duration::from_millis(FEED_POLL_MILLISECONDS)).await;
    }
}

async fn listener(app: &App) -> Result<PgListener, StoreError> {
    let pool = app.store.postgres().ok_or(sqlx::Error::PoolClosed)?;
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn follow(app: &App, listener: &mut PgListener, seen: &mut Numbers) -> StoreError {
    let pause = Duration::from_millis(FEED_POLL_MILLISECONDS);
    loop {
        if let Err(error) = look(app, seen).await {
            return error;
        }
        match tokio::time::timeout(pause, listener.recv()).await {
            Ok(Err(error)) => return error.into(),
            // Those that came together are one look.
            Ok(Ok(_)) => while listener.next_buffered().is_some() {},
            Err(_) => {}
        }
    }
}

async fn look(app: &App, seen: &mut Numbers) -> Result<(), StoreError> {
    let now = app.store.feed().await?;
    let changed = feed::changed(seen, &now);
    for topic in &changed {
        match topic {
            Topic::Policy => app.publisher.refresh().await,
            Topic::Reviews => app.reviews.wake(),
            Topic::Standings => app
                .progress
                .set_elsewhere(app.store.standings_elsewhere(&app.replica).await?),
            Topic::Identities => end_removed(app).await?,
            Topic::Orders => {}
        }
    }
    // Also without news: a data plane may have come here after its order was given.
    if app.orders.are_wanted() {
        app.orders.give_stored(&app.store.orders().await?);
    }
    *seen = now;
    Ok(())
}

/// Ends the streams of data planes that another control plane has removed.
async fn end_removed(app: &App) -> Result<(), StoreError> {
    for id in app.progress.connected_here() {
        if app.store.identity(Role::Dataplane, &id).await?.is_none() {
            // Nobody listens when the stream has ended meanwhile.
            let _ = app.removed.send(id);
        }
    }
    Ok(())
}
