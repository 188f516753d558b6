//! The REST API and the page: one folder per resource, one file per endpoint, and the router that leads to them.

pub mod admin_log;
pub mod agents;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod dataplanes;
pub mod deliveries;
pub mod form;
pub mod gate;
pub mod input;
pub mod keys;
pub mod login;
pub mod meta;
pub mod notifications;
pub mod objects;
pub mod once;
pub mod policy;
pub mod problem;
pub mod rates;
pub mod redactions;
pub mod reviews;
pub mod sessions;
pub mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};
use axum::{Json, response::Response};

use self::auth::Caller;
use self::input::{FormBody, Object, PageParams, Params, Peer};
use self::keys::Holder;
use self::objects::{ForceParams, IfMatch};
use self::problem::Problem;
use crate::App;
use crate::domain::check;
use crate::domain::model::Kind;
use crate::identity::oidc::Answer;
use crate::limits::REQUEST_BYTES_MAX;

type Shared = State<Arc<App>>;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (segment, kind) in [
        ("pools", Kind::Pool),
        ("connections", Kind::Connection),
        ("users", Kind::User),
        ("groups", Kind::Group),
        ("redactions", Kind::Redaction),
        ("guardrails", Kind::Guardrail),
        ("routes", Kind::Routes),
        ("notifications", Kind::Notification),
    ] {
        router = router.merge(object_routes(segment, kind));
    }
    router
        .merge(enrolment_routes())
        .merge(token_routes())
        .merge(login_routes())
        .merge(flow_routes())
        .merge(policy_routes())
        .merge(session_routes())
        .merge(review_routes())
        .merge(notification_routes())
        .merge(meta_routes())
        .route("/api/redactions/{name}", post(redaction_test))
        .fallback(|| async { Problem::NotFound("there is no such route".to_owned()) })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), gate::gate))
        .layer(axum::middleware::from_fn_with_state(app.clone(), up_to_date))
        .with_state(app)
}

/// What the caller has just changed by way of another control plane on the same store is in force for this request too.
async fn up_to_date(State(app): Shared, request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    if app.store.is_shared() && request.uri().path().starts_with("/api/") {
        app.publisher.refresh().await;
    }
    next.run(request).await
}

fn object_routes(segment: &str, kind: Kind) -> Router<Arc<App>> {
    let list = move |caller: Caller, State(app): Shared, Params(page): Params<PageParams>| async move {
        objects::list::handle(&app, kind, caller, page).await
    };
    let create =
        move |State(app): Shared, Object(body): Object| async move { objects::create::handle(&app, kind, body).await };
    let show = move |caller: Caller, State(app): Shared, Path(name): Path<String>| async move {
        objects::show::handle(&app, kind, caller, &name).await
    };
    let update = move |State(app): Shared,
                       Path(name): Path<String>,
                       Params(force): Params<ForceParams>,
                       headers: HeaderMap,
                       Object(body): Object| async move {
        let if_match = IfMatch::of(&headers);
        objects::update::handle(&app, kind, &name, force, if_match, body).await
    };
    let delete = move |State(app): Shared,
                       Path(name): Path<String>,
                       Params(force): Params<ForceParams>,
                       headers: HeaderMap| async move {
        objects::delete::handle(&app, kind, &name, force, IfMatch::of(&headers)).await
    };
    Router::new()
        .route(&format!("/api/{segment}"), get(list).post(create))
        .route(
            &format!("/api/{segment}/{{name}}"),
            get(show).put(update).delete(delete),
        )
}

/// `test` is the one name that takes a POST; the route of the objects has the other methods.
async fn redaction_test(
    State(app): Shared,
    Path(name): Path<String>,
    body: Object,
) -> Result<Json<redactions::test::Tested>, Problem> {
    if name != "test" {
        return Err(Problem::missing("test", &name));
    }
    redactions::test::handle(&app, body).await
}

fn enrolment_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/pools/{name}/agents", get(pool_agents))
        .route("/api/pools/{name}/keys", get(pool_keys).post(pool_key))
        .route("/api/pools/{name}/keys/{id}", delete(pool_key_delete))
        .route("/api/dataplanes/keys", get(dataplane_keys).post(dataplane_key))
        .route("/api/dataplanes/keys/{id}", delete(dataplane_key_delete))
        .route("/api/agents", get(agent_list).post(agent_create))
        .route("/api/agents/{id}", get(agent_show).delete(agent_delete))
        .route("/api/dataplanes", get(dataplane_list))
        .route("/api/dataplanes/{id}", get(dataplane_show).delete(dataplane_delete))
}

async fn pool_agents(
    State(app): Shared,
    Path(name): Path<String>,
    Params(page): Params<PageParams>,
) -> Result<Response, Problem> {
    let holder = Holder::pool(&app, &name)?;
    agents::list::handle(&app, Some(&holder.pool), page)
        .await
        .map(axum::response::IntoResponse::into_response)
}

async fn pool_keys(
    State(app): Shared,
    Path(name): Path<String>,
    Params(page): Params<PageParams>,
) -> Result<input::Page<keys::View>, Problem> {
    keys::list::handle(&app, Holder::pool(&app, &name)?, page).await
}

async fn pool_key(
    State(app): Shared,
    Path(name): Path<String>,
    body: Object,
) -> Result<(axum::http::StatusCode, Json<keys::create::Created>), Problem> {
    keys::create::handle(&app, Holder::pool(&app, &name)?, body).await
}

async fn pool_key_delete(
    State(app): Shared,
    Path((name, id)): Path<(String, String)>,
) -> Result<axum::http::StatusCode, Problem> {
    keys::delete::handle(&app, Holder::pool(&app, &name)?, &id).await
}

async fn dataplane_keys(
    State(app): Shared,
    Params(page): Params<PageParams>,
) -> Result<input::Page<keys::View>, Problem> {
    keys::list::handle(&app, Holder::dataplanes(), page).await
}

async fn dataplane_key(
    State(app): Shared,
    body: Object,
) -> Result<(axum::http::StatusCode, Json<keys::create::Created>), Problem> {
    keys::create::handle(&app, Holder::dataplanes(), body).await
}

async fn dataplane_key_delete(State(app): Shared, Path(id): Path<String>) -> Result<axum::http::StatusCode, Problem> {
    keys::delete::handle(&app, Holder::dataplanes(), &id).await
}

async fn agent_list(
    State(app): Shared,
    Params(page): Params<PageParams>,
) -> Result<input::Page<agents::View>, Problem> {
    agents::list::handle(&app, None, page).await
}

/// The seed's way to make an agent: a key for the pool that the body names.
async fn agent_create(
    State(app): Shared,
    Object(mut body): Object,
) -> Result<(axum::http::StatusCode, Json<keys::create::Created>), Problem> {
    let Some(serde_json::Value::String(pool)) = body.remove("pool") else {
        return Err(Problem::Request("pool: is missing".to_owned()));
    };
    keys::create::handle(&app, Holder::pool(&app, &pool)?, Object(body)).await
}

async fn agent_show(State(app): Shared, Path(id): Path<String>) -> Result<Json<agents::View>, Problem> {
    agents::show::handle(&app, &id).await
}

async fn agent_delete(State(app): Shared, Path(id): Path<String>) -> Result<axum::http::StatusCode, Problem> {
    agents::delete::agent(&app, &id).await
}

async fn dataplane_list(
    State(app): Shared,
    Params(page): Params<PageParams>,
) -> Result<input::Page<dataplanes::View>, Problem> {
    dataplanes::list::handle(&app, page).await
}

async fn dataplane_show(State(app): Shared, Path(id): Path<String>) -> Result<Json<dataplanes::View>, Problem> {
    dataplanes::show::handle(&app, &id).await
}

async fn dataplane_delete(State(app): Shared, Path(id): Path<String>) -> Result<axum::http::StatusCode, Problem> {
    agents::delete::dataplane(&app, &id).await
}

fn token_routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/api/tokens",
            get(
                |caller: Caller, State(app): Shared, Params(params): Params<tokens::list::ListParams>| async move {
                    tokens::list::handle(&app, caller, params).await
                },
            )
            .post(|caller: Caller, State(app): Shared, body: Object| async move {
                tokens::create::handle(&app, caller, body).await
            }),
        )
        .route(
            "/api/tokens/{id}",
            delete(
                |caller: Caller, State(app): Shared, Path(id): Path<String>| async move {
                    tokens::delete::handle(&app, caller, &id).await
                },
            ),
        )
}

/// Logins through a provider, of command lines and of devices.
fn flow_routes() -> Router<Arc<App>> {
    use login::{cli, device, provider, token};
    let begin = |State(app): Shared, headers: HeaderMap, Params(wish): Params<provider::Wish>| async move {
        provider::begin(&app, &headers, wish).await
    };
    let back = |State(app): Shared, peer: Peer, headers: HeaderMap, Params(answer): Params<Answer>| async move {
        provider::callback(&app, peer, &headers, answer).await
    };
    let exchange = |State(app): Shared, peer: Peer, FormBody(wish): FormBody<token::Wish>| async move {
        token::handle(&app, peer, wish).await
    };
    let ask = |caller: Caller, Params(wish): Params<cli::Wish>| async move { cli::show(&caller, &wish) };
    let allow = |State(app): Shared, caller: Caller, FormBody(wish): FormBody<cli::Wish>| async move {
        cli::allow(&app, &caller, wish).await
    };
    let code = |caller: Caller, Params(typed): Params<device::Typed>| async move { device::show(&caller, &typed) };
    let answer = |State(app): Shared, caller: Caller, FormBody(typed): FormBody<device::Typed>| async move {
        device::answer(&app, &caller, &typed).await
    };
    Router::new()
        .route("/api/login", get(begin))
        .route("/api/callback", get(back))
        .route(
            "/api/login/device",
            post(|State(app): Shared| async move { device::begin(&app).await }),
        )
        .route("/api/login/token", post(exchange))
        .route("/login/cli", get(ask).post(allow))
        .route("/device", get(code).post(answer))
}

fn login_routes() -> Router<Arc<App>> {
    use login::{create, logout, page, password};
    let log_in = |State(app): Shared, peer: Peer, body: Object| async move { create::handle(&app, peer, body).await };
    let log_out = |State(app): Shared, caller: Caller, headers: HeaderMap| async move {
        logout::handle(&app, caller, &headers).await
    };
    let show = |State(app): Shared, Params(next): Params<page::Next>| async move { page::show(&app, &next) };
    let take = |State(app): Shared, peer: Peer, headers: HeaderMap, FormBody(form): FormBody<page::Form>| async move {
        page::take(&app, peer, &headers, form).await
    };
    let set = |State(app): Shared, caller: Caller, peer: Peer, Path(name): Path<String>, body: Object| async move {
        password::set(&app, caller, peer, &name, body).await
    };
    let remove = |State(app): Shared, Path(name): Path<String>| async move { password::remove(&app, &name).await };
    let keys = |State(app): Shared, caller: Caller, Params(params): Params<api_keys::list::ListParams>| async move {
        api_keys::list::handle(&app, caller, params).await
    };
    let key = |State(app): Shared, caller: Caller, body: Object| async move {
        api_keys::create::handle(&app, caller, body).await
    };
    let unkey = |State(app): Shared, caller: Caller, Path(id): Path<String>| async move {
        api_keys::delete::handle(&app, caller, &id).await
    };
    Router::new()
        .route("/login", get(show).post(take))
        .route(
            "/logout",
            post(|State(app): Shared, caller: Caller, headers: HeaderMap| async move {
                logout::from_page(&app, &caller, &headers).await
            }),
        )
        .route("/api/login", post(log_in))
        .route("/api/logout", post(log_out))
        .route("/api/users/{name}/password", put(set).delete(remove))
        .route("/api/api-keys", get(keys).post(key))
        .route("/api/api-keys/{id}", delete(unkey))
        .route(
            "/api/admin-log",
            get(
                |State(app): Shared, Params(params): Params<admin_log::list::ListParams>| async move {
                    admin_log::list::handle(&app, params).await
                },
            ),
        )
        .route(
            "/api/admin-log/verify",
            get(|State(app): Shared| async move { admin_log::verify::handle(&app).await }),
        )
}

fn policy_routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/api/apply",
            post(|State(app): Shared, body: Object| async move {
                policy::apply::handle(&app, policy::apply::read(body)?).await.map(Json)
            }),
        )
        .route(
            "/api/diff",
            post(|State(app): Shared, body: Object| async move {
                let wish = policy::apply::Wish {
                    dry_run: true,
                    ..policy::apply::read(body)?
                };
                policy::apply::handle(&app, wish).await.map(Json)
            }),
        )
        .route(
            "/api/export",
            get(|State(app): Shared| async move { policy::export::handle(&app).await }),
        )
        .route(
            "/api/policy",
            get(|State(app): Shared| async move { policy::show::handle(&app) }),
        )
        .route(
            "/api/policy/republish",
            post(
                |State(app): Shared, body: Object| async move { policy::republish::handle(&app, body).await.map(Json) },
            ),
        )
        .route(
            "/api/users/groups",
            get(|State(app): Shared| async move { Json(check::group_names(&app.publisher.state().catalog)) }),
        )
}

fn session_routes() -> Router<Arc<App>> {
    use sessions::{events, kill, list, plugin, recording, search, show};
    let shown = |caller: Caller,
                 State(app): Shared,
                 Path(id): Path<String>,
                 Params(params): Params<show::ShowParams>| async move {
        show::handle(&app, caller, &id, params).await
    };
    Router::new()
        .route(
            "/api/sessions",
            get(|caller: Caller, State(app): Shared, Params(params): Params<list::ListParams>| async move {
                list::handle(&app, caller, params).await
            }),
        )
        .route(
            "/api/events",
            get(|caller: Caller, State(app): Shared, Params(params): Params<search::SearchParams>| async move {
                search::handle(&app, caller, params).await
            }),
        )
        .route(
            "/api/audit/verify",
            post(|State(app): Shared, body: Object| async move { audit::verify::handle(&app, body).await }),
        )
        .route("/api/sessions/{id}", get(shown))
        .route(
            "/api/sessions/{id}/events",
            get(|caller: Caller, State(app): Shared, Path(id): Path<String>, Params(page): Params<PageParams>| async move {
                events::handle(&app, caller, &id, page).await
            }),
        )
        .route(
            "/api/sessions/{id}/recording",
            get(|caller: Caller, State(app): Shared, Path(id): Path<String>, Params(page): Params<PageParams>| async move {
                recording::handle(&app, caller, &id, page).await
            }),
        )
        .route(
            "/api/sessions/{id}/kill",
            post(|caller: Caller, State(app): Shared, Path(id): Path<String>, body: Object| async move {
                kill::handle(&app, caller, &id, body).await
            }),
        )
        .route(
            "/api/plugins/audit/sessions",
            get(|caller: Caller, State(app): Shared, Params(params): Params<list::ListParams>| async move {
                plugin::list(&app, caller, params).await
            }),
        )
        .route("/api/plugins/audit/sessions/{id}", get(shown))
        .route(
            "/api/plugins/audit/sessions/{id}/status",
            get(|caller: Caller, State(app): Shared, Path(id): Path<String>| async move {
                plugin::status(&app, caller, &id).await
            }),
        )
}

fn review_routes() -> Router<Arc<App>> {
    use reviews::{Face, create, decide, list, page, show};
    let mut router = Router::new();
    for (segment, face) in [("reviews", Face::Reviews), ("jits", Face::Jits)] {
        let all = move |caller: Caller, State(app): Shared, Params(params): Params<list::ListParams>| async move {
            list::handle(&app, caller, face, params).await
        };
        let one = move |caller: Caller, State(app): Shared, Path(id): Path<String>| async move {
            show::handle(&app, caller, face, &id).await
        };
        let answer = move |caller: Caller, State(app): Shared, Path(id): Path<String>, body: Object| async move {
            decide::handle(&app, caller, face, &id, body).await
        };
        router = router
            .route(&format!("/api/{segment}"), get(all))
            .route(&format!("/api/{segment}/{{id}}"), get(one).put(answer));
    }
    router
        .route(
            "/api/reviews",
            post(|caller: Caller, State(app): Shared, body: Object| async move { create::handle(&app, caller, body).await }),
        )
        .route(
            "/reviews",
            get(|State(app): Shared, caller: Caller| async move { page::list(&app, caller).await }),
        )
        .route(
            "/reviews/{id}",
            get(
                |State(app): Shared, caller: Caller, Path(id): Path<String>| async move {
                    page::show(&app, caller, &id).await
                },
            )
            .post(
                |State(app): Shared, caller: Caller, Path(id): Path<String>, headers: HeaderMap, body: Bytes| async move {
                    page::answer(&app, caller, &headers, &id, &body).await
                },
            ),
        )
}

fn notification_routes() -> Router<Arc<App>> {
    use deliveries::{list, retry, show};
    use notifications::{slack, test};
    Router::new()
        .route(
            "/api/notifications/{name}/test",
            post(|State(app): Shared, Path(name): Path<String>| async move { test::handle(&app, &name).await }),
        )
        .route(
            "/api/notifications/{name}/slack",
            post(
                |State(app): Shared, Path(name): Path<String>, headers: HeaderMap, body: Bytes| async move {
                    slack::handle(&app, &name, &headers, body).await
                },
            ),
        )
        .route(
            "/api/deliveries",
            get(
                |State(app): Shared, Params(params): Params<list::ListParams>| async move {
                    list::handle(&app, params).await
                },
            ),
        )
        .route(
            "/api/deliveries/{id}",
            get(|State(app): Shared, Path(id): Path<String>| async move { show::handle(&app, &id).await }),
        )
        .route(
            "/api/deliveries/{id}/retry",
            post(|State(app): Shared, Path(id): Path<String>| async move { retry::handle(&app, &id).await }),
        )
}

fn meta_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/liveness", get(|| async { meta::health::liveness() }))
        .route(
            "/metrics",
            get(|State(app): Shared| async move { meta::metrics::handle(&app).await }),
        )
        .route(
            "/ready",
            get(|State(app): Shared| async move { meta::health::ready(&app).await }),
        )
        .route("/api/openapi.json", get(|| async { meta::openapi::handle() }))
        .route(
            "/api/userinfo",
            get(|caller: Caller| async move { meta::userinfo::handle(caller) }),
        )
        .route(
            "/",
            get(|State(app): Shared, caller: Caller| async move { meta::page::handle(&app, caller).await }),
        )
}
