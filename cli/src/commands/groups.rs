//! `sluice groups`.

use super::{LIST_ITEMS_MAX, delete, text, update};
use crate::api::{Api, body, path};
use crate::args::Groups;
use crate::failure::Outcome;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[("NAME", "name"), ("DESCRIPTION", "description"), ("MEMBERS", "members")];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Groups, json: bool) -> Outcome {
    match command {
        Groups::List => output::items(json, &api.list("/api/groups", LIST_ITEMS_MAX)?, COLUMNS),
        Groups::Show { name } => output::object(json, &api.get(&path(&["groups", &name]))?),
        Groups::Create { name, description } => {
            let body = body(&name, &[("description", text(&description))]);
            output::object(json, &api.post("/api/groups", &body)?)
        }
        Groups::Update {
            name,
            description,
            force,
        } => {
            let fields = vec![("description", text(&description))];
            output::object(json, &update(api, "groups", &name, fields, force.force)?)
        }
        Groups::Delete { name, force } => delete(api, "groups", &name, force.force),
    }
}
