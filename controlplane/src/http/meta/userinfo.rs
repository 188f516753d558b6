//! `GET /api/userinfo`: who the token belongs to.

use axum::Json;
use serde::Serialize;

use crate::http::auth::Caller;

/// The answer.
#[derive(Debug, Serialize)]
pub struct View {
    id: String,
    name: String,
    email: Option<String>,
    role: &'static str,
    groups: Vec<String>,
}

/// Answers the request.
pub fn handle(caller: Caller) -> Json<View> {
    Json(match caller {
        Caller::Admin => View {
            id: "admin".to_owned(),
            name: "admin".to_owned(),
            email: None,
            role: "admin",
            groups: Vec::new(),
        },
        Caller::Member(member) => View {
            id: member.user_id,
            name: member.user.name,
            email: member.user.email,
            role: "member",
            groups: member.user.groups,
        },
    })
}
