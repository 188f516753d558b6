//! `POST /api/notifications/{name}/test`: sends an event that says nothing, to see whether the target takes it.

use axum::Json;
use axum::http::StatusCode;

use crate::App;
use crate::http::deliveries::View;
use crate::http::problem::Problem;
use crate::notify::{of_test, target_of};

/// Answers the request: the delivery, which is on its way.
pub async fn handle(app: &App, name: &str) -> Result<(StatusCode, Json<View>), Problem> {
    let state = app.publisher.state();
    let target = target_of(&state.catalog, name).ok_or_else(|| Problem::missing("notification", name))?;
    let delivery = of_test(app, &target);
    app.store.save_deliveries(std::slice::from_ref(&delivery)).await?;
    app.notifier.wake();
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
