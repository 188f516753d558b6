//! From a configuration to running threads, and to their end.

use crate::config::Config;
use crate::control;
use crate::control::listeners::{self, Bound};
use crate::core::message::{ControlMessage, Listen, Message};
use crate::core::shared::{Shared, TlsConfigs};
use crate::core::{Core, NO_SESSION, handle, wall_micros};
use crate::flight;
use crate::identity::Identity;
use crate::limits::{COUNTERS_INTERVAL, MAILBOX_MESSAGES_MAX, SEAL_INTERVAL, STAGE_INTERVAL};
use crate::link::revoked::RevokedAgents;
use crate::record::recover::{Recovered, recover};
use crate::record::spool::{Sealer, Spool};
use crate::record::{SpoolState, spool_dir};
use crate::tls;
use anyhow::Context;
use reactor::{BackendChoice, Receiver};
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

const CONTROL_MESSAGES_MAX: usize = 4096;

/// Starts logging to standard error.
pub fn log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    if config.log_json {
        builder.json().init()
    } else {
        builder.init()
    }
}

/// Runs the data plane until it is told to end.
pub fn run(config: Config, parent_stdin: bool) -> anyhow::Result<()> {
    raise_descriptor_limit();
    if let Err(error) = reactor::forgo_huge_pages() {
        tracing::warn!(%error, "idle sessions will take more memory: huge pages cannot be turned off");
    }
    std::fs::create_dir_all(&config.data_dir).with_context(|| format!("{}", config.data_dir.display()))?;
    let identity =
        control_core(&config)?.run(control::enrol::identity(&config.data_dir, config.cred_file.as_deref()))?;
    if let Some(level) = config.scan_level {
        let refused = |level: scan::Level| anyhow::anyhow!("scan_level: \"{}\" cannot be used", level.name());
        level.force().map_err(refused)?;
    }
    if let Some(path) = &config.access_log {
        crate::http::access_log::start(path, config.access_log_format)
            .with_context(|| format!("access_log: {}", path.display()))?;
    }
    let sealer = Sealer {
        dataplane_id: identity.id.clone(),
        key: identity.audit_key.clone(),
    };
    let recovered = recover(&spool_dir(&config.data_dir), &sealer).context("the audit spool")?;
    if recovered.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovered.torn_bytes,
            "a torn audit record was cut off; nothing that it stood for had been answered"
        );
    }
    let Bound {
        listeners,
        metrics,
        per_core,
    } = listeners::bind_fixed(&config)?;
    let (control_sender, control_messages) = reactor::mailbox(CONTROL_MESSAGES_MAX);
    let (senders, mailboxes): (Vec<_>, Vec<_>) = config
        .cores
        .iter()
        .map(|_| reactor::mailbox::<Message>(MAILBOX_MESSAGES_MAX))
        .unzip();
    let spool = SpoolState::new(config.spool_bytes_max, recovered.bytes);
    let revoked = Arc::<RevokedAgents>::default();
    let tls = tls_configs(&config, &identity, revoked.clone())?;
    let shared = Shared::new(config, identity, tls, senders, control_sender.clone(), spool, revoked);
    flight::dump_on_panic(&shared);
    let threads = start_cores(&shared, mailboxes, per_core, &recovered, &sealer)?;
    watch_for_the_end(&shared, control_sender, parent_stdin)?;
    control_core(&shared.config)?.run(control::run(shared.clone(), listeners, metrics, control_messages));
    for thread in threads {
        if thread.join().is_err() {
            anyhow::bail!("a data core ended in a panic; see the log");
        }
    }
    tracing::info!("ended in order");
    Ok(())
}

fn tls_configs(config: &Config, identity: &Identity, revoked: Arc<RevokedAgents>) -> anyhow::Result<TlsConfigs> {
    Ok(TlsConfigs {
        links: tls::link_server(identity, revoked)?,
        clients: tls::client_server(&config.client_tls, config.client_certificates.as_ref(), identity)
            .context("client_tls")?,
    })
}

/// The control thread's reactor: never pinned, and content with few buffers.
fn control_core(config: &Config) -> anyhow::Result<reactor::Core> {
    reactor::Core::new(reactor::Config {
        backend: config.backend,
        ..reactor::Config::default()
    })
    .context("the reactor")
}

fn start_cores(
    shared: &Arc<Shared>,
    mailboxes: Vec<Receiver<Message>>,
    per_core: Vec<Vec<Listen>>,
    recovered: &Recovered,
    sealer: &Sealer,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for (index, (mailbox, listens)) in mailboxes.into_iter().zip(per_core).enumerate() {
        let end = recovered.ends.get(&(index as u32)).copied().unwrap_or_default();
        let dir = spool_dir(&shared.config.data_dir);
        let spool = Spool::open(
            &dir,
            index as u32,
            end,
            sealer.clone(),
            shared.spool.clone(),
            wall_micros(),
        )
        .context("the audit spool")?;
        let cpu = shared.config.cores[index];
        let config = reactor::Config {
            backend: shared.config.backend,
            pin: shared.config.pin.then_some(cpu),
            ..reactor::Config::default()
        };
        let shared = shared.clone();
        let thread = std::thread::Builder::new()
            .name(format!("core-{index}"))
            .spawn(move || serve_core(index, config, shared, spool, mailbox, listens))?;
        threads.push(thread);
    }
    Ok(threads)
}

fn serve_core(
    index: usize,
    config: reactor::Config,
    shared: Arc<Shared>,
    spool: Spool,
    mailbox: Receiver<Message>,
    listens: Vec<Listen>,
) {
    let choice = config.backend;
    let reactor = match reactor::Core::new(config) {
        Ok(reactor) => reactor,
        Err(error) => {
            // Without this core its listeners' sockets would swallow clients: the process must not go on.
            tracing::error!(index, %error, "a data core cannot start");
            std::process::exit(1);
        }
    };
    if shared.backend.set(reactor.backend()).is_ok() {
        let reason = reactor
            .fallback()
            .map(ToString::to_string)
            .filter(|_| choice == BackendChoice::Auto);
        tracing::info!(backend = %reactor.backend(), reason, scan_level = scan::Level::best().name(), cores = shared.cores.len(), "data cores run");
    }
    reactor.run(core_main(index, shared, spool, mailbox, listens));
}

async fn core_main(
    index: usize,
    shared: Arc<Shared>,
    spool: Spool,
    mut mailbox: Receiver<Message>,
    listens: Vec<Listen>,
) {
    let core = Core::new(index, shared, spool);
    let hooked = Rc::downgrade(&core);
    reactor::Core::set_pre_submit(move || hooked.upgrade().map_or(Ok(()), |core| core.flush_spool()));
    let keeper = reactor::spawn(keep_spool(core.clone()));
    let counters = reactor::spawn(keep_counters(core.clone()));
    for listen in listens {
        crate::listener::start(&core, listen);
    }
    while let Some(message) = mailbox.recv().await {
        let last = matches!(message, Message::Stop);
        handle(&core, message);
        if last {
            break;
        }
    }
    keeper.abort();
    counters.abort();
    reactor::yield_now().await;
    core.close_spool();
}

/// Appends what was staged, writes events that no send waited for, and seals. Sleeps while there is nothing to do.
async fn keep_spool(core: Rc<Core>) {
    let mut sealed_at = reactor::now();
    loop {
        if core.spool_is_quiet() {
            core.spool_grew.notified().await;
        }
        reactor::sleep(STAGE_INTERVAL).await;
        let mut written = core.write_spool();
        if reactor::now().duration_since(sealed_at) >= SEAL_INTERVAL {
            sealed_at = reactor::now();
            written = written.and_then(|()| core.seal_spool());
        }
        if let Err(error) = written {
            core.note(flight::Kind::SpoolFailed, 0, &NO_SESSION);
            tracing::error!(%error, "the audit spool cannot be written");
        }
    }
}

/// Shows the metrics port what only this thread can count.
async fn keep_counters(core: Rc<Core>) {
    loop {
        core.metrics().note_buffers();
        reactor::sleep(COUNTERS_INTERVAL).await;
    }
}

/// Turns SIGTERM, SIGINT and, if asked for, the end of standard input into one orderly end; SIGUSR1 writes the flight recorder.
fn watch_for_the_end(
    shared: &Arc<Shared>,
    control: reactor::Sender<ControlMessage>,
    parent_stdin: bool,
) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
    let on_signal = control.clone();
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            match (signal, shared.upgrade()) {
                (SIGUSR1, Some(shared)) => {
                    flight::tell(&flight::dump(&shared.flight, &shared.config.data_dir, "asked"))
                }
                (SIGUSR1, None) => {}
                _ => drop(on_signal.try_send(ControlMessage::Stop)),
            }
        }
    })?;
    if parent_stdin {
        std::thread::Builder::new().name("parent".into()).spawn(move || {
            let mut sink = [0; 256];
            while std::io::stdin().read(&mut sink).is_ok_and(|read| read > 0) {}
            drop(control.try_send(ControlMessage::Stop));
        })?;
    }
    Ok(())
}

/// Sockets need descriptors: the soft limit goes up to the hard one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}
