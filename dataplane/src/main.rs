//! `sluice-dataplane`: terminates clients, judges and redacts what they send and get, records it, relays it.

mod config;
mod control;
mod core;
mod drain;
mod flight;
mod http;
mod identity;
mod limits;
mod link;
mod listener;
mod metrics;
mod probe;
mod record;
mod relay;
mod start;
mod tls;
mod transport;
mod upstream;

use clap::Parser;
use config::Written;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_USAGE: u8 = 2;

/// Terminates clients, judges, redacts, records and relays.
#[derive(Parser)]
#[command(name = "sluice-dataplane", version)]
struct Arguments {
    /// TOML file; every key is also an environment variable `SLUICE_DATAPLANE_<KEY>`.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Keys, the last snapshot and the audit spool live here.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// One-time credentials for the first start.
    #[arg(long)]
    cred_file: Option<PathBuf>,
    /// End when standard input ends: the parent is gone.
    #[arg(long)]
    parent_stdin: bool,
    /// Find out what the kernel allows, print it and exit.
    #[arg(long)]
    probe: bool,
    /// With `--probe`: print JSON.
    #[arg(long)]
    json: bool,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.probe {
        return probe::print(arguments.json);
    }
    let written = Written {
        data_dir: arguments.data_dir,
        cred_file: arguments.cred_file,
        ..Written::default()
    };
    let config = match config::load(arguments.config.as_deref(), std::env::vars(), written) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("sluice-dataplane: {mistakes}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if arguments.check {
        println!("the configuration is good");
        return ExitCode::SUCCESS;
    }
    start::log(&config);
    match start::run(config, arguments.parent_stdin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-dataplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}
