//! `POST /api/deliveries/{id}/retry`: tries again now, also what was given up.

use axum::Json;
use axum::http::StatusCode;

use super::{View, show};
use crate::App;
use crate::http::problem::Problem;

/// Answers the request: the delivery as it is on its way.
pub async fn handle(app: &App, id: &str) -> Result<(StatusCode, Json<View>), Problem> {
    let Json(present) = show::handle(app, id).await?;
    if !app.store.retry_delivery(id, app.notifier.clock.now_micros()).await? {
        return Err(Problem::Conflict(
            format!("it is {} already", present.state),
            Vec::new(),
        ));
    }
    app.notifier.wake();
    Ok((StatusCode::ACCEPTED, show::handle(app, id).await?))
}
