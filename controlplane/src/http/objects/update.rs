//! `PUT /api/{objects}/{name}`: replaces an object, published at once.

use axum::Json;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{ForceParams, IfMatch, find, may_change, tagged, view};
use crate::App;
use crate::domain::file;
use crate::domain::model::Kind;
use crate::domain::plan::changed_fields;
use crate::http::gate::with_detail;
use crate::http::problem::Problem;
use crate::publish::{change_of, entry_for};

/// Fields of answers that are no input; a shown object can be written back as it is.
const ANSWERED: [&str; 7] = [
    "id",
    "managed_by",
    "created_at",
    "updated_at",
    "agents",
    "agents_connected",
    "members",
];

/// Answers the request.
pub async fn handle(
    app: &App,
    kind: Kind,
    name: &str,
    force: ForceParams,
    if_match: IfMatch,
    mut body: Map<String, Value>,
) -> Result<Response, Problem> {
    for field in ANSWERED {
        body.remove(field);
    }
    let ((key, changed), _) = app
        .publisher
        .edit(|state| {
            let present = find(state, kind, name)?;
            if_match.check(present)?;
            may_change(present, force.force)?;
            let key = present.body.key();
            body.insert("name".to_owned(), json!(key.1));
            let mut new = file::read(kind, body).map_err(Problem::Policy)?;
            file::unmask(&mut new, Some(&present.body)).map_err(|mistake| Problem::Policy(vec![mistake]))?;
            if new == present.body {
                return Ok::<_, Problem>((Default::default(), (key, Vec::new())));
            }
            let changed = changed_fields(&present.body, &new);
            let entry = entry_for(state, new, present.managed_by);
            Ok((change_of(state, vec![entry], Vec::new())?, (key, changed)))
        })
        .await?;
    let state = app.publisher.state();
    let entry = state
        .catalog
        .entries
        .get(&key)
        .ok_or_else(|| Problem::missing(kind.name(), name))?;
    let answer = Json(view(app, &state, entry).await?);
    Ok(with_detail(json!({"changed": changed}), tagged(entry, answer)))
}
