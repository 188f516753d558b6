//! `DELETE /api/{objects}/{name}`: refused while other objects need it; a user's tokens go with the user.

use axum::http::StatusCode;

use super::{ForceParams, IfMatch, find, may_change};
use crate::App;
use crate::domain::model::Kind;
use crate::http::problem::Problem;
use crate::publish::change_of;
use crate::store::enrolment::Role;

/// Answers the request.
pub async fn handle(
    app: &App,
    kind: Kind,
    name: &str,
    force: ForceParams,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if kind == Kind::Pool && app.store.identity_count(Role::Agent, Some(name)).await? > 0 {
        return Err(Problem::Conflict(
            format!("pool \"{name}\" has agents: remove them first"),
            Vec::new(),
        ));
    }
    let deleted = app
        .publisher
        .edit(|state| {
            let present = find(state, kind, name)?;
            if_match.check(present)?;
            may_change(present, force.force)?;
            Ok::<_, Problem>((change_of(state, Vec::new(), vec![present.body.key()])?, ()))
        })
        .await;
    match deleted {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(Problem::Policy(errors)) => Err(Problem::Conflict(
            format!("{} \"{name}\" is still used", kind.name()),
            errors,
        )),
        Err(other) => Err(other),
    }
}
