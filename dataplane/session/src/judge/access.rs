//! Who may open which connection.

use std::sync::Arc;

use crate::policy::{ConnectionPolicy, Policy, User};

/// A user, a connection and the token that was used, all valid together.
#[derive(Debug, Clone)]
pub struct Admission {
    pub user: Arc<User>,
    pub connection: Arc<ConnectionPolicy>,
    /// Id of the token; of a certificate `certificate:` and its SHA-256.
    pub token_id: String,
}

/// Begins the word that stands for a token where a certificate was shown. No token's id has a colon.
const CERTIFICATE: &str = "certificate:";

/// Why not. The peer must be told the same for every reason but [`Denied::NoGrant`], with which everything else was right;
/// the reason is for the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the user is not known")]
    UnknownUser,
    #[error("the connection is not known")]
    UnknownConnection,
    #[error("no group of the user may open the connection")]
    NotAllowed,
    #[error("the token is not one of the user's")]
    UnknownToken,
    #[error("the token has expired")]
    TokenExpired,
    #[error("the token is not valid for the connection")]
    TokenScope,
    #[error("the connection needs a review, and no grant of one is in force")]
    NoGrant,
    #[error("the policy snapshot has expired")]
    PolicyExpired,
}

impl Denied {
    /// What the peer is told, whatever the reason: it must not learn which users and connections exist.
    pub const ANSWER: &'static str = "access denied: wrong user, connection or token, or no permission";
}

/// Decides whether `user` may open `connection` with the token `token_id` at `now_micros` (since the Unix epoch).
///
/// # Errors
/// The first reason found, in the order of [`Denied`]'s variants; an expired policy is named before all.
pub fn admit(
    policy: &Policy,
    user: &str,
    connection: &str,
    token_id: &str,
    now_micros: u64,
) -> Result<Admission, Denied> {
    if policy.is_expired(now_micros) {
        return Err(Denied::PolicyExpired);
    }
    let user = policy.user(user).ok_or(Denied::UnknownUser)?;
    let connection = policy.connection(connection).ok_or(Denied::UnknownConnection)?;
    recheck(policy, user, connection, token_id, now_micros)?;
    Ok(Admission {
        user: Arc::clone(user),
        connection: Arc::clone(connection),
        token_id: token_id.to_owned(),
    })
}

/// As [`admit`], for somebody who has shown a certificate in the user's name instead of using a token. `fingerprint` goes into the
/// record.
///
/// # Errors
/// As [`admit`].
pub fn admit_certified(
    policy: &Policy,
    user: &str,
    connection: &str,
    fingerprint: &str,
    now_micros: u64,
) -> Result<Admission, Denied> {
    admit(
        policy,
        user,
        connection,
        &format!("{CERTIFICATE}{fingerprint}"),
        now_micros,
    )
}

/// The part of the decision that a running session is held to when the policy changes.
pub(crate) fn recheck(
    policy: &Policy,
    user: &User,
    connection: &ConnectionPolicy,
    token_id: &str,
    now_micros: u64,
) -> Result<(), Denied> {
    if !connection.groups.iter().any(|group| user.groups.contains(group)) {
        return Err(Denied::NotAllowed);
    }
    if !token_id.starts_with(CERTIFICATE) {
        recheck_token(user, connection, token_id, now_micros)?;
    }
    // Last: who hears of a missing grant may know that there is the connection.
    if connection.access_review.is_some()
        && policy
            .access_until(user, connection)
            .is_none_or(|until| now_micros >= until)
    {
        return Err(Denied::NoGrant);
    }
    Ok(())
}

fn recheck_token(user: &User, connection: &ConnectionPolicy, token_id: &str, now_micros: u64) -> Result<(), Denied> {
    let token = user
        .tokens
        .iter()
        .find(|token| token.id == token_id)
        .ok_or(Denied::UnknownToken)?;
    if token.expires_at_micros.is_some_and(|end| now_micros >= end) {
        return Err(Denied::TokenExpired);
    }
    if !token.scope.is_empty() && !token.scope.contains(&connection.name) {
        return Err(Denied::TokenScope);
    }
    Ok(())
}
