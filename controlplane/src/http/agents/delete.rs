//! `DELETE /api/agents/{id}` and `DELETE /api/dataplanes/{id}`: the identity is not served and not renewed any more.

use axum::http::StatusCode;

use crate::App;
use crate::agents::revoke;
use crate::http::problem::Problem;
use crate::store::enrolment::Role;
use crate::store::feed::Topic;
use crate::store::objects::Change;

/// Revokes an agent: data planes refuse its certificate and end its links as soon as they have the next generation.
pub async fn agent(app: &App, id: &str) -> Result<StatusCode, Problem> {
    let agent = app.store.identity(Role::Agent, id).await?;
    let agent = agent.ok_or_else(|| Problem::missing("agent", id))?;
    let change = Change {
        agents_revoked: revoke::entries(app, [&agent]),
        ..Change::default()
    };
    let ((), generation) = app.publisher.edit(|_| Ok::<_, Problem>((change, ()))).await?;
    tracing::info!(id, name = agent.name, pool = agent.pool, generation, "agent revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a data plane: its streams end now, and it is let in no more.
pub async fn dataplane(app: &App, id: &str) -> Result<StatusCode, Problem> {
    if !app.store.remove_identity(Role::Dataplane, id).await? {
        return Err(Problem::missing("data plane", id));
    }
    // Nobody listening means that no data plane is connected.
    let _ = app.removed.send(id.to_owned());
    app.store.tell(Topic::Identities).await?;
    Ok(StatusCode::NO_CONTENT)
}
