//! What every request passes before its route: is the route declared, who calls, may they, how often; and the admin log, which
//! has a line before anything is changed and one after.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;

use super::auth::{Caller, authenticate};
use super::meta::routes::{self, Right, Route};
use super::once::Once;
use super::problem::Problem;
use crate::App;
use crate::store::admin_log::LogLine;
use crate::store::now_micros;

/// What a handler says of what it did, for the admin log: no secrets. It rides on the response.
#[derive(Clone, Debug)]
pub struct Detail(pub Value);

/// A response with a word for the admin log.
pub fn with_detail(detail: Value, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.extensions_mut().insert(Detail(detail));
    response
}

/// Stands before all routes. What the framework refuses by itself (a path that is no UTF-8, for instance) becomes a problem too.
pub async fn gate(state: State<Arc<App>>, request: Request, next: Next) -> Response {
    let response = passed(state, request, next).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match response.status() {
        StatusCode::BAD_REQUEST if is_plain => {
            Problem::Request("the request cannot be read".to_owned()).into_response()
        }
        _ => response,
    }
}

async fn passed(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(matched) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let path = request.uri().path().to_owned();
    let place = request
        .uri()
        .path_and_query()
        .map_or("/", |place| place.as_str())
        .to_owned();
    let Some(route) = routes::of(request.method(), &path, matched.as_str()) else {
        return Problem::Method(routes::methods(&path, matched.as_str())).into_response();
    };
    let address = address_of(&request);
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let caller = match admitted(&app, route, &address, (&method, &path, &headers)).await {
        Ok(caller) => caller,
        Err(Problem::Unauthenticated) if route.right == Right::Page => return to_login(&place),
        Err(problem) => return problem.into_response(),
    };
    let Some(caller) = caller else {
        return next.run(request).await;
    };
    let logged = route.scope().is_none_or(|(_, verb)| verb == "write") && route.method != "get";
    let line = logged.then(|| line_of(&caller, route, path, address));
    let once = match route.method {
        "post" => Once::of(&caller, request.uri().path(), &headers),
        _ => Ok(None),
    };
    request.extensions_mut().insert(caller);
    let shared = app.clone();
    let run = move |request: Request| async move {
        match line {
            Some(line) => recorded(shared, line, request, next).await,
            None => next.run(request).await,
        }
    };
    match once {
        Ok(None) => run(request).await,
        Ok(Some(once)) => once
            .run(&app, request, run)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(problem) => problem.into_response(),
    }
}

/// The peer's address without its port; empty where the socket does not say.
fn address_of(request: &Request) -> String {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default()
}

/// The caller, where the route wants one and the caller may call it.
async fn admitted(
    app: &App,
    route: &Route,
    address: &str,
    (method, path, headers): (&Method, &str, &HeaderMap),
) -> Result<Option<Caller>, Problem> {
    if route.right == Right::Open {
        app.rates.take(address, now_micros()).map_err(Problem::TooMany)?;
        return Ok(None);
    }
    let caller = authenticate(app, method, path, headers).await;
    let caller = match caller.and_then(|caller| caller.ok_or(Problem::Unauthenticated)) {
        Ok(caller) => caller,
        Err(problem) => {
            app.rates.take(address, now_micros()).map_err(Problem::TooMany)?;
            return Err(problem);
        }
    };
    let who = caller.user_id().unwrap_or("admin");
    app.rates.take(who, now_micros()).map_err(Problem::TooMany)?;
    caller.may_call(route)?;
    Ok(Some(caller))
}

fn to_login(next: &str) -> Response {
    let place = format!("/login?next={}", super::input::encoded(next));
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(&place)).into_response()
}

fn line_of(caller: &Caller, route: &Route, path: String, address: String) -> LogLine {
    LogLine {
        at_micros: now_micros(),
        actor: caller.user().map_or("admin", |member| &member.user.name).to_owned(),
        actor_id: caller.user_id().unwrap_or_default().to_owned(),
        via: caller.via().name().to_owned(),
        address,
        action: format!("{} {}", route.method.to_uppercase(), route.path),
        target: path.chars().take(crate::limits::TEXT_CHARS_MAX).collect(),
        phase: Cow::Borrowed("begun"),
        begun_seq: None,
        status: 0,
        detail: String::new(),
    }
}

/// Runs the route between two lines. It runs to its end even when the client goes away, so that the second line tells the truth.
async fn recorded(app: Arc<App>, line: LogLine, request: Request, next: Next) -> Response {
    let begun = match app.store.log_admin(&line).await {
        Ok(seq) => seq,
        Err(error) => return Problem::from(error).into_response(),
    };
    let run = tokio::spawn(async move {
        let mut response = next.run(request).await;
        let detail = response.extensions_mut().remove::<Detail>();
        let ended = LogLine {
            at_micros: now_micros(),
            phase: Cow::Borrowed("ended"),
            begun_seq: Some(begun),
            status: i64::from(response.status().as_u16()),
            detail: detail.map(|Detail(value)| value.to_string()).unwrap_or_default(),
            ..line
        };
        if let Err(error) = app.store.log_admin(&ended).await {
            tracing::error!(%error, begun, "the end of an action could not be logged");
        }
        response
    });
    run.await
        .unwrap_or_else(|error| Problem::Internal(format!("a handler broke: {error}")).into_response())
}
