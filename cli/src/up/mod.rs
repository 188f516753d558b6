//! `sluice up`: the whole product on one machine, without questions.
//!
//! Control plane, data plane and agent are started in this order, supervised, and ended in order. Each child's
//! standard input is a pipe that only this process holds: closing it asks the child to drain and end, and the kernel closes
//! it for us however this process dies, so that no child survives it.

mod addresses;
mod child;
mod demo;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Program, Up};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::write_private;
use child::Child;
use plan::Plan;

/// How long one program may take until it listens, and the agent until it is linked.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often files and listeners are looked at while waiting.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often the data plane's list of connections' ports is looked at.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &Up) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run_all(options));
    runtime.shutdown_background();
    result
}

async fn run_all(options: &Up) -> Outcome {
    let mut stop = Stop {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let plan = Plan::make(options)?;
    let mut running = Running::default();
    let started = tokio::select! {
        started = start(&plan, options, &mut running) => started,
        () = stop.asked() => Err(Failure::Failed("stopped before everything was ready".to_owned())),
    };
    if let Err(failure) = started {
        running.end().await;
        return Err(failure);
    }
    loop {
        tokio::select! {
            () = stop.asked() => break,
            () = tokio::time::sleep(REFRESH_INTERVAL) => running.refresh(&plan),
        }
    }
    eprintln!("sluice up: stopping");
    running.end().await;
    Ok(())
}

/// The two signals that end everything.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What was started so far, in order.
#[derive(Default)]
struct Running {
    children: Vec<Child>,
    demo: Option<demo::Database>,
    written: String,
}

impl Running {
    /// Ends everything, each program after its sessions: the data plane first, because it tells the clients and hands its
    /// last audit records to the control plane; then the agent, which has no sessions left; then the control plane.
    async fn end(&mut self) {
        for program in [Program::Dataplane, Program::Agent, Program::Controlplane] {
            let (ending, others) = self
                .children
                .drain(..)
                .partition(|child: &Child| child.program() == program);
            self.children = others;
            let ending: Vec<Child> = ending;
            for child in ending {
                child.end().await;
            }
        }
        if let Some(demo) = self.demo.take() {
            demo.end().await;
        }
    }

    /// Writes `addresses.json` anew when a connection's own port came or went.
    fn refresh(&mut self, plan: &Plan) {
        if let Ok(text) = addresses::collect(&plan.data_dir)
            && text != self.written
            && addresses::write(&plan.data_dir, &text).is_ok()
        {
            self.written = text;
        }
    }
}

async fn start(plan: &Plan, options: &Up, running: &mut Running) -> Outcome {
    let demo = if options.demo {
        Some(demo::Database::start(&plan.data_dir).await?)
    } else {
        None
    };
    let demo_environment = demo.as_ref().map(demo::Database::environment).unwrap_or_default();
    let policy = match &demo {
        Some(database) => Some(database.write_policy(&plan.data_dir)?),
        None => options.policy.clone(),
    };
    running.demo = demo;

    let control = plan.controlplane(policy.as_deref())?;
    let (child, control_addresses) = Child::start(control, addresses::controlplane(&plan.data_dir)).await?;
    running.children.push(child);
    copy_admin_token(&plan.data_dir)?;

    let dataplane = plan.dataplane(&control_addresses)?;
    let (child, data_addresses) = Child::start(dataplane, addresses::dataplane(&plan.data_dir)).await?;
    running.children.push(child);

    let mut agent = plan.agent(&control_addresses, &data_addresses)?;
    agent.environment.extend(demo_environment);
    let (child, ()) = Child::start(agent, async { Ok(()) }).await?;
    running.children.push(child);
    addresses::accepting(&control_addresses, &data_addresses).await?;
    addresses::policy_in_force(&data_addresses).await?;

    // A program that is started again takes the ports it had, because clients and the others know these.
    for child in &running.children {
        child.keep_ports(plan.fixed_ports(child.program(), &control_addresses, &data_addresses));
    }
    running.refresh(plan);
    if running.written.is_empty() {
        return Err(Failure::Failed("addresses.json could not be written".to_owned()));
    }
    if let Some(database) = &running.demo {
        database.explain(&control_addresses.api, &data_addresses.postgres, &plan.data_dir);
    }
    output::line("ready");
    Ok(())
}

/// `DIR/admin.token`, for scripts that know only the directory of `up`.
fn copy_admin_token(data_dir: &Path) -> Outcome {
    let from = program_dir(data_dir, Program::Controlplane).join("admin.token");
    let token = std::fs::read_to_string(&from).with_context(|| format!("cannot read {}", from.display()))?;
    write_private(&data_dir.join("admin.token"), token.as_bytes())
}

/// Where one program keeps its things.
pub fn program_dir(data_dir: &Path, program: Program) -> PathBuf {
    data_dir.join(program.word())
}

/// The addresses as one JSON object.
pub fn addresses_json(control: &addresses::Controlplane, data: &addresses::Dataplane) -> serde_json::Value {
    json!({
        "api": control.api,
        "control": control.control,
        "postgres": data.postgres,
        "http": data.http,
        "links": data.links,
        "metrics": data.metrics,
        "connections": data.connections,
    })
}
