//! Passwords, logins, API keys, the profile for development, and the admin log.

use crate::plane::{PASSWORD, POLICY, Plane};
use controlplane::config::Config;
use controlplane::domain::role::RoleGroups;
use serde_json::{Value, json};

async fn log_in(plane: &Plane, user: &str, password: &str) -> u16 {
    let body = json!({"user": user, "password": password});
    plane.call("POST", "/api/login", None, Some(body)).await.status
}

async fn log(plane: &Plane, query: &str) -> Vec<Value> {
    let page = plane
        .admin("GET", &format!("/api/admin-log{query}"), None)
        .await
        .expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_login_stands_for_the_person_until_it_ends() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    assert_eq!(log_in(&plane, "alice", PASSWORD).await, 401);
    let token = plane.login("alice").await;
    let me = plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(200);
    assert_eq!(
        (&me["name"], &me["role"], &me["via"]),
        (&json!("alice"), &json!("member"), &json!("login"))
    );
    assert!(me["expires_at"].is_string());
    // By e-mail address too; a wrong password and an unknown name read alike.
    assert_eq!(log_in(&plane, "alice@example.com", PASSWORD).await, 200);
    let wrong = json!({"user": "alice", "password": "not this one at all"});
    let unknown = json!({"user": "nobody", "password": "not this one at all"});
    let wrong = plane.call("POST", "/api/login", None, Some(wrong)).await;
    let unknown = plane.call("POST", "/api/login", None, Some(unknown)).await;
    assert_eq!((wrong.status, &wrong.text), (401, &unknown.text));
    plane.call("POST", "/api/logout", Some(&token), None).await.expect(204);
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(401);
}

#[tokio::test]
async fn wrong_passwords_in_a_row_lock_the_account_and_it_is_noted() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let token = plane.login("alice").await;
    for _ in 0..controlplane::limits::PASSWORD_FAILURES_MAX {
        assert_eq!(log_in(&plane, "alice", "wrong wrong wrong").await, 401);
    }
    // Locked: the right one is refused as well, and who is logged in stays so.
    assert_eq!(log_in(&plane, "alice", PASSWORD).await, 401);
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(200);
    let refused: Vec<Value> = log(&plane, "?actor=alice&phase=event").await;
    assert_eq!(refused[0]["detail"]["by"], "locked after too many wrong passwords");
    assert_eq!(refused[1]["detail"]["by"], "wrong password");
    // An administrator's new password opens it again, and ends the logins that there were.
    assert_eq!(log_in(&plane, "bob", PASSWORD).await, 401);
    plane.login("alice").await;
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(401);
}

#[tokio::test]
async fn people_change_their_own_password_when_they_know_it() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let token = plane.login("alice").await;
    let other = plane.login("bob").await;
    let path = "/api/users/alice/password";
    let change = |current: &str, password: &str| Some(json!({"current": current, "password": password}));
    plane
        .call("PUT", path, Some(&token), change("wrong", "a new one, longer"))
        .await
        .expect(403);
    plane
        .call("PUT", path, Some(&token), change(PASSWORD, "short"))
        .await
        .expect(400);
    plane
        .call("PUT", path, Some(&other), change(PASSWORD, "a new one, longer"))
        .await
        .expect(404);
    let stock = plane.token("alice").await;
    plane
        .call("PUT", path, Some(&stock), change(PASSWORD, "a new one, longer"))
        .await
        .expect(403);
    plane
        .call("PUT", path, Some(&token), change(PASSWORD, "a new one, longer"))
        .await
        .expect(204);
    assert_eq!(log_in(&plane, "alice", PASSWORD).await, 401);
    assert_eq!(log_in(&plane, "alice", "a new one, longer").await, 200);
    // The login that changed it goes on.
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(200);
    plane.admin("DELETE", path, None).await.expect(204);
    assert_eq!(log_in(&plane, "alice", "a new one, longer").await, 401);
    plane.admin("DELETE", path, None).await.expect(404);
}

#[tokio::test]
async fn who_is_gone_or_inactive_is_out_at_once() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let (login, key) = (plane.login("alice").await, plane.api_key("alice", &["*"]).await);
    let inactive = json!({"status": "inactive"});
    plane
        .admin("PUT", "/api/users/alice?force=true", Some(inactive))
        .await
        .expect(200);
    for token in [&login, &key] {
        plane.call("GET", "/api/userinfo", Some(token), None).await.expect(401);
    }
    assert_eq!(log_in(&plane, "alice", PASSWORD).await, 401);
}

#[tokio::test]
async fn keys_do_what_their_scopes_say_and_make_no_wider_ones() {
    let plane = Plane::start().await;
    let robot = json!({"name": "robot", "type": "service", "roles": ["admin"]});
    plane.admin("POST", "/api/users", Some(robot)).await.expect(201);
    let no_password = json!({"password": PASSWORD});
    plane
        .admin("PUT", "/api/users/robot/password", Some(no_password))
        .await
        .expect(409);
    let key = plane
        .api_key("robot", &["users:read", "api-keys:write", "pools:*"])
        .await;
    plane.call("GET", "/api/users", Some(&key), None).await.expect(200);
    let refused = plane
        .call("POST", "/api/users", Some(&key), Some(json!({"name": "x"})))
        .await
        .expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("users:write"), "{refused}");
    plane
        .call("POST", "/api/pools", Some(&key), Some(json!({"name": "p"})))
        .await
        .expect(201);
    let wish = |scopes: Value| Some(json!({"user": "robot", "scopes": scopes}));
    plane
        .call("POST", "/api/api-keys", Some(&key), wish(json!(["users:write"])))
        .await
        .expect(403);
    plane
        .call("POST", "/api/api-keys", Some(&key), wish(json!(["*"])))
        .await
        .expect(403);
    plane
        .call("POST", "/api/api-keys", Some(&key), wish(json!(["users:sing"])))
        .await
        .expect(400);
    plane
        .call("POST", "/api/api-keys", Some(&key), wish(json!([])))
        .await
        .expect(400);
    let child = plane
        .call("POST", "/api/api-keys", Some(&key), wish(json!(["pools:read"])))
        .await
        .expect(201);
    let listed = plane.admin("GET", "/api/api-keys?user=robot", None).await;
    assert!(!listed.text.contains("slk_"));
    assert_eq!(listed.expect(200)["items"].as_array().unwrap().len(), 2);
    let path = format!("/api/api-keys/{}", child["id"].as_str().unwrap());
    plane.admin("DELETE", &path, None).await.expect(204);
    plane
        .call("GET", "/api/pools", Some(child["token"].as_str().unwrap()), None)
        .await
        .expect(401);
    // A stock client's password makes no keys.
    let stock = plane.token("robot").await;
    plane
        .call("POST", "/api/api-keys", Some(&stock), Some(json!({"scopes": ["*"]})))
        .await
        .expect(403);
}

#[tokio::test]
async fn groups_give_roles_as_the_configuration_says() {
    let plane = Plane::start_with(|config| Config {
        role_groups: RoleGroups {
            auditor: vec!["engineering".to_owned()],
            ..RoleGroups::default()
        },
        ..config
    })
    .await;
    plane.apply(POLICY).await.expect(200);
    let me = plane
        .call("GET", "/api/userinfo", Some(&plane.login("alice").await), None)
        .await
        .expect(200);
    assert_eq!((&me["role"], &me["roles"]), (&json!("auditor"), &json!(["auditor"])));
    let me = plane
        .call("GET", "/api/userinfo", Some(&plane.token("alice").await), None)
        .await
        .expect(200);
    assert_eq!(me["role"], "member");
}

#[tokio::test]
async fn what_is_done_has_a_line_before_and_after_and_the_chain_shows_tampering() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    plane
        .admin("POST", "/api/pools", Some(json!({"name": "office"})))
        .await
        .expect(409);
    plane.login("alice").await;
    let lines = log(&plane, "").await;
    assert_eq!(lines.last().unwrap()["number"], 1);
    let pools: Vec<_> = lines
        .iter()
        .filter(|line| line["action"] == "POST /api/pools")
        .collect();
    assert_eq!(
        (&pools[0]["phase"], &pools[0]["status"]),
        (&json!("ended"), &json!(409))
    );
    assert_eq!(
        (&pools[1]["phase"], &pools[1]["status"]),
        (&json!("begun"), &json!(null))
    );
    assert_eq!(pools[0]["begun"], pools[1]["number"]);
    assert_eq!(
        (&pools[0]["actor"], &pools[0]["via"]),
        (&json!("admin"), &json!("admin token"))
    );
    assert_eq!(pools[0]["address"], "127.0.0.1");
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.contains(PASSWORD) && !text.contains("hunter2"), "{text}");
    let page = plane.admin("GET", "/api/admin-log?limit=2", None).await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = log(&plane, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(next[0]["number"], json!(lines.len() as u64 - 2));
    let whole = plane.admin("GET", "/api/admin-log/verify", None).await.expect(200);
    assert_eq!((&whole["intact"], &whole["lines"]), (&json!(true), &json!(lines.len())));
    plane
        .tamper("UPDATE admin_log SET actor = 'somebody' WHERE seq = 3")
        .await;
    let broken = plane.admin("GET", "/api/admin-log/verify", None).await.expect(200);
    assert_eq!((&broken["intact"], &broken["broken_at"]), (&json!(false), &json!(3)));
    plane.tamper("DELETE FROM admin_log WHERE seq = 3").await;
    let broken = plane.admin("GET", "/api/admin-log/verify", None).await.expect(200);
    assert_eq!((&broken["intact"], &broken["broken_at"]), (&json!(false), &json!(4)));
}

#[tokio::test]
async fn the_profile_for_development_asks_for_nothing_on_loopback_only() {
    let plane = Plane::start_with(|config| Config {
        developer: true,
        ..config
    })
    .await;
    let here: (&str, &str) = ("host", "127.0.0.1:8009");
    let ask = |headers: Vec<(&'static str, &'static str)>| {
        let plane = &plane;
        async move {
            plane
                .ask("POST", "/api/pools", &headers, json!({"name": "p"}).to_string())
                .await
                .status
        }
    };
    assert_eq!(ask(vec![("host", "evil.example")]).await, 403);
    assert_eq!(ask(vec![here, ("origin", "http://evil.example")]).await, 403);
    assert_eq!(ask(vec![here]).await, 201);
    let me = plane
        .ask("GET", "/api/userinfo", &[here], String::new())
        .await
        .expect(200);
    assert_eq!((&me["role"], &me["via"]), (&json!("admin"), &json!("profile dev")));
    let env = |listen: &str| {
        let pairs = [("PROFILE", "dev"), ("SLUICE_CONTROLPLANE_LISTEN_API", listen)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Config::resolve("data_dir = \"/x\"", pairs, None)
    };
    assert!(env("127.0.0.1:8009").unwrap().developer);
    let refused = env("0.0.0.0:8009").unwrap_err();
    assert!(refused[0].to_string().contains("loopback"), "{refused:?}");
}

#[tokio::test]
async fn browsers_log_in_with_a_cookie_that_counts_from_our_own_pages() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    plane.login("alice").await;
    let to_login = plane.ask("GET", "/reviews?x=1", &[], String::new()).await;
    assert_eq!(
        (to_login.status, to_login.headers["location"].to_str().unwrap()),
        (303, "/login?next=/reviews%3Fx%3D1")
    );
    let form = "user=alice&password=correct+horse+battery&next=%2Freviews";
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let ours = ("origin", "http://controlplane");
    let theirs = ("origin", "http://evil.example");
    assert_eq!(plane.ask("POST", "/login", &[kind], form.to_owned()).await.status, 403);
    assert_eq!(
        plane
            .ask("POST", "/login", &[kind, theirs], form.to_owned())
            .await
            .status,
        403
    );
    let wrong = plane
        .ask("POST", "/login", &[kind, ours], form.replace("horse", "mule"))
        .await;
    assert_eq!(wrong.status, 401);
    assert!(!wrong.headers.contains_key("set-cookie"));
    let good = plane.ask("POST", "/login", &[kind, ours], form.to_owned()).await;
    assert_eq!(
        (good.status, good.headers["location"].to_str().unwrap()),
        (303, "/reviews")
    );
    let cookie = good.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let cookie = ("cookie", cookie.split(';').next().unwrap());
    assert_eq!(plane.ask("GET", "/reviews", &[cookie], String::new()).await.status, 200);
    let body = json!({"scopes": ["*"]}).to_string();
    assert_eq!(
        plane.ask("POST", "/api/api-keys", &[cookie], body.clone()).await.status,
        403
    );
    assert_eq!(
        plane
            .ask("POST", "/api/api-keys", &[cookie, theirs], body.clone())
            .await
            .status,
        403
    );
    assert_eq!(
        plane.ask("POST", "/api/api-keys", &[cookie, ours], body).await.status,
        201
    );
    let out = plane.ask("POST", "/api/logout", &[cookie, ours], String::new()).await;
    assert_eq!(out.status, 204);
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(plane.ask("GET", "/reviews", &[cookie], String::new()).await.status, 303);
}

#[tokio::test]
async fn callers_that_ask_too_often_wait() {
    let plane = Plane::start_with(|config| Config {
        requests_per_minute: 60,
        ..config
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answer = plane.call("GET", "/api/pools", None, None).await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        6,
        "{statuses:?}"
    );
    assert_eq!(*statuses.last().unwrap(), 429);
    // Somebody else is not held up.
    plane.admin("GET", "/api/pools", None).await.expect(200);
}
