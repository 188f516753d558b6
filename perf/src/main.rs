//! `sluice-perf`: the load generators and stand-ins of the benchmarks; `perf/run` starts it and reads the JSON it prints.

mod client;
mod input;
#[cfg(feature = "links")]
mod links;
mod load;
mod login;
mod server;
mod tally;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "sluice-perf", about = "Load generators and stand-ins of the benchmarks")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A replayed PostgreSQL server: real logins, canned answers, large results from memory.
    Server(server::Options),
    /// Writes rows as COPY text to standard output, to fill a real server with the same data.
    Rows(server::rows::Options),
    /// Small prepared queries: closed loop, or a fixed rate with latency counted from the scheduled start.
    Queries(load::queries::Options),
    /// Large results, read as fast as they come, paced, or not at all.
    Bulk(load::bulk::Options),
    /// Logins one after another in several workers.
    Logins(load::logins::Options),
    /// Sessions that log in and then only stay.
    Idle(load::idle::Options),
    /// Agents' links that connect, are greeted, and connect again.
    #[cfg(feature = "links")]
    Links(links::Options),
}

fn main() -> Result<()> {
    raise_open_files();
    match Arguments::parse().command {
        Command::Server(options) => server::run(&options),
        Command::Rows(options) => server::rows::print(&options),
        Command::Queries(options) => load::queries::run(&options),
        Command::Bulk(options) => load::bulk::run(&options),
        Command::Logins(options) => load::logins::run(&options),
        Command::Idle(options) => load::idle::run(&options),
        #[cfg(feature = "links")]
        Command::Links(options) => links::run(&options),
    }
}

/// Thousands of sockets need more descriptors than the usual soft limit.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Too few descriptors show up as failed connects, which are counted.
    let _ = setrlimit(Resource::Nofile, raised);
}
