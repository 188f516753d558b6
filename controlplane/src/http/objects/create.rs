//! `POST /api/{objects}`: a new object, published at once.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{tagged, view};
use crate::App;
use crate::domain::file;
use crate::domain::model::{Kind, Owner};
use crate::http::gate::with_detail;
use crate::http::problem::Problem;
use crate::publish::{change_of, entry_for};

/// Answers the request.
pub async fn handle(app: &App, kind: Kind, body: Map<String, Value>) -> Result<Response, Problem> {
    let mut body = file::read(kind, body).map_err(Problem::Policy)?;
    file::unmask(&mut body, None).map_err(|mistake| Problem::Policy(vec![mistake]))?;
    let key = body.key();
    app.publisher
        .edit(|state| {
            if state.catalog.entries.contains_key(&key) {
                let text = format!("{} \"{}\" exists already", kind.name(), key.1);
                return Err(Problem::Conflict(text, Vec::new()));
            }
            let entry = entry_for(state, body, Owner::Api);
            Ok((change_of(state, vec![entry], Vec::new())?, ()))
        })
        .await?;
    let state = app.publisher.state();
    let entry = state
        .catalog
        .entries
        .get(&key)
        .ok_or_else(|| Problem::missing(kind.name(), &key.1))?;
    let answer = (StatusCode::CREATED, Json(view(app, &state, entry).await?));
    Ok(with_detail(
        json!({"created": file::shown(&entry.body)}),
        tagged(entry, answer),
    ))
}
