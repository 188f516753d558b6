//! Which snapshots are put in force: signed ones, never older ones, and the spooled one after a restart.

use super::{PolicyKeeper, Refused};
use crate::config::{self, Written};
use crate::core::message::Message;
use crate::core::shared::{Shared, TlsConfigs};
use crate::identity::{self, NewKeys};
use crate::record::SpoolState;
use crate::tls;
use proto::control::EnrolReply;
use proto::policy::{RevokedAgent, Snapshot, User};
use proto::sign::{SignError, SigningKey};
use std::path::Path;
use std::sync::Arc;

/// A process with one core whose mailbox is read by the test.
struct Process {
    shared: Arc<Shared>,
    core: reactor::Receiver<Message>,
    _control: reactor::Receiver<crate::core::message::ControlMessage>,
}

fn process(dir: &Path, policy_key: &SigningKey) -> Process {
    let written = Written {
        data_dir: Some(dir.to_owned()),
        cores: Some("0".into()),
        ..Written::default()
    };
    let config = config::load(None, std::iter::empty(), written).unwrap();
    let keys = NewKeys::make().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![identity::DATAPLANE_NAME.into()])
        .unwrap()
        .self_signed(&keys.key)
        .unwrap();
    let reply = EnrolReply {
        id: "dp".into(),
        certificate_der: certificate.der().to_vec(),
        ca_der: certificate.der().to_vec(),
        policy_public_key: policy_key.public(),
        ..EnrolReply::default()
    };
    let identity = identity::store(dir, keys, "127.0.0.1:1", reply).unwrap();
    let tls = TlsConfigs {
        links: tls::link_server(&identity, Arc::default()).unwrap(),
        clients: None,
    };
    let (sender, core) = reactor::mailbox(16);
    let (control, control_messages) = reactor::mailbox(16);
    let shared = Shared::new(
        config,
        identity,
        tls,
        vec![sender],
        control,
        SpoolState::new(1 << 30, 0),
        Arc::default(),
    );
    Process {
        shared,
        core,
        _control: control_messages,
    }
}

fn snapshot(generation: u64) -> Snapshot {
    Snapshot {
        generation,
        installation_key: vec![7; 32],
        ..Snapshot::default()
    }
}

/// Generations that were handed to the core.
fn handed_out(process: &mut Process) -> Vec<u64> {
    let mut generations = Vec::new();
    while let Some(message) = process.core.try_recv() {
        if let Message::Policy(policy) = message {
            generations.push(policy.generation());
        }
    }
    generations
}

#[test]
fn an_older_generation_is_refused_and_the_newer_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let mut process = process(dir.path(), &key);
    let mut keeper = PolicyKeeper::new(process.shared.clone());
    assert_eq!(keeper.offer(&key.sign_snapshot(&snapshot(5))).unwrap(), 5);
    let (generation, refused) = keeper.offer(&key.sign_snapshot(&snapshot(4))).unwrap_err();
    assert!(matches!(
        refused,
        Refused::Older {
            offered: 4,
            in_force: 5
        }
    ));
    assert_eq!(
        (generation, refused.to_string()),
        (4, "generation 4 is older than 5, which is in force".into())
    );
    assert_eq!((keeper.generation(), handed_out(&mut process)), (5, vec![5]));
}

#[test]
fn a_snapshot_that_somebody_else_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let (thief, _) = SigningKey::generate().unwrap();
    let mut process = process(dir.path(), &key);
    let mut keeper = PolicyKeeper::new(process.shared.clone());
    let (generation, refused) = keeper.offer(&thief.sign_snapshot(&snapshot(9))).unwrap_err();
    assert!(matches!(refused, Refused::Signature(SignError::BadSignature)));
    assert!(refused.to_string().contains("signature"), "{refused}");
    assert_eq!(
        (generation, keeper.generation(), handed_out(&mut process)),
        (9, 0, vec![])
    );
}

#[test]
fn a_policy_that_does_not_compile_is_refused_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let mut process = process(dir.path(), &key);
    let mut keeper = PolicyKeeper::new(process.shared.clone());
    let broken = Snapshot {
        users: vec![
            User {
                name: "alice".into(),
                ..User::default()
            };
            2
        ],
        ..snapshot(2)
    };
    let (_, refused) = keeper.offer(&key.sign_snapshot(&broken)).unwrap_err();
    assert!(refused.to_string().contains("alice"), "{refused}");
    assert_eq!(handed_out(&mut process), Vec::<u64>::new());
}

#[test]
fn after_a_restart_the_spooled_snapshot_is_in_force_and_still_refuses_older_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let mut process = process(dir.path(), &key);
    PolicyKeeper::new(process.shared.clone())
        .offer(&key.sign_snapshot(&snapshot(6)))
        .unwrap();
    let mut restarted = PolicyKeeper::new(process.shared.clone());
    restarted.load_spooled().unwrap();
    assert_eq!(restarted.generation(), 6);
    assert!(restarted.offer(&key.sign_snapshot(&snapshot(5))).is_err());
    assert_eq!(handed_out(&mut process), [6, 6]);
}

#[test]
fn a_spooled_snapshot_that_was_changed_on_disk_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let process = process(dir.path(), &key);
    PolicyKeeper::new(process.shared.clone())
        .offer(&key.sign_snapshot(&snapshot(6)))
        .unwrap();
    let path = dir.path().join("snapshot.pb");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut restarted = PolicyKeeper::new(process.shared.clone());
    assert!(restarted.load_spooled().is_err());
    assert_eq!(restarted.generation(), 0);
}

#[test]
fn revoked_agents_are_known_with_the_snapshot_and_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let process = process(dir.path(), &key);
    let with = Snapshot {
        revoked_agents: vec![RevokedAgent {
            agent_id: "gone".into(),
            until_ms: i64::MAX,
        }],
        ..snapshot(2)
    };
    PolicyKeeper::new(process.shared.clone())
        .offer(&key.sign_snapshot(&with))
        .unwrap();
    assert!(process.shared.revoked.contains("gone") && !process.shared.revoked.contains("stays"));
    process.shared.revoked.replace(&snapshot(0));
    PolicyKeeper::new(process.shared.clone()).load_spooled().unwrap();
    assert!(process.shared.revoked.contains("gone"));
}
