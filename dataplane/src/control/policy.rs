//! The policy in force: verified, compiled once, spooled to disk, handed to every core; never an older one.

use crate::core::message::Message;
use crate::core::shared::Shared;
use crate::identity::write_private;
use proto::Message as _;
use proto::policy::{SignedSnapshot, Snapshot};
use session::policy::{self, Policy};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a snapshot was refused; said in the NACK.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Signature(#[from] proto::sign::SignError),
    #[error("generation {offered} is older than {in_force}, which is in force")]
    Older { offered: u64, in_force: u64 },
    #[error("the policy does not compile: {0}")]
    Compile(String),
    #[error("the snapshot cannot be spooled: {0}")]
    Spool(std::io::Error),
    #[error("core {0} does not take the policy: its mailbox is full")]
    Core(usize),
}

/// Keeps the policy.
pub struct PolicyKeeper {
    shared: Arc<Shared>,
    in_force: Option<Arc<Policy>>,
}

impl PolicyKeeper {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, in_force: None }
    }

    pub fn in_force(&self) -> Option<Arc<Policy>> {
        self.in_force.clone()
    }

    /// Generation in force; 0: none.
    pub fn generation(&self) -> u64 {
        self.in_force.as_ref().map_or(0, |policy| policy.generation())
    }

    /// Puts the snapshot of an earlier run in force. It may be past its age: then it opens no session.
    pub fn load_spooled(&mut self) -> anyhow::Result<()> {
        let bytes = match std::fs::read(self.path()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let signed = SignedSnapshot::decode(&bytes[..])?;
        let (policy, snapshot) = self.compile(&signed)?;
        tracing::info!(generation = policy.generation(), "serving from the spooled snapshot");
        self.publish(policy, &snapshot)?;
        Ok(())
    }

    /// Verifies, compiles, spools and hands out a snapshot. Returns its generation.
    pub fn offer(&mut self, signed: &SignedSnapshot) -> Result<u64, (u64, Refused)> {
        let offered = Snapshot::decode(&signed.snapshot[..]).map_or(0, |snapshot| snapshot.generation);
        self.accept(signed).map_err(|refused| (offered, refused))
    }

    /// Whether every core enforces at least this generation.
    pub fn is_enforced(&self, generation: u64) -> bool {
        self.shared
            .generations
            .iter()
            .all(|core| core.load(Ordering::Acquire) >= generation)
    }

    fn accept(&mut self, signed: &SignedSnapshot) -> Result<u64, Refused> {
        let (policy, snapshot) = self.compile(signed)?;
        let generation = policy.generation();
        write_private(&self.path(), &signed.encode_to_vec()).map_err(Refused::Spool)?;
        self.publish(policy, &snapshot)?;
        Ok(generation)
    }

    fn compile(&self, signed: &SignedSnapshot) -> Result<(Arc<Policy>, Snapshot), Refused> {
        let snapshot = proto::sign::open_snapshot(&self.shared.identity().policy_key, signed)?;
        let in_force = self.generation();
        if snapshot.generation < in_force {
            return Err(Refused::Older {
                offered: snapshot.generation,
                in_force,
            });
        }
        policy::compile(&snapshot)
            .map(|policy| (Arc::new(policy), snapshot))
            .map_err(|errors| Refused::Compile(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
    }

    fn publish(&mut self, policy: Arc<Policy>, snapshot: &Snapshot) -> Result<(), Refused> {
        // Before the cores hear of it: whoever is linked meanwhile is found by them or by this list.
        self.shared.revoked.replace(snapshot);
        for (index, core) in self.shared.cores.iter().enumerate() {
            core.try_send(Message::Policy(policy.clone()))
                .map_err(|_| Refused::Core(index))?;
        }
        self.in_force = Some(policy);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.shared.config.data_dir.join("snapshot.pb")
    }
}

#[cfg(test)]
mod tests;
