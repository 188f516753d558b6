//! REST: who may call what, objects and their references, tokens, pages, errors.

use crate::plane::{POLICY, Plane, on_postgres};
use serde_json::{Value, json};

#[tokio::test]
async fn errors_are_problem_documents() {
    let plane = Plane::start().await;
    for (method, path, token, body, status, kind) in [
        ("GET", "/api/pools", None, None, 401, "authentication"),
        ("GET", "/api/nothing", Some(()), None, 404, "not-found"),
        ("PATCH", "/api/pools", Some(()), None, 405, "method"),
        ("GET", "/api/pools/x", Some(()), None, 404, "not-found"),
        ("GET", "/api/pools?limit=0", Some(()), None, 400, "request"),
        ("GET", "/api/pools?limit=x", Some(()), None, 400, "request"),
        ("GET", "/api/sessions?since=x", Some(()), None, 400, "request"),
        ("GET", "/api/sessions?cursor=x", Some(()), None, 400, "request"),
        ("GET", "/api/sessions/x", Some(()), None, 404, "not-found"),
        ("POST", "/api/pools", Some(()), Some(json!({"nam": "x"})), 422, "policy"),
        ("POST", "/api/pools", Some(()), Some(json!([1])), 400, "request"),
        (
            "POST",
            "/api/tokens",
            Some(()),
            Some(json!({"user": "x"})),
            404,
            "not-found",
        ),
        (
            "POST",
            "/api/tokens",
            Some(()),
            Some(json!({"user": 1})),
            400,
            "request",
        ),
        ("POST", "/api/apply", Some(()), Some(json!({})), 400, "request"),
    ] {
        let token = token.map(|()| plane.admin.as_str());
        let answer = plane.call(method, path, token, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.content_type, "application/problem+json", "{method} {path}");
        let document = answer.json();
        assert_eq!(
            document["type"],
            format!("urn:sluice:problem:{kind}"),
            "{method} {path}"
        );
        assert_eq!(document["status"], status);
    }
}

#[tokio::test]
async fn objects_are_made_changed_and_deleted() {
    let plane = Plane::start().await;
    let generation = |policy: Value| policy["generation"].as_u64().unwrap();
    let before = generation(plane.admin("GET", "/api/policy", None).await.expect(200));
    plane
        .admin("POST", "/api/pools", Some(json!({"name": "office"})))
        .await
        .expect(201);
    plane
        .admin("POST", "/api/pools", Some(json!({"name": "office"})))
        .await
        .expect(409);
    let connection = json!({
        "name": "orders", "type": "postgres", "pool": "office", "host": "h", "username": "env:U",
        "password": "literal:hunter2", "groups": ["a"],
    });
    let made = plane
        .admin("POST", "/api/connections", Some(connection))
        .await
        .expect(201);
    assert_eq!(made["password"], "literal:***");
    assert_eq!(
        (&made["managed_by"], &made["port"], &made["record"]),
        (&json!("api"), &json!(5432), &json!("statements"))
    );
    // What was shown can be written back, and the secret stays.
    let mut shown = plane.admin("GET", "/api/connections/orders", None).await.expect(200);
    shown["port"] = json!(5433);
    let changed = plane
        .admin("PUT", "/api/connections/orders", Some(shown))
        .await
        .expect(200);
    assert_eq!((&changed["port"], &changed["id"]), (&json!(5433), &made["id"]));
    let state = plane.running.app.publisher.state();
    let stored = state.catalog.connections().next().unwrap().1;
    assert_eq!(stored.password.as_deref(), Some("literal:hunter2"));
    let refused = plane.admin("DELETE", "/api/pools/office", None).await.expect(409);
    assert!(
        refused["errors"][0]["place"]
            .as_str()
            .unwrap()
            .contains("connection \"orders\": pool"),
        "{refused}"
    );
    plane.admin("DELETE", "/api/connections/orders", None).await.expect(204);
    plane.admin("DELETE", "/api/pools/office", None).await.expect(204);
    let after = generation(plane.admin("GET", "/api/policy", None).await.expect(200));
    assert_eq!(after, before + 5);
}

#[tokio::test]
async fn a_wrong_reference_is_refused_with_its_place_and_changes_nothing() {
    let plane = Plane::start().await;
    let before = plane.running.app.publisher.current().generation;
    let connection = json!({
        "name": "orders", "type": "postgres", "pool": "p", "host": "h", "username": "env:U", "redact": ["x"], "guardrails": ["y"],
    });
    let refused = plane
        .admin("POST", "/api/connections", Some(connection))
        .await
        .expect(422);
    let errors: Vec<String> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{}: {}", e["place"].as_str().unwrap(), e["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [
            "connection \"orders\": pool: unknown pool \"p\"",
            "connection \"orders\": redact: unknown rule \"x\"",
            "connection \"orders\": guardrails: unknown guardrail \"y\"",
        ]
    );
    assert_eq!(plane.running.app.publisher.current().generation, before);
    plane.admin("GET", "/api/connections/orders", None).await.expect(404);
}

#[tokio::test]
async fn what_the_compiler_refuses_is_not_saved() {
    let plane = Plane::start().await;
    let rule = json!({"name": "r", "detect": ["NO_SUCH"]});
    let refused = plane.admin("POST", "/api/redactions", Some(rule)).await.expect(422);
    assert!(
        refused["errors"][0]["place"]
            .as_str()
            .unwrap()
            .contains("redaction \"r\""),
        "{refused}"
    );
    plane.admin("GET", "/api/redactions/r", None).await.expect(404);
}

#[tokio::test]
async fn lists_page_by_cursor() {
    let plane = Plane::start().await;
    let policy: String = (0..25).map(|n| format!("[[user]]\nname = \"u{n:02}\"\n")).collect();
    plane.apply(&policy).await.expect(200);
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = plane
            .admin("GET", &format!("/api/users?limit=10&cursor={cursor}"), None)
            .await
            .expect(200);
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|u| u["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = next.to_owned();
    }
    assert_eq!(names.len(), 25);
    assert!(names.is_sorted());
    assert_eq!(
        plane.admin("GET", "/api/users/u03", None).await.expect(200)["name"],
        "u03"
    );
}

#[tokio::test]
async fn a_token_is_shown_once_and_reaches_what_its_user_may() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let (alice, bob) = (plane.token("alice").await, plane.token("bob").await);
    let listed = plane.admin("GET", "/api/tokens?user=alice", None).await;
    assert!(!listed.text.contains("slu_"));
    let listed = listed.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let me = plane.call("GET", "/api/userinfo", Some(&alice), None).await.expect(200);
    assert_eq!(
        (&me["name"], &me["role"], &me["groups"]),
        (&json!("alice"), &json!("member"), &json!(["engineering"]))
    );
    let seen = plane
        .call("GET", "/api/connections", Some(&alice), None)
        .await
        .expect(200);
    assert_eq!(seen["items"][0]["name"], "orders");
    assert!(seen["items"][0].get("host").is_none());
    assert_eq!(
        plane
            .call("GET", "/api/connections", Some(&bob), None)
            .await
            .expect(200)["items"],
        json!([])
    );
    plane
        .call("GET", "/api/connections/orders", Some(&bob), None)
        .await
        .expect(404);
    plane
        .call("POST", "/api/tokens", Some(&bob), Some(json!({"user": "alice"})))
        .await
        .expect(403);
    let own = plane.call("GET", "/api/tokens", Some(&bob), None).await.expect(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    let id = listed["items"][0]["id"].as_str().unwrap();
    plane
        .call("DELETE", &format!("/api/tokens/{id}"), Some(&bob), None)
        .await
        .expect(404);
    plane
        .call("DELETE", &format!("/api/tokens/{id}"), Some(&alice), None)
        .await
        .expect(204);
    plane.call("GET", "/api/userinfo", Some(&alice), None).await.expect(401);
}

#[tokio::test]
async fn a_scoped_token_makes_no_wider_one() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let terms = json!({"user": "alice", "connections": ["orders"], "expires_in_seconds": 60});
    let made = plane.admin("POST", "/api/tokens", Some(terms)).await.expect(201);
    assert!(made["expires_at"].is_string());
    let token = made["token"].as_str().unwrap();
    let child = plane
        .call("POST", "/api/tokens", Some(token), Some(json!({})))
        .await
        .expect(201);
    assert_eq!(child["connections"], json!(["orders"]));
    let unknown = json!({"user": "alice", "connections": ["nothing"]});
    plane.admin("POST", "/api/tokens", Some(unknown)).await.expect(404);
    let past = json!({"user": "alice", "expires_at": "2020-01-01T00:00:00Z"});
    plane.admin("POST", "/api/tokens", Some(past)).await.expect(400);
}

#[tokio::test]
async fn the_page_shows_names_and_wants_a_token() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    assert_eq!(plane.call("GET", "/", None, None).await.status, 303);
    let page = plane.admin("GET", "/", None).await;
    assert_eq!(
        (page.status, page.content_type.as_str()),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.text.contains("<td>orders"));
    assert!(!page.text.contains("hunter2"));
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused() {
    let plane = Plane::start().await;
    let long = "x".repeat(controlplane::limits::REQUEST_BYTES_MAX + 1);
    assert_eq!(plane.apply(&long).await.status, 413);
}

#[tokio::test]
async fn a_directory_serves_one_control_plane_and_survives_restarts() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let token = plane.token("alice").await;
    assert!(plane.second().await.is_err());
    let (generation, admin) = (plane.running.app.publisher.current().generation, plane.admin.clone());
    let plane = plane.restart().await;
    assert_eq!(plane.admin, admin);
    // A store that others may use is gone on with; alone, no generation is ever signed twice.
    let now = plane.running.app.publisher.current().generation;
    assert!(if on_postgres() {
        now == generation
    } else {
        now > generation
    });
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(200);
    assert_eq!(plane.apply(POLICY).await.expect(200)["applied"], false);
}

#[tokio::test]
async fn an_update_of_what_has_changed_meanwhile_is_refused() {
    let plane = Plane::start().await;
    let bearer = format!("Bearer {}", plane.admin);
    let auth = ("authorization", bearer.as_str());
    let made = plane.admin("POST", "/api/pools", Some(json!({"name": "office"}))).await;
    let first = made.headers["etag"].to_str().unwrap().to_owned();
    let put = |etag: String, text: &'static str| {
        let (plane, auth) = (&plane, auth);
        async move {
            let headers = [auth, ("if-match", etag.as_str())];
            plane
                .ask(
                    "PUT",
                    "/api/pools/office",
                    &headers,
                    json!({"description": text}).to_string(),
                )
                .await
        }
    };
    let changed = put(first.clone(), "one").await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let second = changed.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(first, second);
    let shown = plane.admin("GET", "/api/pools/office", None).await;
    assert_eq!(shown.headers["etag"].to_str().unwrap(), second);
    let late = put(first.clone(), "two").await;
    assert_eq!(late.status, 412, "{}", late.text);
    assert_eq!(late.json()["type"], "urn:sluice:problem:changed");
    assert_eq!(put(format!("{first}, {second}"), "three").await.status, 200);
    assert_eq!(put("*".to_owned(), "four").await.status, 200);
    let headers = [auth, ("if-match", second.as_str())];
    assert_eq!(
        plane
            .ask("DELETE", "/api/pools/office", &headers, String::new())
            .await
            .status,
        412
    );
    plane.admin("DELETE", "/api/pools/office", None).await.expect(204);
}

#[tokio::test]
async fn a_post_with_a_key_is_done_once() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let bearer = format!("Bearer {}", plane.admin);
    let post = |key: &'static str, body: Value| {
        let (plane, bearer) = (&plane, bearer.clone());
        async move {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            plane.ask("POST", "/api/tokens", &headers, body.to_string()).await
        }
    };
    let first = post("k1", json!({"user": "alice"})).await;
    let again = post("k1", json!({"user": "alice"})).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.content_type, "application/json");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(post("k1", json!({"user": "bob"})).await.status, 409);
    assert_ne!(post("k2", json!({"user": "alice"})).await.text, first.text);
    // A refusal is an answer too, and somebody else's key is another one.
    assert_eq!(post("k3", json!({"user": "x"})).await.status, 404);
    assert_eq!(
        post("k3", json!({"user": "x"})).await.headers["idempotent-replayed"],
        "true"
    );
    assert_eq!(post("", json!({"user": "alice"})).await.status, 400);
    let listed = plane.admin("GET", "/api/tokens?user=alice", None).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    // The token that is shown once lies nowhere in the clear.
    let token = first.json()["token"].as_str().unwrap().to_owned();
    for file in std::fs::read_dir(plane.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()));
    }
}
