//! Every route of the table against every kind of caller, and every object of somebody else against one that is not there. The
//! gate refuses a route that is not in the table, so none can be missing here.

use crate::audit::recorded_session;
use crate::plane::Plane;
use controlplane::http::meta::routes::{self, Right, Route};
use serde_json::{Value, json};

const POLICY: &str = r#"
[[user]]
name = "alice"
groups = ["engineering"]
[[user]]
name = "bob"
[[user]]
name = "vera"
roles = ["approver"]
[[user]]
name = "otto"
roles = ["auditor"]
[[user]]
name = "ada"
roles = ["admin"]
[[user]]
name = "robot"
type = "service"
roles = ["admin"]
[[connection]]
name = "orders"
type = "postgres"
via = "direct"
host = "db.internal"
username = "env:ORDERS_USER"
password = "literal:hunter2"
groups = ["engineering"]
access_review = { reviewers = ["dba"] }
"#;

/// Who calls, with what they show.
struct Who {
    name: &'static str,
    token: Option<String>,
}

/// What the gate must make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Let through: neither 401 nor 403 for want of a role or scope.
    Open,
    Unauthenticated,
    Forbidden,
    /// Sent to the login page.
    Login,
}

fn expected(who: &str, route: &Route) -> Gate {
    let anonymous = matches!(who, "anonymous" | "wrong token" | "expired token" | "ended login");
    match (route.right, who) {
        (Right::Open, _) => Gate::Open,
        (Right::Page, _) if anonymous => Gate::Login,
        (_, _) if anonymous => Gate::Unauthenticated,
        // The key of an administrator, for connections alone.
        (_, "scoped key") => match (route.scope(), route.right) {
            (Some(("connections", _)), _) | (None, Right::Member) => Gate::Open,
            _ => Gate::Forbidden,
        },
        (Right::Page, "wide key") => Gate::Forbidden,
        (Right::Page | Right::Member, _) => Gate::Open,
        (_, "admin" | "installation" | "wide key") => Gate::Open,
        (Right::Auditor, "auditor") => Gate::Open,
        // Access tokens are passwords of stock clients: they carry no role.
        _ => Gate::Forbidden,
    }
}

async fn everybody(plane: &Plane) -> Vec<Who> {
    let expired = json!({"user": "ada", "expires_in_seconds": 1});
    let expired = plane.admin("POST", "/api/tokens", Some(expired)).await.expect(201)["token"].clone();
    let brief = json!({"user": "ada", "scopes": ["*"], "expires_in_seconds": 1});
    let brief = plane.admin("POST", "/api/api-keys", Some(brief)).await.expect(201)["token"].clone();
    let ended = plane.login("alice").await;
    plane.call("POST", "/api/logout", Some(&ended), None).await.expect(204);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let who = |name, token: String| Who {
        name,
        token: Some(token),
    };
    let text = |value: Value| value.as_str().unwrap().to_owned();
    vec![
        Who {
            name: "anonymous",
            token: None,
        },
        who("wrong token", "slu_nobody".to_owned()),
        who("wrong token", "sla_nobody".to_owned()),
        who("wrong token", "slk_nobody".to_owned()),
        who("expired token", text(expired)),
        who("expired token", text(brief)),
        who("ended login", ended),
        who("member", plane.login("bob").await),
        who("member", plane.token("bob").await),
        who("approver", plane.login("vera").await),
        who("auditor", plane.login("otto").await),
        who("admin", plane.login("ada").await),
        who("admin's access token", plane.token("ada").await),
        who("scoped key", plane.api_key("ada", &["connections:*"]).await),
        who("wide key", plane.api_key("robot", &["*"]).await),
        who("installation", plane.admin.clone()),
    ]
}

/// A path that leads to nothing, and where the gate's answer is all that is asked for.
fn nowhere(path: &str) -> String {
    path.replace("{name}", "nothing")
        .replace("{id}", "0198c0de-0000-7000-8000-000000000000")
}

#[tokio::test]
async fn every_route_lets_in_exactly_its_callers() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let mut all = everybody(&plane).await;
    let mut cells = 0;
    // Logging out ends the login that the rest is tried with: it is last, each time with new ones.
    let (last, first): (Vec<_>, Vec<_>) = routes::all().iter().partition(|route| route.path.ends_with("/logout"));
    for route in first.into_iter().chain(last) {
        if route.path.ends_with("/logout") {
            all = everybody(&plane).await;
        }
        for who in &all {
            let path = nowhere(route.path);
            // A body that no route takes: what passes the gate must change nothing.
            let body = (route.method != "get").then(|| json!({"no_such_field": 1}));
            let answer = plane
                .call(&route.method.to_uppercase(), &path, who.token.as_deref(), body)
                .await;
            let what = format!(
                "{} {} as {}: {} {}",
                route.method, route.path, who.name, answer.status, answer.text
            );
            assert!(answer.status < 500, "{what}");
            // What a handler forbids by itself has other words than the gate's.
            let by_gate = answer.text.contains("this needs the role")
                || answer.text.contains("this needs the scope")
                || answer.text.contains("API keys open no pages");
            let found = match answer.status {
                401 if route.path != "/login" && route.path != "/api/login" && !route.path.ends_with("/slack") => {
                    Gate::Unauthenticated
                }
                403 if by_gate => Gate::Forbidden,
                303 => Gate::Login,
                _ => Gate::Open,
            };
            assert_eq!(found, expected(who.name, route), "{what}");
            cells += 1;
        }
    }
    assert_eq!(cells, routes::all().len() * all.len());
}

/// Routes of members with a parameter: what stands there of somebody else, and what does not stand there.
#[tokio::test]
async fn what_may_not_be_seen_is_answered_like_what_is_not_there() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let state = plane.running.app.publisher.state();
    let alice = state
        .catalog
        .users()
        .find(|(_, user)| user.name == "alice")
        .unwrap()
        .0
        .id
        .clone();
    let session = recorded_session(&plane, &alice).await;
    let alices = plane.login("alice").await;
    let asked = json!({"connection": "orders", "seconds": 60});
    let review = plane
        .call("POST", "/api/reviews", Some(&alices), Some(asked))
        .await
        .expect(201)["id"]
        .clone();
    let made = |answer: Value| answer["id"].as_str().unwrap().to_owned();
    let token = made(
        plane
            .call("POST", "/api/tokens", Some(&alices), Some(json!({})))
            .await
            .expect(201),
    );
    let key = json!({"scopes": ["*"]});
    let key = made(
        plane
            .call("POST", "/api/api-keys", Some(&alices), Some(key))
            .await
            .expect(201),
    );
    let bobs = plane.login("bob").await;
    let mut seen = 0;
    for route in routes::all() {
        if !route.path.contains('{') || !matches!(route.right, Right::Member | Right::Page) {
            continue;
        }
        let there = match route.path {
            path if path.contains("/sessions/") => session.clone(),
            path if path.contains("reviews/") || path.contains("jits/") => review.as_str().unwrap().to_owned(),
            path if path.contains("/connections/") => "orders".to_owned(),
            path if path.contains("/tokens/") => token.clone(),
            path if path.contains("/api-keys/") => key.clone(),
            path if path.contains("/users/") => "alice".to_owned(),
            other => panic!("nothing of somebody else is known for {other}: add it here"),
        };
        let absent = if there.contains('-') {
            "0198c0de-0000-7000-8000-000000000000"
        } else {
            "nothing"
        };
        let body = match (route.method, route.path) {
            ("put", path) if path.ends_with("/password") => Some(json!({"password": "long enough for one"})),
            ("put", _) => Some(json!({"status": "APPROVED"})),
            ("post", _) => Some(json!({})),
            _ => None,
        };
        let method = route.method.to_uppercase();
        let ask = |name: String, token: String| {
            let path = route.path.replace("{id}", &name).replace("{name}", &name);
            let (plane, method, body) = (&plane, &method, body.clone());
            async move { plane.call(method, &path, Some(&token), body).await }
        };
        let (theirs, none) = (
            ask(there.clone(), bobs.clone()).await,
            ask(absent.to_owned(), bobs.clone()).await,
        );
        let what = format!("{method} {}: {} {}", route.path, theirs.status, theirs.text);
        assert_eq!((theirs.status, none.status), (404, 404), "{what}");
        assert_eq!(theirs.text.replace(&there, absent), none.text, "{what}");
        // The one to whom it belongs does see it: the test would notice a wrong path.
        if route.method == "get" {
            let own = ask(there.clone(), alices.clone()).await;
            assert_eq!(own.status, 200, "{method} {}: {}", route.path, own.text);
        }
        seen += 1;
    }
    assert!(seen >= 12, "{seen}");
}

#[tokio::test]
async fn auditors_see_all_and_change_nothing() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let state = plane.running.app.publisher.state();
    let alice = state
        .catalog
        .users()
        .find(|(_, user)| user.name == "alice")
        .unwrap()
        .0
        .id
        .clone();
    let session = recorded_session(&plane, &alice).await;
    let alices = plane.login("alice").await;
    let auditor = plane.login("otto").await;
    let token = plane
        .call("POST", "/api/tokens", Some(&alices), Some(json!({})))
        .await
        .expect(201)["id"]
        .clone();
    let token = format!("/api/tokens/{}", token.as_str().unwrap());
    plane
        .call("GET", &format!("/api/sessions/{session}"), Some(&auditor), None)
        .await
        .expect(200);
    let shown = plane
        .call("GET", "/api/connections/orders", Some(&auditor), None)
        .await
        .expect(200);
    assert_eq!(
        (&shown["host"], &shown["password"]),
        (&json!("db.internal"), &json!("literal:***"))
    );
    let tokens = plane.call("GET", "/api/tokens", Some(&auditor), None).await.expect(200);
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1);
    plane.call("DELETE", &token, Some(&auditor), None).await.expect(403);
    let kill = format!("/api/sessions/{session}/kill");
    let killed = plane.call("POST", &kill, Some(&auditor), Some(json!({}))).await;
    assert!(matches!(killed.status, 403 | 409), "{}", killed.text);
    let export = plane.call("GET", "/api/export", Some(&auditor), None).await;
    assert_eq!(export.status, 200);
    assert!(!export.text.contains("hunter2"));
}

#[tokio::test]
async fn approvers_decide_every_review_but_their_own() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let alices = plane.login("alice").await;
    let asked = json!({"connection": "orders", "seconds": 60});
    let review = plane
        .call("POST", "/api/reviews", Some(&alices), Some(asked))
        .await
        .expect(201)["id"]
        .clone();
    let path = format!("/api/reviews/{}", review.as_str().unwrap());
    let approve = Some(json!({"status": "APPROVED"}));
    let vera = plane.login("vera").await;
    // Her stock client's password is not her word.
    plane
        .call("PUT", &path, Some(&plane.token("vera").await), approve.clone())
        .await
        .expect(404);
    plane
        .call("PUT", &path, Some(&alices), approve.clone())
        .await
        .expect(409);
    let decided = plane.call("PUT", &path, Some(&vera), approve).await.expect(200);
    assert_eq!(
        (&decided["status"], &decided["decisions"][0]["by"]),
        (&json!("APPROVED"), &json!("vera"))
    );
}
