//! Notifications: written with what happened, sent once the target takes them, each once, in order, and given up visibly.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use controlplane::notify::{run_once, webhook};
use serde_json::{Value, json};

use crate::plane::{Plane, config};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that keeps what it was sent and answers as told; 200 when nothing is told.
#[derive(Clone, Default)]
struct Receiver {
    seen: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    async fn listen(&self, address: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = loop {
            match tokio::net::TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let bound = listener.local_addr().unwrap();
        let take = |State(this): State<Receiver>, headers: HeaderMap, body: Bytes| async move {
            let status = this.answers.lock().unwrap().pop_front().unwrap_or(200);
            let text = String::from_utf8(body.to_vec()).unwrap();
            this.seen.lock().unwrap().push((headers, text));
            StatusCode::from_u16(status).unwrap()
        };
        let router = Router::new().route("/{*path}", post(take)).with_state(self.clone());
        (
            bound,
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        )
    }

    fn bodies(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let id = |(headers, _): &(HeaderMap, String)| headers["webhook-id"].to_str().unwrap().to_owned();
        seen.iter().map(id).collect()
    }
}

fn policy(targets: &str) -> String {
    format!(
        r#"
        [[user]]
        name = "alice"
        groups = ["engineering"]
        [[user]]
        name = "bob"
        groups = ["dba"]
        [[connection]]
        name = "orders"
        type = "postgres"
        via = "direct"
        host = "db.internal"
        username = "env:U"
        groups = ["engineering"]
        access_review = {{ reviewers = ["dba"] }}
        {targets}
        "#
    )
}

fn webhook(address: SocketAddr) -> String {
    format!(
        "[[notification]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://{address}/hook\"\n\
         secret = \"literal:{SECRET}\"\n"
    )
}

/// Asks for access and rejects it: two events.
async fn ask_and_reject(plane: &Plane, alice: &str, bob: &str) -> String {
    let asked = plane
        .call(
            "POST",
            "/api/reviews",
            Some(alice),
            Some(json!({"connection": "orders"})),
        )
        .await
        .expect(201);
    let id = asked["id"].as_str().unwrap().to_owned();
    let path = format!("/api/reviews/{id}");
    plane
        .call(
            "PUT",
            &path,
            Some(bob),
            Some(json!({"status": "REJECTED", "comment": "no"})),
        )
        .await
        .expect(200);
    id
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen in time");
}

async fn states(plane: &Plane) -> Vec<String> {
    let page = plane.admin("GET", "/api/deliveries?limit=1000", None).await.expect(200);
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["state"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn events_arrive_signed_in_order_and_secrets_stay() {
    let plane = Plane::start().await;
    let receiver = Receiver::default();
    let (address, _serving) = receiver.listen(config(plane.dir.path()).listen_api).await;
    plane.apply(&policy(&webhook(address))).await.expect(200);
    let (alice, bob) = (plane.token("alice").await, plane.token("bob").await);
    let id = ask_and_reject(&plane, &alice, &bob).await;
    until("both events", async || receiver.bodies().len() == 2).await;
    let bodies = receiver.bodies();
    assert_eq!(
        (&bodies[0]["type"], &bodies[1]["type"]),
        (&json!("review.created"), &json!("review.rejected"))
    );
    assert_eq!(bodies[1]["data"]["decisions"][0]["by"], "bob");
    assert!(
        bodies[0]["data"]["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/reviews/{id}"))
    );
    let (headers, body) = receiver.seen.lock().unwrap()[0].clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let seconds: i64 = header("webhook-timestamp").parse().unwrap();
    let expected = webhook::headers(SECRET, &header("webhook-id"), seconds, &body).unwrap();
    assert_eq!(header("webhook-signature"), expected[2].1);
    let shown = plane.admin("GET", "/api/notifications/ops", None).await;
    assert_eq!(shown.expect(200)["secret"], "literal:***");
    let export = plane.admin("GET", "/api/export", None).await.text;
    assert!(
        export.contains("[[notification]]") && !export.contains("MfKQ9r8"),
        "{export}"
    );
    // What was exported can be applied again, and the secret stays.
    assert_eq!(plane.apply(&export).await.expect(200)["applied"], false);
    plane
        .call("GET", "/api/notifications/ops", Some(&bob), None)
        .await
        .expect(403);
    plane.call("GET", "/api/deliveries", Some(&bob), None).await.expect(403);
}

#[tokio::test]
async fn a_receiver_that_is_down_for_an_hour_gets_each_event_once_after_it_is_back() {
    let plane = Plane::start().await;
    let receiver = Receiver::default();
    let (address, serving) = receiver.listen(config(plane.dir.path()).listen_api).await;
    plane.apply(&policy(&webhook(address))).await.expect(200);
    let (alice, bob) = (plane.token("alice").await, plane.token("bob").await);
    serving.abort();
    let _ = serving.await;
    for _ in 0..5 {
        ask_and_reject(&plane, &alice, &bob).await;
    }
    // An hour in steps of half a minute, with a restart in the middle.
    let (mut plane, step) = (plane, Duration::from_secs(30));
    for steps in 1..=120 {
        plane.running.app.notifier.clock.advance(step);
        run_once(&plane.running.app).await;
        if steps == 60 {
            plane = plane.restart().await;
            plane.running.app.notifier.clock.advance(step * steps);
        }
    }
    assert_eq!(receiver.ids().len(), 0);
    let waiting = states(&plane).await;
    assert_eq!(waiting, ["waiting"; 10]);
    let page = plane
        .admin("GET", "/api/deliveries?state=waiting", None)
        .await
        .expect(200);
    let tries: u64 = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["attempts"].as_u64().unwrap())
        .sum();
    assert!(
        (8..60).contains(&tries),
        "{tries} tries: the pauses grow, and one try speaks for all that wait"
    );
    let (_, _serving) = receiver.listen(address).await;
    plane.running.app.notifier.clock.advance(Duration::from_secs(900));
    run_once(&plane.running.app).await;
    until("everything", async || states(&plane).await == ["delivered"; 10]).await;
    let ids = receiver.ids();
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!((ids.len(), once.len()), (10, 10), "each event once");
    let kinds: Vec<_> = receiver.bodies().iter().map(|body| body["type"].clone()).collect();
    assert_eq!(
        kinds,
        vec![[json!("review.created"), json!("review.rejected")]; 5].concat(),
        "in order"
    );
    // Nothing more comes, however long one waits.
    plane.running.app.notifier.clock.advance(Duration::from_secs(86_400));
    run_once(&plane.running.app).await;
    assert_eq!(receiver.ids().len(), 10);
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_seen_and_can_be_tried_again() {
    let plane = Plane::start().await;
    let receiver = Receiver::default();
    let (address, _serving) = receiver.listen(config(plane.dir.path()).listen_api).await;
    plane.apply(&policy(&webhook(address))).await.expect(200);
    receiver.answers.lock().unwrap().extend([400; 1000]);
    let made = plane
        .admin("POST", "/api/notifications/ops/test", Some(json!({})))
        .await
        .expect(202);
    let path = format!("/api/deliveries/{}", made["id"].as_str().unwrap());
    until("a first try", async || !receiver.ids().is_empty()).await;
    for _ in 0..400 {
        plane.running.app.notifier.clock.advance(Duration::from_secs(900));
        run_once(&plane.running.app).await;
    }
    let dead = plane.admin("GET", &path, None).await.expect(200);
    assert_eq!(
        (&dead["state"], &dead["error"]),
        (&json!("dead"), &json!("the target answered 400"))
    );
    let metrics = plane.admin("GET", "/metrics", None).await.text;
    assert!(
        metrics.contains("sluice_notifications{target=\"ops\",state=\"dead\"} 1"),
        "{metrics}"
    );
    receiver.answers.lock().unwrap().clear();
    plane
        .admin("POST", &format!("{path}/retry"), Some(json!({})))
        .await
        .expect(202);
    until("the delivery", async || states(&plane).await == ["delivered"]).await;
    plane
        .admin("POST", &format!("{path}/retry"), Some(json!({})))
        .await
        .expect(409);
    let ids = receiver.ids();
    assert!(ids.iter().all(|id| id == &ids[0]), "one event has one id at every try");
}

#[tokio::test]
async fn one_target_s_trouble_is_not_another_s_and_410_is_the_end() {
    let plane = Plane::start().await;
    let (good, gone) = (Receiver::default(), Receiver::default());
    let free = config(plane.dir.path()).listen_api;
    let (good_address, _one) = good.listen(free).await;
    let (gone_address, _two) = gone.listen(free).await;
    gone.answers.lock().unwrap().extend([410, 410]);
    let teams = format!(
        "[[notification]]\nname = \"teams\"\ntype = \"teams\"\nurl = \"literal:http://{good_address}/teams\"\n\
         events = [\"review.created\"]\n[[notification]]\nname = \"away\"\ntype = \"teams\"\n\
         url = \"literal:http://127.0.0.1:1/x\"\n"
    );
    plane
        .apply(&policy(&format!("{}{teams}", webhook(gone_address))))
        .await
        .expect(200);
    let (alice, bob) = (plane.token("alice").await, plane.token("bob").await);
    ask_and_reject(&plane, &alice, &bob).await;
    until("all tries", async || {
        let mut states = states(&plane).await;
        states.sort();
        states == ["dead", "dead", "delivered", "waiting", "waiting"]
    })
    .await;
    let card = &good.bodies()[0];
    assert_eq!(
        card["attachments"][0]["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(good.bodies().len(), 1, "only what it subscribed to");
}

fn slack_signature(secret: &str, seconds: i64, body: &str) -> String {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{seconds}:{body}").as_bytes());
    tag.as_ref()
        .iter()
        .fold("v0=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn pressed(person: &str, review: &str, action: &str, response_url: &str) -> String {
    let payload = json!({"type": "block_actions", "user": {"id": person}, "response_url": response_url,
        "actions": [{"action_id": action, "value": review}],
        "state": {"values": {"comment": {"text": {"value": "fine by me"}}}}});
    let encoded: String = payload.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("payload={encoded}")
}

#[tokio::test]
async fn a_button_in_slack_decides_for_known_reviewers_alone() {
    let plane = Plane::start().await;
    let receiver = Receiver::default();
    let (address, _serving) = receiver.listen(config(plane.dir.path()).listen_api).await;
    let chat = format!(
        "[[notification]]\nname = \"chat\"\ntype = \"slack\"\nurl = \"literal:http://{address}/services/x\"\n\
         signing_secret = \"literal:shh-this-is-slack\"\npeople = {{ U0BOB = \"bob\", U0ALICE = \"alice\" }}\n"
    );
    plane.apply(&policy(&chat)).await.expect(200);
    let (alice, bob) = (plane.token("alice").await, plane.token("bob").await);
    let asked = plane
        .call(
            "POST",
            "/api/reviews",
            Some(&alice),
            Some(json!({"connection": "orders", "seconds": 60})),
        )
        .await
        .expect(201);
    let id = asked["id"].as_str().unwrap();
    until("the message", async || !receiver.bodies().is_empty()).await;
    assert!(receiver.bodies()[0].to_string().contains("sluice_approve"));
    let now = controlplane::store::now_micros() / 1_000_000;
    let press = async |secret: &str, seconds: i64, body: &str| {
        let signature = slack_signature(secret, seconds, body);
        let seconds = seconds.to_string();
        let headers = [
            ("x-slack-request-timestamp", seconds.as_str()),
            ("x-slack-signature", signature.as_str()),
        ];
        plane
            .ask("POST", "/api/notifications/chat/slack", &headers, body.to_owned())
            .await
    };
    let answer_to = format!("http://{address}/answer");
    let by = |person: &str| pressed(person, id, "sluice_approve", &answer_to);
    assert_eq!(press("another secret", now, &by("U0BOB")).await.status, 401);
    assert_eq!(press("shh-this-is-slack", now - 400, &by("U0BOB")).await.status, 401);
    assert_eq!(
        plane
            .ask(
                "POST",
                "/api/notifications/none/slack",
                &[],
                "payload=%7B%7D".to_owned()
            )
            .await
            .status,
        401
    );
    let unknown = press("shh-this-is-slack", now, &by("U0EVE")).await.expect(200);
    assert_eq!(unknown["response_type"], "ephemeral");
    let own = press("shh-this-is-slack", now, &by("U0ALICE")).await.expect(200);
    assert!(own["text"].as_str().unwrap().contains("of their own"), "{own}");
    let elsewhere = pressed("U0BOB", id, "sluice_approve", "http://127.0.0.1:1/elsewhere");
    let done = press("shh-this-is-slack", now, &elsewhere).await.expect(200);
    assert_eq!(done["text"], "bob approved it: APPROVED");
    let review = plane
        .call("GET", &format!("/api/reviews/{id}"), Some(&bob), None)
        .await
        .expect(200);
    assert_eq!(
        (&review["status"], &review["decisions"][0]["comment"]),
        (&json!("APPROVED"), &json!("fine by me"))
    );
    let told: Vec<_> = receiver
        .bodies()
        .into_iter()
        .filter(|body| body["response_type"].is_string())
        .collect();
    assert_eq!(told.len(), 2, "answers go to our own chat's host alone");
}

#[tokio::test]
async fn breaking_the_glass_is_for_some_needs_a_reason_and_is_an_alarm() {
    let plane = Plane::start().await;
    let receiver = Receiver::default();
    let (address, _serving) = receiver.listen(config(plane.dir.path()).listen_api).await;
    let text = policy(&webhook(address)).replace(
        "{ reviewers = [\"dba\"] }",
        "{ reviewers = [\"dba\"], break_glass = [\"oncall\"], break_glass_seconds = 600 }",
    );
    let oncall = "[[user]]\nname = \"olga\"\ngroups = [\"engineering\", \"oncall\"]\n";
    plane.apply(&format!("{text}\n{oncall}")).await.expect(200);
    let (alice, olga) = (plane.token("alice").await, plane.token("olga").await);
    let ask = async |token: &str, body: Value| plane.call("POST", "/api/reviews", Some(token), Some(body)).await;
    let wish = json!({"connection": "orders", "reason": "pager 17", "break_glass": true});
    ask(&alice, wish.clone()).await.expect(403);
    ask(&olga, json!({"connection": "orders", "break_glass": true}))
        .await
        .expect(400);
    let long = json!({"connection": "orders", "reason": "x", "break_glass": true, "seconds": 601});
    ask(&olga, long).await.expect(400);
    let taken = ask(&olga, wish).await.expect(201);
    assert_eq!(
        (&taken["status"], &taken["break_glass"], &taken["seconds"]),
        (&json!("APPROVED"), &json!(true), &json!(600))
    );
    let granted = plane.running.app.publisher.state().grants.len();
    assert_eq!(granted, 1);
    until("the alarm", async || !receiver.bodies().is_empty()).await;
    assert_eq!(receiver.bodies()[0]["type"], "access.break_glass");
    assert_eq!(receiver.bodies()[0]["data"]["reason"], "pager 17");
    let path = format!("/api/reviews/{}", taken["id"].as_str().unwrap());
    plane
        .admin("PUT", &path, Some(json!({"status": "REVOKED"})))
        .await
        .expect(200);
    assert_eq!(plane.running.app.publisher.state().grants.len(), 0);
}

#[tokio::test]
async fn the_page_has_buttons_for_whoever_may_press_them_and_takes_them_from_itself_alone() {
    let plane = Plane::start().await;
    plane.apply(&policy("")).await.expect(200);
    let (alice, bob) = (plane.login("alice").await, plane.login("bob").await);
    let asked = json!({"connection": "orders", "reason": "<b>ticket</b>"});
    let asked = plane
        .call("POST", "/api/reviews", Some(&alice), Some(asked))
        .await
        .expect(201);
    let path = format!("/reviews/{}", asked["id"].as_str().unwrap());
    let shown = plane.call("GET", &path, Some(&bob), None).await.text;
    assert!(
        shown.contains("value=\"APPROVED\"") && shown.contains("value=\"REJECTED\""),
        "{shown}"
    );
    assert!(
        shown.contains("&lt;b&gt;ticket") && !shown.contains("<b>ticket"),
        "{shown}"
    );
    let own = plane.call("GET", &path, Some(&alice), None).await.text;
    assert!(
        !own.contains("APPROVED") && own.contains("value=\"WITHDRAWN\""),
        "{own}"
    );
    assert!(
        plane
            .call("GET", "/reviews", Some(&bob), None)
            .await
            .text
            .contains("waits for you")
    );
    let press = async |who: &str, origin: Option<&str>, form: &str| {
        let cookie = format!("sluice_login={who}");
        let mut headers = vec![
            ("cookie", cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(origin.map(|origin| ("origin", origin)));
        plane.ask("POST", &path, &headers, form.to_owned()).await
    };
    let reject = "status=REJECTED&comment=not+on+a+Friday";
    for origin in [None, Some("https://evil.example"), Some("null")] {
        assert_eq!(press(&bob, origin, reject).await.status, 403, "{origin:?}");
    }
    let ours = Some("http://controlplane");
    let refused = press(&alice, ours, "status=APPROVED").await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text.contains("of their own") && refused.text.contains("role=\"alert\""),
        "{}",
        refused.text
    );
    assert_eq!(press(&bob, ours, reject).await.status, 303);
    let after = plane.call("GET", &path, Some(&bob), None).await.text;
    assert!(
        after.contains("not on a Friday") && !after.contains("<button"),
        "{after}"
    );
    assert!(press(&bob, ours, "status=APPROVED").await.text.contains("over"));
}
