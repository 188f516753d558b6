//! What `sluice up` starts: program files, options and environment of each child.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::Table;

use super::addresses::{self, Controlplane, Dataplane, reachable};
use super::program_dir;
use crate::args::{Program, Up};
use crate::failure::{Failure, Outcome};
use crate::programs;
use crate::settings::write_private;

/// One child, ready to be started.
#[derive(Debug, Clone)]
pub struct Spec {
    pub program: Program,
    pub file: PathBuf,
    pub arguments: Vec<String>,
    /// Laid over the inherited environment.
    pub environment: Vec<(String, String)>,
    /// The program prints `ready` on its standard output when it is.
    pub says_ready: bool,
}

/// Everything that does not change while `up` runs.
pub struct Plan {
    pub data_dir: PathBuf,
    configs: Table,
}

const PROGRAMS: [Program; 3] = [Program::Controlplane, Program::Dataplane, Program::Agent];

impl Plan {
    /// Makes the directories and reads `--config`.
    pub fn make(options: &Up) -> Outcome<Self> {
        let configs = match &options.config {
            Some(file) => read_configs(file)?,
            None => Table::new(),
        };
        let dir = &options.data_dir;
        for dir in PROGRAMS
            .iter()
            .map(|program| program_dir(dir, *program))
            .chain([dir.clone()])
        {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| dir.display().to_string())?;
        }
        let data_dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
        addresses::forget(&data_dir);
        Ok(Self { data_dir, configs })
    }

    /// The control plane.
    pub fn controlplane(&self, policy: Option<&Path>) -> Outcome<Spec> {
        let mut spec = self.spec(Program::Controlplane)?;
        spec.arguments.push("--bootstrap-local".to_owned());
        if let Some(policy) = policy {
            let policy = policy.canonicalize().with_context(|| policy.display().to_string())?;
            spec.arguments
                .extend(["--policy".to_owned(), policy.display().to_string()]);
        }
        Ok(spec)
    }

    /// The data plane, told where the control plane really listens.
    pub fn dataplane(&self, control: &Controlplane) -> Outcome<Spec> {
        let mut spec = self.spec(Program::Dataplane)?;
        self.credentials(&mut spec);
        spec.environment
            .extend(unless_set("SLUICE_DATAPLANE_CONTROL", reachable(&control.control)));
        spec.says_ready = false;
        Ok(spec)
    }

    /// The agent, told where both others really listen.
    pub fn agent(&self, control: &Controlplane, data: &Dataplane) -> Outcome<Spec> {
        let mut spec = self.spec(Program::Agent)?;
        self.credentials(&mut spec);
        let url = format!("https://{}", reachable(&control.control));
        spec.environment.extend(unless_set("SLUICE_AGENT_CONTROL_URL", url));
        spec.environment
            .extend(unless_set("SLUICE_AGENT_GATEWAYS", reachable(&data.links)));
        Ok(spec)
    }

    /// Environment that makes a program take the ports again that it has now.
    pub fn fixed_ports(&self, program: Program, control: &Controlplane, data: &Dataplane) -> Vec<(String, String)> {
        let bound = |address: &str| address.split_once("://").map_or(address, |(_, rest)| rest).to_owned();
        let pairs = match program {
            Program::Controlplane => vec![
                ("SLUICE_CONTROLPLANE_LISTEN_API", bound(&control.api)),
                ("SLUICE_CONTROLPLANE_LISTEN_CONTROL", bound(&control.control)),
            ],
            Program::Dataplane => vec![
                ("SLUICE_DATAPLANE_LISTEN_POSTGRES", data.postgres.clone()),
                ("SLUICE_DATAPLANE_LISTEN_HTTP", data.http.clone()),
                ("SLUICE_DATAPLANE_LISTEN_LINKS", data.links.clone()),
                ("SLUICE_DATAPLANE_LISTEN_METRICS", data.metrics.clone()),
            ],
            Program::Agent => Vec::new(),
        };
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn spec(&self, program: Program) -> Outcome<Spec> {
        let dir = program_dir(&self.data_dir, program);
        let mut arguments = vec![
            "--data-dir".to_owned(),
            dir.display().to_string(),
            "--parent-stdin".to_owned(),
        ];
        if let Some(table) = self.configs.get(program.word()) {
            let file = dir.join("config.toml");
            write_private(&file, table.to_string().as_bytes())?;
            arguments.extend(["--config".to_owned(), file.display().to_string()]);
        }
        let file = programs::find(program.file_name(), None)?;
        Ok(Spec {
            program,
            file,
            arguments,
            environment: Vec::new(),
            says_ready: true,
        })
    }

    /// The one-time credentials that the control plane made, as long as they are there.
    fn credentials(&self, spec: &mut Spec) {
        let name = format!("enrol/{}.toml", spec.program.word());
        let file = program_dir(&self.data_dir, Program::Controlplane).join(name);
        if file.exists() {
            spec.arguments
                .extend(["--cred-file".to_owned(), file.display().to_string()]);
        }
    }
}

/// What the user set wins.
fn unless_set(key: &str, value: String) -> Option<(String, String)> {
    std::env::var_os(key).is_none().then(|| (key.to_owned(), value))
}

fn read_configs(file: &Path) -> Outcome<Table> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let table: Table = text
        .parse()
        .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let known = |key: &str| PROGRAMS.iter().any(|program| program.word() == key);
    let wrong: Vec<_> = table
        .iter()
        .filter(|(key, value)| !known(key) || !value.is_table())
        .map(|(key, _)| {
            format!(
                "{}: \"{key}\" is not one of [controlplane], [dataplane], [agent]",
                file.display()
            )
        })
        .collect();
    if wrong.is_empty() {
        Ok(table)
    } else {
        Err(Failure::Usage(wrong.join("\n")))
    }
}
