//! Whether somebody who logged in through the provider still may be: now and then the refresh token is used, and its answer counts.

use super::claims::{Expected, check};
use super::person::user_of;
use super::provider::{Provider, ProviderError};
use super::{LoginError, provider};
use std::sync::Arc;

use crate::App;
use crate::identity::login::Kept;
use crate::store::identity::LoginSession;
use crate::store::{StoreError, now_micros};

/// False: the provider has let the person go, and the login is over. A provider that cannot be reached changes nothing; the login
/// ends at its own time then.
pub async fn still_there(app: &App, token: &str, session: &LoginSession) -> Result<bool, StoreError> {
    let (Some(provider), Some(kept)) = (&app.provider, Kept::of(token, session)) else {
        return Ok(true);
    };
    let now = now_micros();
    let pause = i64::try_from(provider.config.recheck_seconds).unwrap_or(i64::MAX);
    let is_due = now.saturating_sub(session.checked_micros) >= pause.saturating_mul(1_000_000);
    let Some(refresh_token) = kept.refresh_token.clone().filter(|_| is_due) else {
        return Ok(true);
    };
    // A refresh token may count once: of several requests at a time one asks.
    if !app.store.claim_login_check(session, now).await? {
        return Ok(true);
    }
    match refreshed(app, provider, &kept, refresh_token, &session.user_id).await {
        Ok(fresh) => {
            app.store.reseal_login(&session.sha256, fresh.sealed(token)).await?;
            Ok(true)
        }
        Err(LoginError::Provider(provider::ProviderError::Unreachable(why))) => {
            tracing::warn!(why, "the identity provider was not asked whether a login still holds");
            Ok(true)
        }
        Err(LoginError::Store(error)) => Err(error),
        Err(error) => {
            tracing::info!(%error, user = session.user_id, "the identity provider ends a login");
            app.store.end_login(&session.sha256).await?;
            Ok(false)
        }
    }
}

async fn refreshed(
    app: &App,
    provider: &Arc<Provider>,
    kept: &Kept,
    refresh_token: String,
    user_id: &str,
) -> Result<Kept, LoginError> {
    let tokens = provider.refresh(refresh_token.clone()).await?;
    let mut fresh = Kept {
        refresh_token: Some(tokens.refresh_token.unwrap_or(refresh_token)),
        ..kept.clone()
    };
    // A provider need not give a new ID token (OpenID Connect Core 1.0 section 12.2); its yes is enough then.
    let Some(id_token) = tokens.id_token else {
        return Ok(fresh);
    };
    let metadata = provider.metadata().await?;
    let claims = provider.verified(id_token.clone()).await?;
    let person = check(
        &claims,
        &Expected {
            issuer: &metadata.issuer,
            client_id: &provider.config.client_id,
            nonce: None,
            subject: Some(&kept.subject),
            groups_claim: &provider.config.groups_claim,
            now_seconds: now_micros() / 1_000_000,
        },
    )?;
    let (entry, _) = user_of(app, &provider.config, &person).await?;
    if entry.id != user_id {
        return Err(LoginError::Provider(ProviderError::Answer(
            "the person is another user now".to_owned(),
        )));
    }
    fresh.id_token = id_token;
    Ok(fresh)
}
