//! Runs an agent from its configuration to its orderly end: identity, threads, links, renewal, drain.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::agent::{Agent, Phase, reached};
use crate::config::Config;
use crate::identity::{IdentityError, Store, keep_fresh, obtain};
use crate::limits;
use crate::link::{keep_gateway, keep_link};

/// Why the agent could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nothing to dial.
    #[error("no gateways: neither the configuration nor the credentials file names any")]
    NoGateways,
    /// The host refused something.
    #[error("{what}: {error}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        error: std::io::Error,
    },
}

/// Work for one of the link threads.
struct Job {
    gateway: String,
    index: usize,
    wanted: watch::Sender<usize>,
}

/// Runs until `stop` resolves and everything has drained; calls `on_ready` when links serve sessions. Needs a `LocalSet`.
///
/// # Errors
/// [`RunError`] when the agent cannot start; once it runs, it goes on until it is stopped.
pub async fn run(
    config: Config,
    on_ready: impl FnOnce() + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    tokio::pin!(stop);
    let name = name(&config);
    let store = Store::new(&config.data_dir, config.cert_path.as_deref());
    let identity = tokio::select! {
        identity = obtain(&store, config.cred_file.as_deref(), &name) => Arc::new(identity?),
        () = &mut stop => return Ok(()),
    };
    let gateways = match config.gateways.as_slice() {
        [] => identity.gateways.clone(),
        configured => configured.to_vec(),
    };
    if gateways.is_empty() {
        return Err(RunError::NoGateways);
    }
    let mut instance = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut instance).map_err(|_| RunError::Host {
        what: "randomness",
        error: std::io::ErrorKind::Other.into(),
    })?;
    let (life, phase) = watch::channel(Phase::Running);
    let current = Arc::new(watch::channel(identity).0);
    let agent = Agent::new(config, name, instance, current.subscribe(), phase);
    if let Some(address) = agent.config.http_port {
        let what = "cannot listen for /liveness and /ready";
        let listener = crate::health::bind(address)
            .await
            .map_err(|error| RunError::Host { what, error })?;
        tokio::spawn(crate::health::serve(listener, agent.clone()));
    }
    tokio::task::spawn_local(keep_fresh(
        current,
        store,
        agent.config.control_url.clone(),
        agent.name.clone(),
    ));
    let threads = Threads::start(&agent)?;
    for gateway in gateways {
        let start = threads.starter(gateway);
        tokio::task::spawn_local(keep_gateway(agent.clone(), start));
    }
    let serving = agent.clone();
    tokio::task::spawn_local(async move {
        serving.serving().await;
        on_ready();
    });
    stop.await;
    drain(&agent, &life, threads).await;
    Ok(())
}

async fn drain(agent: &Agent, life: &watch::Sender<Phase>, threads: Threads) {
    tracing::info!(timeout_s = agent.config.drain_timeout.as_secs(), "draining");
    life.send_replace(Phase::Draining);
    let mut ended = threads.ended();
    if tokio::time::timeout(agent.config.drain_timeout, ended.recv())
        .await
        .is_err()
    {
        life.send_replace(Phase::Ending);
        let _ = tokio::time::timeout(limits::DRAIN_GRACE, ended.recv()).await;
    }
    tracing::info!("stopped");
}

/// Name of the agent for people: as configured, or the host's when that may be told, or a neutral one.
fn name(config: &Config) -> String {
    match &config.resource_name {
        Some(name) => name.clone(),
        None if config.use_hostname => crate::host_name(),
        None => "agent".to_owned(),
    }
}

/// Threads that run links: all of a link's sessions live on its thread, so that nothing between socket and link is locked.
struct Threads {
    queues: Vec<mpsc::UnboundedSender<Job>>,
    handles: Vec<JoinHandle<()>>,
    /// Held by every thread; the channel closes when the last one has ended.
    alive: mpsc::Receiver<()>,
}

impl Threads {
    fn start(agent: &Arc<Agent>) -> Result<Self, RunError> {
        let count = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(limits::LINKS_MAX);
        let (holder, alive) = mpsc::channel(1);
        let mut threads = Self {
            queues: Vec::new(),
            handles: Vec::new(),
            alive,
        };
        for index in 0..count {
            let (queue, jobs) = mpsc::unbounded_channel();
            let (agent, holder) = (agent.clone(), holder.clone());
            let handle = std::thread::Builder::new()
                .name(format!("link-{index}"))
                .spawn(move || {
                    run_thread(agent, jobs);
                    drop(holder);
                })
                .map_err(|error| RunError::Host {
                    what: "cannot start a thread",
                    error,
                })?;
            threads.queues.push(queue);
            threads.handles.push(handle);
        }
        Ok(threads)
    }

    /// Puts the link with an index on a thread; links of one gateway are spread over all of them.
    fn starter(&self, gateway: String) -> impl Fn(usize, watch::Sender<usize>) + use<> {
        let queues = self.queues.clone();
        move |index, wanted| {
            let job = Job {
                gateway: gateway.clone(),
                index,
                wanted,
            };
            if let Some(queue) = queues.get(index % queues.len().max(1)) {
                // A thread that is gone is draining, and wants no more links.
                let _ = queue.send(job);
            }
        }
    }

    fn ended(self) -> mpsc::Receiver<()> {
        self.alive
    }
}

fn run_thread(agent: Arc<Agent>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a link thread cannot start"),
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let draining = reached(agent.phase.clone(), Phase::Draining);
        tokio::pin!(draining);
        let mut links = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                () = &mut draining => break,
                job = jobs.recv() => match job {
                    Some(job) => {
                        links.spawn_local(keep_link(agent.clone(), job.gateway, job.index, job.wanted));
                    }
                    None => break,
                },
            }
        }
        while links.join_next().await.is_some() {}
    });
}
