//! `GET /api/admin-log/verify`: walks the chain from the first line and names the first that does not fit.

use axum::Json;
use serde::Serialize;

use crate::App;
use crate::http::problem::Problem;
use crate::limits::LOG_LINES_AT_ONCE;
use crate::pki::hex;
use crate::store::admin_log::Logged;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Verified {
    intact: bool,
    lines: u64,
    /// Number of the first line that was changed, or before which lines are missing.
    broken_at: Option<i64>,
    /// Hash of the last line that fits. Kept elsewhere, it also proves later that the end was not cut off.
    head: String,
}

/// Answers the request.
pub async fn handle(app: &App) -> Result<Json<Verified>, Problem> {
    let (mut last, mut previous, mut lines) = (0, Vec::new(), 0);
    loop {
        let some = app.store.admin_log_after(last, LOG_LINES_AT_ONCE).await?;
        if some.is_empty() {
            return Ok(Json(verified(lines, None, &previous)));
        }
        for Logged { seq, line, hash } in some {
            if seq != last + 1 || hash != Logged::hash_after(seq, &line, &previous) {
                return Ok(Json(verified(lines, Some(seq), &previous)));
            }
            (last, previous, lines) = (seq, hash, lines + 1);
        }
    }
}

fn verified(lines: u64, broken_at: Option<i64>, head: &[u8]) -> Verified {
    Verified {
        intact: broken_at.is_none(),
        lines,
        broken_at,
        head: hex(head),
    }
}
