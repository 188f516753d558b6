//! `sluice-controlplane`: reads the configuration, starts the control plane, and stops it on SIGTERM or SIGINT.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use controlplane::config::{Config, LogFormat};
use controlplane::store::Store;
use controlplane::store::secrets::EnvelopeKey;
use controlplane::{Running, StartError, backup, envelope_key, location};
use tokio::signal::unix::{SignalKind, signal};

/// The control plane of Sluice: policy, identities, audit.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where database, keys and tokens are kept; wins over the file.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Policy file to apply before anything is served.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Make the pool `local` and credentials for one data plane and one agent beside us.
    #[arg(long)]
    bootstrap_local: bool,
    /// End when standard input ends: whoever started this program is gone.
    #[arg(long)]
    parent_stdin: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What it does instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write a backup into a new directory; control planes may run meanwhile.
    Backup { dir: PathBuf },
    /// Put a backup into an empty data directory, and for PostgreSQL into an empty database. No control plane may run.
    Restore { dir: PathBuf },
    /// Seal the stored secrets with the key in another file, which is made if it is not there. Control planes that are
    /// started afterwards need that one.
    ChangeEnvelopeKey { file: PathBuf },
}

/// Wrong configuration or policy.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let command = arguments.command.take();
    let parent_stdin = arguments.parent_stdin;
    let config = match configuration(arguments) {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("configuration: {mistake}");
            }
            return ExitCode::from(WRONG);
        }
    };
    if let Err(error) = log(&config) {
        eprintln!("configuration: log_level: {error}");
        return ExitCode::from(WRONG);
    }
    let done = match command {
        None => serve(config, parent_stdin),
        Some(command) => run(config, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-controlplane: {error:#}");
            match error.downcast_ref::<StartError>() {
                Some(StartError::PolicyFile(_)) => ExitCode::from(WRONG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn configuration(arguments: Arguments) -> Result<Config, Vec<String>> {
    let file = match &arguments.config {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|e| vec![format!("{}: {e}", path.display())])?,
    };
    let config = Config::resolve(&file, std::env::vars(), arguments.data_dir)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(Config {
        bootstrap_local: arguments.bootstrap_local,
        policy_file: arguments.policy,
        ..config
    })
}

fn log(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

#[tokio::main]
async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Backup { dir } => {
            let bytes = backup::backup(&config, &dir).await?;
            println!("{bytes} bytes in {}", dir.display());
            println!("keep the envelope key apart from it: without that key the stored secrets cannot be read");
        }
        Command::Restore { dir } => {
            backup::restore(&config, &dir).await?;
            println!("restored; start the control plane");
        }
        Command::ChangeEnvelopeKey { file } => {
            let store = Store::open(&location(&config), &envelope_key(&config)?).await?;
            store.change_envelope_key(&EnvelopeKey::open_file(&file)?).await?;
            store.close().await;
            println!("sealed with the key in {}", file.display());
        }
    }
    Ok(())
}

#[tokio::main]
async fn serve(config: Config, parent_stdin: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let addresses = config.data_dir.join("controlplane.addresses.json");
    let running = controlplane::start(config).await?;
    write_addresses(&running, &addresses).with_context(|| addresses.display().to_string())?;
    tracing::info!(api = %running.api, control = %running.control, "serving");
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent_gone(parent_stdin) => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

/// Returns at the end of standard input; never, when it is not to be watched.
async fn parent_gone(watched: bool) {
    if !watched {
        return std::future::pending().await;
    }
    let (gone, told) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(gone);
    });
    let _ = told.await;
}

/// Written whole and renamed, so that whoever waits for the file never reads half of it.
fn write_addresses(running: &Running, path: &std::path::Path) -> anyhow::Result<()> {
    let text = serde_json::json!({
        "api": format!("http://{}", running.api),
        "control": format!("https://{}", running.control),
    });
    let fresh = path.with_extension("json.new");
    std::fs::write(&fresh, format!("{text}\n"))?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}
