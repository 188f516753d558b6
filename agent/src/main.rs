//! `sluice-agent`: command line, log, signals.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use agent::config::{Config, LogFormat};
use agent::run::run;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Sits in a private network, dials out only, reaches the targets for Sluice.
///
/// Every key of the configuration file is also SLUICE_AGENT_<KEY> in the environment; options win over both.
#[derive(Parser)]
#[command(name = "sluice-agent", version)]
struct Arguments {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where key and certificate are kept.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Credentials file made by `sluice pools keys create POOL`.
    #[arg(long, value_name = "FILE")]
    cred_file: Option<String>,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
    /// Drain and exit when standard input ends: whoever started this program is gone.
    #[arg(long)]
    parent_stdin: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let overrides: Vec<(&str, &str)> = [("data_dir", &arguments.data_dir), ("cred_file", &arguments.cred_file)]
        .into_iter()
        .filter_map(|(key, value)| value.as_deref().map(|value| (key, value)))
        .collect();
    let environment =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let config = match Config::load(arguments.config.as_deref(), environment, &overrides) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("sluice-agent: {error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = start_log(&config) {
        eprintln!("sluice-agent: log_level: {error}");
        return ExitCode::from(2);
    }
    if arguments.check {
        println!("the configuration is in order");
        return ExitCode::SUCCESS;
    }
    match serve(config, arguments.parent_stdin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config, parent_stdin: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let orphaned = watch_parent(parent_stdin);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = orphaned => tracing::info!("standard input ended: whoever started this program is gone"),
            }
        };
        anyhow::Ok(run(config, || println!("ready"), stop).await?)
    });
    // Name look-ups and file reads that still block must not hold up the exit.
    runtime.shutdown_background();
    result
}

/// Resolves at the end of standard input; never, when it is not to be watched.
async fn watch_parent(watched: bool) {
    if !watched {
        return std::future::pending().await;
    }
    let (gone, told) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut bytes = [0_u8; 64];
        while !matches!(input.read(&mut bytes), Ok(0) | Err(_)) {}
        drop(gone);
    });
    let _ = told.await;
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::builder().parse(&config.log_level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
