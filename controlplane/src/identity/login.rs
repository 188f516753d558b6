//! Logins: a name and a password become a token that stands for the person until it runs out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::{Entry, User, UserStatus, UserType};
use crate::identity::{password, seal};
use crate::store::admin_log::LogLine;
use crate::store::identity::{Attempt, LoginSession};
use crate::store::{StoreError, now_micros};

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Password,
    Oidc,
}

impl Method {
    /// The word in the database and in the admin log.
    pub fn name(self) -> &'static str {
        match self {
            Method::Password => "password",
            Method::Oidc => "oidc",
        }
    }
}

/// What a provider gave with a login. It is stored sealed: only the login's own token opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub subject: String,
    pub id_token: String,
    pub refresh_token: Option<String>,
}

impl Kept {
    const USE: &'static str = "sluice login";

    /// What was kept with a login.
    pub fn of(token: &str, session: &LoginSession) -> Option<Kept> {
        let bytes = seal::open(token, Kept::USE, session.sealed.as_deref()?)?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Sealed for the holder of the token.
    pub fn sealed(&self, token: &str) -> Option<Vec<u8>> {
        seal::seal(token, Kept::USE, &serde_json::to_vec(self).ok()?)
    }
}

/// A fresh login.
#[derive(Clone, Debug)]
pub struct Opened {
    /// `sls_…`
    pub token: String,
    pub session: LoginSession,
}

/// The active person with this name or e-mail address.
pub fn person(app: &App, name: &str) -> Option<(Entry, User)> {
    let state = app.publisher.state();
    let is_asked = |user: &User| user.name == name || user.email.as_deref() == Some(name);
    let (entry, user) = state.catalog.users().find(|(_, user)| is_asked(user))?;
    (user.status == UserStatus::Active && user.kind == UserType::Person).then(|| (entry.clone(), user.clone()))
}

/// The person whose password this is. Wrong, unknown and locked are answered alike and take equally long.
pub async fn by_password(
    app: &App,
    name: &str,
    text: String,
    address: &str,
) -> Result<Option<(Entry, User)>, StoreError> {
    let found = person(app, name);
    let now = now_micros();
    let attempt = match &found {
        None => Attempt::None,
        Some((entry, _)) => {
            let lock = |failures| password::locked_until(failures, now);
            app.store.password_attempt(&entry.id, now, lock).await?
        }
    };
    let phc = match &attempt {
        Attempt::Check(phc) => Some(phc.clone()),
        Attempt::None | Attempt::Locked(_) => None,
    };
    let good = checked(app, text, phc).await?;
    let Some((entry, user)) = found else {
        return Ok(None);
    };
    let word = match (&attempt, good) {
        (Attempt::Check(_), true) => {
            app.store.password_good(&entry.id).await?;
            return Ok(Some((entry, user)));
        }
        (Attempt::Check(_), false) => "wrong password",
        (Attempt::Locked(_), _) => "locked after too many wrong passwords",
        (Attempt::None, _) => "has no password",
    };
    if !matches!(attempt, Attempt::None) {
        note(app, "login refused", &entry, &user, address, word).await?;
    }
    Ok(None)
}

/// Opens a login for a person who has proved who they are.
pub async fn open(
    app: &App,
    entry: &Entry,
    user: &User,
    method: Method,
    address: &str,
    kept: Option<Kept>,
) -> Result<Opened, StoreError> {
    let now = now_micros();
    let token = token::generate(Prefix::Login)?;
    let seconds = i64::try_from(app.config.login_seconds).unwrap_or(i64::MAX);
    let session = LoginSession {
        sha256: token::sha256(&token),
        user_id: entry.id.clone(),
        method: method.name().to_owned(),
        created_micros: now,
        expires_micros: now.saturating_add(seconds.saturating_mul(1_000_000)),
        mfa_micros: None,
        checked_micros: now,
        sealed: kept.and_then(|kept| kept.sealed(&token)),
    };
    note(app, "login", entry, user, address, method.name()).await?;
    app.store.add_login(&session).await?;
    app.store.forget_old_logins(now).await?;
    Ok(Opened { token, session })
}

/// A line in the admin log about somebody's login.
pub async fn note(
    app: &App,
    action: &str,
    entry: &Entry,
    user: &User,
    address: &str,
    word: &str,
) -> Result<(), StoreError> {
    let line = LogLine {
        at_micros: now_micros(),
        actor: user.name.clone(),
        actor_id: entry.id.clone(),
        via: String::new(),
        address: address.to_owned(),
        action: action.to_owned(),
        target: String::new(),
        phase: Cow::Borrowed("event"),
        begun_seq: None,
        status: 0,
        detail: serde_json::json!({"by": word}).to_string(),
    };
    app.store.log_admin(&line).await.map(drop)
}

/// Checks on a thread of its own, few at a time: each check takes memory and time on purpose.
async fn checked(app: &App, text: String, phc: Option<String>) -> Result<bool, StoreError> {
    let _slot = app.password_checks.acquire().await.map_err(|_| StoreError::Random)?;
    let check = move || match phc {
        Some(phc) => password::verify(&text, &phc),
        None => {
            password::pretend(&text);
            false
        }
    };
    tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Random)
}

/// Hashes a new password, as checks are done.
pub async fn hashed(app: &App, text: String) -> Result<String, StoreError> {
    let _slot = app.password_checks.acquire().await.map_err(|_| StoreError::Random)?;
    tokio::task::spawn_blocking(move || password::hash(&text))
        .await
        .map_err(|_| StoreError::Random)?
}
