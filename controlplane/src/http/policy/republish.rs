//! `POST /api/policy/republish`: the present policy as a new generation, above one that data planes are known to have.

use serde::Serialize;

use crate::App;
use crate::http::input::Object;
use crate::http::problem::Problem;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Republished {
    pub generation: u64,
}

/// Answers the request.
pub async fn handle(app: &App, body: Object) -> Result<Republished, Problem> {
    let above = body.read(|fields| match fields.value("above") {
        None => 0,
        Some(value) => value.as_u64().unwrap_or_else(|| {
            fields.wrong("above", "must be a whole number from 0 up");
            0
        }),
    })?;
    let generation = app.publisher.republish_above(above).await?;
    tracing::warn!(
        above,
        generation,
        "the policy was published anew on an administrator's word"
    );
    Ok(Republished { generation })
}
