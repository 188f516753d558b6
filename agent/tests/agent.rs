//! The whole agent between a control plane, a data plane and a real PostgreSQL.

mod support;

use std::rc::Rc;
use std::time::Duration;

use agent::config::Config;
use agent::identity::{Credentials, IdentityError, Store, enrol, obtain, renew};
use agent::run::run;
use proto::policy::{SignedGrant, TargetGrant, TlsMode};
use proto::tunnel::{ColumnName, EndCause, Fault, Param};
use support::authority::Authority;
use support::control::{Control, TOKEN};
use support::gateway::{Gateway, Session, cancel, eventually, grant, within};
use support::postgres::Postgres;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tunnel::GrpcStatus;

const DATAPLANE: &str = "dataplane.sluice.internal";

/// Everything around a running agent.
struct World {
    authority: Rc<Authority>,
    control: Control,
    gateway: Gateway,
    _dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    agent: JoinHandle<()>,
}

impl World {
    async fn start(cores: u32, settings: &str) -> Self {
        let authority = Rc::new(Authority::new());
        let control = Control::start(authority.clone()).await;
        let gateway = Gateway::start(&authority, DATAPLANE, cores).await;
        let dir = tempfile::tempdir().unwrap();
        let creds = dir.path().join("creds.toml");
        std::fs::write(&creds, control.credentials(&authority, &[gateway.address()])).unwrap();
        let file = dir.path().join("agent.toml");
        let text = format!(
            "data_dir = {:?}\ncred_file = {creds:?}\nresource_name = \"tester\"\n{settings}",
            dir.path().join("data")
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), [], &[]).unwrap();
        let (stop, stopped) = oneshot::channel();
        let agent = tokio::task::spawn_local(async move {
            run(config, || (), async move { drop(stopped.await) }).await.unwrap();
        });
        Self {
            authority,
            control,
            gateway,
            _dir: dir,
            stop: Some(stop),
            agent,
        }
    }

    fn sign(&self, grant: &TargetGrant) -> SignedGrant {
        self.control.policy_key.sign_grant(grant)
    }

    async fn session(&self, id: u8, grant: &TargetGrant) -> Session {
        let session = Session::open(&self.gateway.link(), id, self.sign(grant), |_| ());
        session.accepted().await;
        session
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        within(&mut self.agent).await.unwrap();
    }
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

fn value(frames: &[(u8, Vec<u8>)]) -> String {
    let row = &frames.iter().find(|frame| frame.0 == b'D').expect("a row").1;
    String::from_utf8(row[6..].to_vec()).unwrap()
}

#[test]
fn it_enrols_links_once_per_core_and_drains() {
    local(async {
        let world = World::start(3, "metadata = { site = \"berlin\" }").await;
        world.gateway.linked(3).await;
        let hellos = world.gateway.hellos.borrow().clone();
        assert!(
            hellos
                .iter()
                .all(|hello| hello.name == "tester" && hello.instance == hellos[0].instance)
        );
        assert_eq!(hellos[0].metadata[0].value, "berlin");
        assert_eq!(*world.control.calls.borrow(), [proto::path::ENROL]);
        let links = world.gateway.links.clone();
        world.stop().await;
        eventually("links gone", || links.borrow().is_empty()).await;
    });
}

#[test]
fn a_cut_link_comes_back_at_once() {
    local(async {
        let world = World::start(1, "links = 2").await;
        world.gateway.linked(2).await;
        let cut = std::time::Instant::now();
        world.gateway.cut();
        world.gateway.linked(2).await;
        assert!(cut.elapsed() < Duration::from_secs(3), "{:?}", cut.elapsed());
        world.stop().await;
    });
}

#[test]
fn a_gateway_with_another_name_or_authority_is_not_linked() {
    local(async {
        for (stranger, name) in [(false, "controlplane.sluice.internal"), (true, DATAPLANE)] {
            let own = Rc::new(Authority::new());
            let control = Control::start(own.clone()).await;
            let signer = if stranger {
                Rc::new(Authority::new())
            } else {
                own.clone()
            };
            let gateway = Gateway::start(&signer, name, 1).await;
            let dir = tempfile::tempdir().unwrap();
            let creds = dir.path().join("creds.toml");
            std::fs::write(&creds, control.credentials(&own, &[gateway.address()])).unwrap();
            let overrides = [
                ("data_dir", dir.path().to_str().unwrap()),
                ("cred_file", creds.to_str().unwrap()),
            ];
            let config = Config::load(None, [], &overrides).unwrap();
            let stop = tokio::time::sleep(Duration::from_millis(800));
            within(run(config, || panic!("linked"), stop)).await.unwrap();
            assert_eq!(*control.calls.borrow(), [proto::path::ENROL]);
            assert!(gateway.hellos.borrow().is_empty());
        }
    });
}

#[test]
fn identity_is_kept_renewed_and_refused_for_a_reason() {
    local(async {
        let authority = Rc::new(Authority::new());
        let control = Control::start(authority.clone()).await;
        let dir = tempfile::tempdir().unwrap();
        let creds = dir.path().join("creds.toml");
        let text = control.credentials(&authority, &["127.0.0.1:1".to_owned()]);
        std::fs::write(&creds, &text).unwrap();
        let store = Store::new(&dir.path().join("data"), Some(&dir.path().join("agent.crt")));

        let first = obtain(&store, Some(&creds), "a").await.unwrap();
        assert_eq!((first.id.as_str(), first.pool.as_str()), ("agent-1", "office"));
        let again = obtain(&store, Some(&creds), "a").await.unwrap();
        assert_eq!(again.certificate, first.certificate);
        assert_eq!(control.calls.borrow().len(), 1, "a stored identity is used");
        std::fs::remove_file(&creds).unwrap();
        obtain(&store, Some(&creds), "a").await.unwrap();
        let certificate = std::fs::read_to_string(dir.path().join("agent.crt")).unwrap();
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));

        let renewed = renew(&first, &first.control_url, "a").await.unwrap();
        assert_ne!(renewed.certificate, first.certificate);
        assert_ne!(renewed.key_pem, first.key_pem);

        let wrong_token = Credentials::parse(&text.replace(TOKEN, "sle_wrong")).unwrap();
        let error = enrol(&wrong_token, "a").await.unwrap_err();
        assert!(error.to_string().contains("the token is not known"), "{error}");
        assert!(!error.is_transient() && !error.to_string().contains("sle_wrong"));
        let pin = authority.sha256();
        let wrong_pin = Credentials::parse(&text.replace(&pin, &pin.chars().rev().collect::<String>())).unwrap();
        let calls = control.calls.borrow().len();
        assert!(matches!(
            enrol(&wrong_pin, "a").await.unwrap_err(),
            IdentityError::ControlPlane { .. }
        ));
        assert_eq!(
            control.calls.borrow().len(),
            calls,
            "the token is not sent to a stranger"
        );
    });
}

#[test]
fn the_identity_file_is_private_and_a_readable_one_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    local(async {
        let authority = Rc::new(Authority::new());
        let control = Control::start(authority.clone()).await;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), None);
        let credentials = Credentials::parse(&control.credentials(&authority, &[])).unwrap();
        let identity = enrol(&credentials, "a").await.unwrap();
        store.save(&identity).unwrap();
        let file = dir.path().join("identity.toml");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{identity:?}").contains("PRIVATE"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(store.load().unwrap_err().to_string().contains("open to other users"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "id = 1").unwrap();
        assert!(store.load().unwrap_err().to_string().contains("damaged"));
    });
}

#[test]
fn grants_that_are_not_right_are_refused_before_anything_else() {
    local(async {
        let world = World::start(1, "").await;
        world.gateway.linked(1).await;
        let link = world.gateway.link();
        let mut signed = world.sign(&grant(1));
        signed.grant[3] ^= 1;
        let refuse = Session::open(&link, 1, signed, |_| ()).refused().await;
        assert_eq!((refuse.fault, refuse.sqlstate.as_str()), (Fault::Ours as i32, "08004"));
        assert!(refuse.message.contains("signature"), "{}", refuse.message);
        let other = TargetGrant {
            pool: "home".to_owned(),
            ..grant(1)
        };
        let refuse = Session::open(&link, 2, world.sign(&other), |_| ()).refused().await;
        assert!(refuse.message.contains("pool \"home\""), "{}", refuse.message);
        let secret = TargetGrant {
            password: "s3cret".to_owned(),
            ..grant(1)
        };
        let refuse = Session::open(&link, 3, world.sign(&secret), |_| ()).refused().await;
        assert!(refuse.message.contains("password cannot be resolved") && !refuse.message.contains("s3cret"));
        let refuse = Session::open(&link, 4, world.sign(&grant(support::postgres::free_port())), |_| ())
            .refused()
            .await;
        assert_eq!(
            (refuse.fault, refuse.sqlstate.as_str()),
            (Fault::Upstream as i32, "08001")
        );
        assert!(refuse.message.contains("not reachable"), "{}", refuse.message);
        world.stop().await;
    });
}

#[test]
fn a_real_target_is_used_through_several_sessions() {
    local(async {
        let world = World::start(1, "drain_timeout = \"300ms\"").await;
        let Some(postgres) = Postgres::start(&world.authority) else {
            return world.stop().await;
        };
        world.gateway.linked(1).await;
        queries_and_columns(&world, &postgres).await;
        tls_modes(&world, &postgres).await;
        refusals_of_the_target(&world, &postgres).await;
        cancels(&world, &postgres).await;
        bulk_and_a_stalled_reader(&world, &postgres).await;
        ends(&world, &postgres).await;
        drains(world, &postgres).await;
    });
}

async fn queries_and_columns(world: &World, postgres: &Postgres) {
    let column = |column: &str| ColumnName {
        schema: "public".into(),
        table: "t".into(),
        column: column.into(),
    };
    let mut session = Session::open(&world.gateway.link(), 1, world.sign(&grant(postgres.port)), |open| {
        open.params = vec![Param {
            name: "application_name".into(),
            value: "through sluice".into(),
        }];
        open.resolve_columns = vec![column("name"), column("no_such")];
    });
    let accept = session.accepted().await;
    assert!(accept.cancelable);
    assert!(accept.params.iter().any(|param| param.name == "server_version"));
    assert_eq!(accept.columns.len(), 1);
    assert_eq!((accept.columns[0].index, accept.columns[0].attribute), (0, 2));
    let oid = postgres.sql("select 'public.t'::regclass::oid");
    assert_eq!(accept.columns[0].table_oid.to_string(), oid);
    assert!(accept.relation_oid_max >= accept.columns[0].table_oid);
    session
        .query("select current_user || ' ' || current_setting('application_name')")
        .await;
    assert!(value(&session.frames().await).ends_with("app through sluice"));
    let mut other = world.session(2, &grant(postgres.port)).await;
    for round in 0..20 {
        session.query(&format!("select 'first {round}'")).await;
        other.query(&format!("select 'second {round}'")).await;
        assert!(value(&other.frames().await).ends_with(&format!("second {round}")));
        assert!(value(&session.frames().await).ends_with(&format!("first {round}")));
    }
}

async fn tls_modes(world: &World, postgres: &Postgres) {
    let encrypted = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";
    let authority = {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(&world.authority.der);
        format!("literal:-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    let cases = [
        (TlsMode::Disable, "127.0.0.1", "", Some("false")),
        (TlsMode::Prefer, "127.0.0.1", "", Some("true")),
        (TlsMode::Require, "127.0.0.1", "", Some("true")),
        (TlsMode::Require, "127.0.0.1", authority.as_str(), Some("true")),
        (TlsMode::VerifyFull, "localhost", authority.as_str(), Some("true")),
        // The certificate is for localhost, and the system does not trust its authority.
        (TlsMode::VerifyFull, "127.0.0.1", authority.as_str(), None),
        (TlsMode::VerifyFull, "localhost", "", None),
        (TlsMode::Require, "127.0.0.1", "literal:nonsense", None),
    ];
    for (mode, host, tls_ca, expected) in cases {
        let grant = TargetGrant {
            host: host.to_owned(),
            tls: mode as i32,
            tls_ca: tls_ca.to_owned(),
            ..grant(postgres.port)
        };
        let mut session = Session::open(&world.gateway.link(), 3, world.sign(&grant), |_| ());
        match expected {
            Some(expected) => {
                session.accepted().await;
                session.query(encrypted).await;
                assert!(value(&session.frames().await).ends_with(expected), "{mode:?} {host}");
            }
            None => {
                let refuse = session.refused().await;
                assert_eq!(refuse.sqlstate, "08001", "{mode:?} {host}");
                assert!(
                    refuse.message.starts_with("TLS to the target failed"),
                    "{}",
                    refuse.message
                );
            }
        }
    }
}

async fn refusals_of_the_target(world: &World, postgres: &Postgres) {
    let wrong = TargetGrant {
        password: "literal:wrong-password".to_owned(),
        ..grant(postgres.port)
    };
    let refuse = Session::open(&world.gateway.link(), 4, world.sign(&wrong), |_| ())
        .refused()
        .await;
    assert_eq!(refuse.sqlstate, "28P01");
    assert!(refuse.message.contains("refused the credentials"), "{}", refuse.message);
    assert!(
        !refuse.message.contains("app") && !refuse.message.contains("wrong-password"),
        "{}",
        refuse.message
    );
    let refuse = Session::open(&world.gateway.link(), 5, world.sign(&grant(postgres.port)), |open| {
        open.database = "no_such_database".to_owned();
    });
    let refuse = refuse.refused().await;
    assert_eq!(refuse.sqlstate, "3D000");
    assert!(refuse.message.contains("no_such_database"), "{}", refuse.message);
}

async fn cancels(world: &World, postgres: &Postgres) {
    let link = world.gateway.link();
    assert_eq!(cancel(&link, 99).await, GrpcStatus::NotFound);
    for mode in [TlsMode::Disable, TlsMode::Require] {
        let grant = TargetGrant {
            tls: mode as i32,
            ..grant(postgres.port)
        };
        let mut session = world.session(6, &grant).await;
        session.query("select pg_sleep(60)").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(cancel(&link, 6).await, GrpcStatus::Ok);
        let frames = session.frames().await;
        let error = frames.iter().find(|frame| frame.0 == b'E').expect("an error");
        assert!(String::from_utf8_lossy(&error.1).contains("57014"));
    }
}

async fn bulk_and_a_stalled_reader(world: &World, postgres: &Postgres) {
    let stalled = world.session(7, &grant(postgres.port)).await;
    stalled
        .query("select repeat('x', 1000) from generate_series(1, 200000)")
        .await;
    // Nobody reads this session; others go on, and it ends in order when its stream is dropped.
    let mut bulk = world.session(8, &grant(postgres.port)).await;
    bulk.query("select repeat('y', 1000) from generate_series(1, 20000)")
        .await;
    let frames = bulk.frames().await;
    assert_eq!(frames.iter().filter(|frame| frame.0 == b'D').count(), 20_000);
    let long = format!("select length('{}')", "z".repeat(3_000_000));
    bulk.query(&long).await;
    assert!(value(&bulk.frames().await).ends_with("3000000"));
    drop(stalled);
    for _ in 0..100 {
        if postgres.sql("select count(*) from pg_stat_activity where query like '%200000%' and usename = 'app'") == "0"
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the dropped session still runs at the target");
}

async fn ends(world: &World, postgres: &Postgres) {
    let mut session = world.session(9, &grant(postgres.port)).await;
    session.query("select pg_backend_pid()").await;
    let frames = session.frames().await;
    let pid = value(&frames);
    postgres.sql(&format!(
        "select pg_terminate_backend({})",
        pid.trim_start_matches(|c: char| !c.is_ascii_digit())
    ));
    let (tag, body) = session.frame().await.unwrap();
    assert_eq!(tag, b'E');
    assert!(String::from_utf8_lossy(&body).contains("57P01"));
    let end = session.frame().await.unwrap_err().expect("the agent says how it ended");
    assert_eq!(end.cause, EndCause::UpstreamLost as i32);

    let mut session = world.session(10, &grant(postgres.port)).await;
    session.send(&[b'X', 0, 0, 0, 4]).await;
    session.stream.finish(GrpcStatus::Ok, "");
    let end = session.frame().await.unwrap_err().expect("the agent says how it ended");
    assert_eq!(end.cause, EndCause::Closed as i32);
}

async fn drains(world: World, postgres: &Postgres) {
    let mut session = world.session(11, &grant(postgres.port)).await;
    session.query("select 1").await;
    session.frames().await;
    let stopping = tokio::task::spawn_local(world.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    session.query("select 'still here'").await;
    assert!(
        value(&session.frames().await).ends_with("still here"),
        "a running session goes on while draining"
    );
    let end = session.frame().await.unwrap_err().expect("the agent says how it ended");
    assert_eq!(end.cause, EndCause::AgentDraining as i32);
    within(stopping).await.unwrap();
}
