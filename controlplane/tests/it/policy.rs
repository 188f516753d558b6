//! The policy file: plans, ownership, export, and what a start with a file does.

use crate::plane::{POLICY, Plane, config};
use controlplane::config::Config;
use serde_json::json;

#[tokio::test]
async fn applying_is_idempotent_and_a_dry_run_changes_nothing() {
    let plane = Plane::start().await;
    let dry = json!({"policy": POLICY, "dry_run": true});
    let planned = plane.admin("POST", "/api/apply", Some(dry)).await.expect(200);
    assert_eq!(
        (&planned["applied"], planned["changes"].as_array().unwrap().len()),
        (&json!(false), 6)
    );
    plane.admin("GET", "/api/connections/orders", None).await.expect(404);
    let applied = plane.apply(POLICY).await.expect(200);
    assert_eq!(applied["applied"], true);
    assert_eq!(applied["changes"], planned["changes"]);
    let again = plane.apply(POLICY).await.expect(200);
    assert_eq!(
        (&again["applied"], &again["unchanged"], &again["changes"]),
        (&json!(false), &json!(6), &json!([]))
    );
    assert_eq!(again["generation"], applied["generation"]);
}

#[tokio::test]
async fn what_a_file_no_longer_names_goes_and_what_others_made_stays() {
    let plane = Plane::start().await;
    plane
        .admin("POST", "/api/users", Some(json!({"name": "carol"})))
        .await
        .expect(201);
    plane.apply(POLICY).await.expect(200);
    let token = plane.token("bob").await;
    let without_bob = POLICY.replace("[[user]]\nname = \"bob\"\n", "");
    let diff = plane
        .admin("POST", "/api/diff", Some(json!({"policy": without_bob})))
        .await
        .expect(200);
    assert_eq!(diff["changes"][0]["action"], "delete");
    assert_eq!(diff["changes"][0]["name"], "bob");
    plane.apply(&without_bob).await.expect(200);
    plane.call("GET", "/api/userinfo", Some(&token), None).await.expect(401);
    plane.admin("GET", "/api/users/carol", None).await.expect(200);
    let grab = format!("{without_bob}\n[[user]]\nname = \"carol\"\ngroups = [\"x\"]\n");
    let refused = plane.apply(&grab).await.expect(409);
    assert!(
        refused["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("made by api")
    );
    let adopt = json!({"policy": grab, "adopt": true});
    plane.admin("POST", "/api/apply", Some(adopt)).await.expect(200);
    let carol = plane.admin("GET", "/api/users/carol", None).await.expect(200);
    assert_eq!(carol["managed_by"], "policy");
    plane.admin("DELETE", "/api/users/carol", None).await.expect(409);
    plane
        .admin("DELETE", "/api/users/carol?force=true", None)
        .await
        .expect(204);
}

#[tokio::test]
async fn an_export_applies_as_no_change_and_shows_no_literal() {
    let plane = Plane::start().await;
    plane.apply(POLICY).await.expect(200);
    let export = plane.admin("GET", "/api/export", None).await;
    assert_eq!(export.status, 200);
    assert!(!export.text.contains("hunter2"));
    let again = plane.apply(&export.text).await.expect(200);
    assert_eq!((&again["applied"], &again["unchanged"]), (&json!(false), &json!(6)));
}

#[tokio::test]
async fn a_wrong_file_lists_every_mistake_and_changes_nothing() {
    let plane = Plane::start().await;
    let wrong = format!("{POLICY}\n[[user]]\nnam = \"x\"\n[[pol]]\nname = \"y\"\n");
    let refused = plane.apply(&wrong).await.expect(422);
    assert!(refused["errors"].as_array().unwrap().len() >= 3, "{refused}");
    plane.admin("GET", "/api/users/alice", None).await.expect(404);
}

#[tokio::test]
async fn warnings_name_groups_without_members() {
    let plane = Plane::start().await;
    let answer = plane
        .apply(&POLICY.replace(
            "groups = [\"engineering\"]\nredact",
            "groups = [\"enginering\"]\nredact",
        ))
        .await
        .expect(200);
    assert!(
        answer["warnings"][0]
            .as_str()
            .unwrap()
            .contains("no user is in group \"enginering\""),
        "{answer}"
    );
    let groups = plane.admin("GET", "/api/users/groups", None).await.expect(200);
    assert_eq!(groups, json!(["engineering", "enginering"]));
}

#[tokio::test]
async fn a_start_with_a_file_and_bootstrap_leaves_credentials_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    std::fs::write(&file, POLICY.replace("pool = \"office\"", "pool = \"local\"")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[[pool]]\nname = \"local\"\n")).unwrap();
    let wanted = || Config {
        policy_file: Some(file.clone()),
        bootstrap_local: true,
        gateways: vec!["127.0.0.1:8010".to_owned()],
        ..config(dir.path())
    };
    let running = controlplane::start(wanted()).await.unwrap();
    let state = running.app.publisher.state();
    assert_eq!(
        state.catalog.connections().next().unwrap().1.pool.as_deref(),
        Some("local")
    );
    let agent = std::fs::read_to_string(dir.path().join("enrol/agent.toml")).unwrap();
    for key in [
        "url = \"https://127.0.0.1:",
        "token = \"sle_",
        "ca_sha256 = \"",
        "gateways = [\"127.0.0.1:8010\"]",
        "pool = \"local\"",
    ] {
        assert!(agent.contains(key), "{key} is not in {agent}");
    }
    assert!(
        !std::fs::read_to_string(dir.path().join("enrol/dataplane.toml"))
            .unwrap()
            .contains("pool")
    );
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    for name in [
        "controlplane.db",
        "controlplane.db-wal",
        "admin.token",
        "enrol/agent.toml",
        "pki/ca.key",
        "pki/policy.key",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    running.stop().await;
    std::fs::write(&file, "[[polcy]]\n").unwrap();
    assert!(matches!(
        controlplane::start(wanted()).await,
        Err(controlplane::StartError::PolicyFile(_))
    ));
}
