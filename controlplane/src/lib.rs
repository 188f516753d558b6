//! The control plane: policy, identities, snapshots for data planes, and the store of what sessions did.
//!
//! [`start`] opens everything and listens; [`Running`] tells the addresses and stops it in order.

pub mod agents;
pub mod audit;
pub mod backup;
pub mod config;
pub mod domain;
pub mod http;
pub mod identity;
pub mod limits;
pub mod notify;
pub mod pki;
mod private_file;
pub mod publish;
pub mod replicas;
pub mod reviews;
mod setup;
pub mod store;
pub mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinHandle;

use crate::audit::intake::Intake;
use crate::config::Config;
use crate::domain::mistake::Mistake;
use crate::http::policy::apply;
use crate::http::problem::Problem;
use crate::http::rates::Rates;
use crate::identity::oidc::provider::Provider;
use crate::limits::{DRAIN_SECONDS_MAX, PASSWORD_CHECKS_MAX};
use crate::notify::Notifier;
use crate::pki::{Pki, PkiError};
use crate::publish::cancels::Cancels;
use crate::publish::orders::Orders;
use crate::publish::progress::Progress;
use crate::publish::{PublishError, Publisher};
use crate::reviews::Reviews;
use crate::store::secrets::EnvelopeKey;
use crate::store::{Location, Store, StoreError};

/// Removals that wait for slow streams to notice.
const REMOVALS_WAITING_MAX: usize = 64;

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is used by another control plane")]
    Locked { path: PathBuf },
    #[error("{0} belongs to another installation than the database")]
    OtherInstallation(PathBuf),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Bootstrap(#[from] agents::bootstrap::BootstrapError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the policy file is refused:\n{}", .0.iter().map(|m| format!("  {m}")).collect::<Vec<_>>().join("\n"))]
    PolicyFile(Vec<Mistake>),
}

/// Everything that requests and streams share.
pub struct App {
    pub config: Config,
    pub store: Store,
    pub pki: Arc<Pki>,
    pub publisher: Arc<Publisher>,
    pub progress: Progress,
    pub orders: Orders,
    /// Cancel requests between data planes.
    pub cancels: Cancels,
    pub reviews: Reviews,
    pub notifier: Notifier,
    pub intake: Intake,
    /// Which of the control planes on one store this is; another one after each start.
    pub replica: String,
    /// Ids of agents and data planes at the moment of their removal.
    pub removed: broadcast::Sender<String>,
    /// What credentials files say.
    pub control_url: String,
    /// Where people reach us, without a slash at the end.
    pub public_url: String,
    /// The identity provider, where there is one.
    pub provider: Option<Arc<Provider>>,
    /// How often callers ask.
    pub rates: Rates,
    /// Passwords that are checked at the same time.
    pub password_checks: Semaphore,
    admin_sha256: Vec<u8>,
}

/// A control plane that serves.
pub struct Running {
    /// Bound address of the REST API.
    pub api: SocketAddr,
    /// Bound address of the control listener.
    pub control: SocketAddr,
    pub app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    _lock: std::fs::File,
}

/// Opens keys and database, applies the policy file, and serves. When this returns, both listeners accept.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let lock = lock_data_dir(&config)?;
    let store = Store::open(&location(&config), &envelope_key(&config)?).await?;
    let (pki, admin_sha256) = setup::keys(&config, &store).await?;
    let pki = Arc::new(pki);
    let (api_listener, api) = listen(config.listen_api).await?;
    let review_url = config.api_url.clone().unwrap_or_else(|| format!("http://{api}"));
    let max_age_seconds = config.snapshot_max_age_seconds;
    let publisher = Publisher::open(store.clone(), pki.clone(), max_age_seconds, review_url.clone()).await?;
    let publisher = Arc::new(publisher);
    let (control_listener, control) = listen(config.listen_control).await?;
    let (tls, certificate) = pki::server_config(&pki)?;
    let (intake, intake_task) = Intake::start(store.clone(), pki.clone());
    let app = Arc::new(App {
        control_url: config
            .control_url
            .clone()
            .unwrap_or_else(|| format!("https://{control}")),
        admin_sha256,
        public_url: review_url.clone(),
        provider: config.oidc.clone().map(|oidc| Arc::new(Provider::new(oidc))),
        rates: Rates::new(config.requests_per_minute),
        password_checks: Semaphore::new(PASSWORD_CHECKS_MAX),
        store,
        pki: pki.clone(),
        publisher: publisher.clone(),
        progress: Progress::default(),
        orders: Orders::default(),
        cancels: Cancels::default(),
        reviews: Reviews::default(),
        notifier: Notifier::new(&config, review_url),
        intake,
        replica: uuid::Uuid::now_v7().to_string(),
        removed: broadcast::Sender::new(REMOVALS_WAITING_MAX),
        config,
    });
    if app.config.bootstrap_local {
        agents::bootstrap::local(&app).await?;
    }
    apply_policy_file(&app).await?;
    let stop = watch::Sender::new(false);
    let serving = vec![
        tokio::spawn(serve_api(app.clone(), api_listener, stop.subscribe())),
        tokio::spawn(wire::serve(app.clone(), control_listener, tls, stop.subscribe())),
    ];
    let background = vec![
        tokio::spawn(publisher.clone().keep_windows()),
        tokio::spawn(publisher.keep_fresh()),
        tokio::spawn(reviews::keep_time(app.clone())),
        tokio::spawn(replicas::run(app.clone())),
        tokio::spawn(notify::run(app.clone())),
        tokio::spawn(pki::renew_server_certificate(pki, certificate)),
        intake_task,
    ];
    Ok(Running {
        api,
        control,
        app,
        stop,
        serving,
        background,
        _lock: lock,
    })
}

impl Running {
    /// Stops listening, ends streams and requests in order within [`DRAIN_SECONDS_MAX`], and closes the database.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(DRAIN_SECONDS_MAX);
        for mut task in self.serving {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        for task in self.background {
            task.abort();
        }
        replicas::leave(&self.app).await;
        self.app.store.close().await;
    }
}

/// Two control planes on one directory would publish the same generations with different content.
fn lock_data_dir(config: &Config) -> Result<std::fs::File, StartError> {
    let file_error = |path: &PathBuf| {
        let path = path.clone();
        move |source| StartError::File { path, source }
    };
    private_file::make_dir(&config.data_dir).map_err(file_error(&config.data_dir))?;
    let path = config.data_dir.join("controlplane.lock");
    let file = std::fs::File::create(&path).map_err(file_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Locked { path }),
        Err(std::fs::TryLockError::Error(source)) => Err(StartError::File { path, source }),
    }
}

/// Where the configuration says that the database is.
pub fn location(config: &Config) -> Location {
    match &config.database_url {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::File(config.data_dir.join("controlplane.db")),
    }
}

/// The key that seals secrets at rest, as the configuration says; its file is made on the first start.
pub fn envelope_key(config: &Config) -> Result<EnvelopeKey, StoreError> {
    match &config.envelope_key {
        Some(hex) => EnvelopeKey::from_hex(hex),
        None => EnvelopeKey::open_file(&config.envelope_key_file),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

async fn apply_policy_file(app: &App) -> Result<(), StartError> {
    let Some(path) = &app.config.policy_file else {
        return Ok(());
    };
    let policy = std::fs::read_to_string(path).map_err(|source| StartError::File {
        path: path.clone(),
        source,
    })?;
    let wish = apply::Wish {
        policy,
        ..apply::Wish::default()
    };
    let applied = apply::handle(app, wish).await.map_err(|problem| match problem {
        Problem::Policy(mistakes) | Problem::Conflict(_, mistakes) => StartError::PolicyFile(mistakes),
        other => StartError::PolicyFile(vec![Mistake {
            place: String::new(),
            message: format!("{other:?}"),
        }]),
    })?;
    for warning in &applied.warnings {
        tracing::warn!("policy file: {warning}");
    }
    tracing::info!(
        changes = applied.changes.len(),
        generation = applied.generation,
        "policy file applied"
    );
    Ok(())
}

async fn serve_api(app: Arc<App>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let service = http::router(app).into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the API ended");
    }
}
