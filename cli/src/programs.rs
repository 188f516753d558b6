//! The programs of the product: found beside this one, or in PATH.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::{Program, Start};
use crate::failure::{Failure, Outcome};

impl Program {
    /// File name of the program.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Controlplane => "sluice-controlplane",
            Self::Dataplane => "sluice-dataplane",
            Self::Agent => "sluice-agent",
        }
    }

    /// Word for people, and the name of its directory.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Controlplane => "controlplane",
            Self::Dataplane => "dataplane",
            Self::Agent => "agent",
        }
    }
}

/// Finds a program: in `preferred`, beside this program, in PATH.
pub fn find(name: &str, preferred: Option<&Path>) -> Outcome<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = preferred
        .map(Path::to_owned)
        .into_iter()
        .chain(beside)
        .chain(std::env::split_paths(&path));
    places
        .map(|place| place.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::Failed(format!("{name} is neither beside this program nor in PATH")))
}

/// Becomes the program; comes back only when that fails.
pub fn start(options: &Start) -> Failure {
    let file = match find(options.program.file_name(), None) {
        Ok(file) => file,
        Err(failure) => return failure,
    };
    let mut command = Command::new(&file);
    if let Some(config) = &options.config {
        command.arg("--config").arg(config);
    }
    let error = command.args(&options.rest).exec();
    Failure::Failed(format!("cannot start {}: {error}", file.display()))
}
