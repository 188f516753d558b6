//! One supervised child: started, waited for, started again when it dies, and ended through its standard input.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::READY_TIMEOUT;
use super::plan::Spec;
use crate::args::Program;
use crate::failure::{Failure, Outcome};

/// First and longest pause before a dead child is started again.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A child that lived this long died by accident, not by its configuration.
const RESTART_HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// How long a child may take to end in order before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(45);

/// A running program and the task that watches it.
pub struct Child {
    spec: Arc<Mutex<Spec>>,
    program: Program,
    ending: watch::Sender<bool>,
    watcher: JoinHandle<()>,
}

/// One life of the program.
struct Life {
    process: tokio::process::Child,
    input: Option<ChildStdin>,
    ready: oneshot::Receiver<()>,
}

impl Child {
    /// Starts a program and waits until it is ready: until `found` gives where it listens, after it said `ready` where
    /// it does that. A program that ends before is not started again.
    pub async fn start<T>(spec: Spec, found: impl Future<Output = Outcome<T>>) -> Outcome<(Self, T)> {
        let program = spec.program;
        let Life {
            mut process,
            input,
            ready,
        } = Life::begin(&spec)?;
        let says_ready = spec.says_ready;
        let settled = async {
            if says_ready {
                match timeout(READY_TIMEOUT, ready).await {
                    Ok(Ok(())) => {}
                    // Its output ended first, so its exit is near and says why.
                    Ok(Err(_)) => std::future::pending().await,
                    Err(_) => {
                        return Err(Failure::Failed(format!(
                            "{} was not ready in time",
                            program.file_name()
                        )));
                    }
                }
            }
            found.await
        };
        let found = tokio::select! {
            found = settled => found?,
            status = process.wait() => return Err(early(program, status.ok())),
        };
        let (ending, ended) = watch::channel(false);
        let spec = Arc::new(Mutex::new(spec));
        let life = Life {
            process,
            input,
            ready: oneshot::channel().1,
        };
        let watcher = tokio::spawn(supervise(spec.clone(), life, ended));
        Ok((
            Self {
                spec,
                program,
                ending,
                watcher,
            },
            found,
        ))
    }

    /// Which program it is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Environment for later lives.
    pub fn keep_ports(&self, environment: Vec<(String, String)>) {
        self.spec
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .environment
            .extend(environment);
    }

    /// Asks the program to drain and end, and waits for it.
    pub async fn end(self) {
        self.ending.send_replace(true);
        let _ = self.watcher.await;
    }
}

impl Life {
    fn begin(spec: &Spec) -> Outcome<Self> {
        let mut process = Command::new(&spec.file)
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A terminal's Ctrl-C is for this process, which then ends its children in order.
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::Failed(format!("cannot start {}: {error}", spec.file.display())))?;
        let input = process.stdin.take();
        let (tell, ready) = oneshot::channel();
        if let Some(output) = process.stdout.take() {
            let program = spec.program;
            tokio::spawn(async move {
                let mut tell = Some(tell);
                let mut lines = BufReader::new(output).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    match (line.trim(), tell.take()) {
                        ("ready", Some(tell)) => drop(tell.send(())),
                        (_, kept) => {
                            tell = kept;
                            eprintln!("{}: {line}", program.word());
                        }
                    }
                }
            });
        }
        Ok(Self { process, input, ready })
    }

    /// Closes the program's standard input and waits; kills what does not end.
    async fn end(mut self, program: Program) {
        drop(self.input.take());
        if timeout(END_TIMEOUT, self.process.wait()).await.is_err() {
            eprintln!("sluice up: {} did not end in time and is killed", program.word());
            let _ = self.process.kill().await;
        }
    }
}

async fn supervise(spec: Arc<Mutex<Spec>>, mut life: Life, mut ending: watch::Receiver<bool>) {
    let program = spec.lock().unwrap_or_else(PoisonError::into_inner).program;
    let mut pause = RESTART_PAUSE_MIN;
    loop {
        let started = Instant::now();
        let status = tokio::select! {
            () = asked(&mut ending) => return life.end(program).await,
            status = life.process.wait() => status.ok(),
        };
        if started.elapsed() >= RESTART_HEALTHY_AFTER {
            pause = RESTART_PAUSE_MIN;
        }
        life = loop {
            eprintln!(
                "sluice up: {} ended ({}); it is started again in {pause:?}",
                program.word(),
                shown(status)
            );
            tokio::select! {
                () = asked(&mut ending) => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(RESTART_PAUSE_MAX);
            let spec = spec.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match Life::begin(&spec) {
                Ok(life) => break life,
                Err(failure) => eprintln!("sluice up: {failure}"),
            }
        };
    }
}

async fn asked(ending: &mut watch::Receiver<bool>) {
    // A closed channel means that whoever holds the child is gone, which is the end too.
    let _ = ending.wait_for(|ending| *ending).await;
}

fn early(program: Program, status: Option<ExitStatus>) -> Failure {
    let text = format!("{} ended before it was ready ({})", program.file_name(), shown(status));
    // 2 is what every program of ours says about its configuration.
    match status.and_then(|status| status.code()) {
        Some(2) => Failure::Usage(text),
        _ => Failure::Failed(text),
    }
}

fn shown(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string())
}
