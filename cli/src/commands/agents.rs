//! `sluice agents`: the list, one agent, and its end.

use super::pools::AGENT_COLUMNS;
use super::{LIST_ITEMS_MAX, settle};
use crate::api::{Api, path};
use crate::args::Agents;
use crate::failure::Outcome;
use crate::output;

/// Runs one of its verbs.
pub fn run(api: &Api, command: Agents, json: bool) -> Outcome {
    match command {
        Agents::List => {
            let columns: Vec<_> = [("POOL", "pool")].iter().chain(AGENT_COLUMNS).copied().collect();
            output::items(json, &api.list("/api/agents", LIST_ITEMS_MAX)?, &columns)
        }
        Agents::Show { id } => output::object(json, &api.get(&path(&["agents", &id]))?),
        Agents::Revoke { id } => {
            api.delete(&path(&["agents", &id]))?;
            settle(api, &api.get("/api/policy")?);
            Ok(())
        }
    }
}
