//! Why a command did not do what it was asked, with the exit code that tells scripts.

use std::fmt;

/// A failed command. Exit codes: 1 refused or failed, 2 usage, 3 not reachable, 4 not allowed.
#[derive(Debug)]
pub enum Failure {
    /// The request was understood and refused, or something on the way failed.
    Failed(String),
    /// What was typed makes no sense.
    Usage(String),
    /// The control plane is not there.
    NotReachable(String),
    /// No token, a wrong one, or one without the right.
    NotAllowed(String),
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotReachable(_) => 3,
            Self::NotAllowed(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::NotReachable(text) | Self::NotAllowed(text) => {
                formatter.write_str(text)
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
