//! Compares a policy file with what is there: what would be created, updated and deleted, and what must not be touched.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::file::{shown, unmask};
use super::mistake::{Mistake, Mistakes};
use super::model::{Body, Catalog, Key, Kind, Owner};

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Update,
    Delete,
}

/// One field that changes, as readers may see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    pub field: String,
    pub from: Value,
    pub to: Value,
}

/// One object that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectChange {
    pub action: Action,
    pub kind: Kind,
    pub name: String,
    pub fields: Vec<FieldChange>,
}

/// The difference between a file and the catalog.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub changes: Vec<ObjectChange>,
    /// Objects of the file that are already as the file says.
    pub unchanged: usize,
    /// Objects to write, with their new owner.
    pub puts: Vec<Body>,
    /// Objects to delete.
    pub deletes: Vec<Key>,
}

/// Why there is no plan.
#[derive(Debug, PartialEq)]
pub enum PlanError {
    /// The file itself is wrong.
    Wrong(Vec<Mistake>),
    /// The file names objects of others with other values.
    NotOwned(Vec<Mistake>),
}

/// Plans how the catalog becomes what the file says. Objects that others made are left alone, and it is an error to name
/// one with other values unless `adopt` is given.
pub fn plan(catalog: &Catalog, file: BTreeMap<Key, Body>, adopt: bool) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    let mut wrong = Mistakes::default();
    let mut not_owned = Mistakes::default();
    plan.deletes = catalog
        .entries
        .iter()
        .filter(|(key, entry)| entry.managed_by == Owner::Policy && !file.contains_key(*key))
        .map(|(key, _)| key.clone())
        .collect();
    for (key, mut body) in file {
        let present = catalog.entries.get(&key);
        if let Err(mistake) = unmask(&mut body, present.map(|e| &e.body)) {
            wrong.add(mistake.place, mistake.message);
            continue;
        }
        match present {
            Some(entry) if entry.body == body => plan.unchanged += 1,
            Some(entry) if entry.managed_by != Owner::Policy && !adopt => not_owned.add(
                format!("{} \"{}\"", key.0.name(), key.1),
                format!(
                    "was made by {} and has other values ({}); adopt it, or take it out of the file",
                    entry.managed_by.name(),
                    changed_fields(&entry.body, &body)
                        .iter()
                        .map(|c| c.field.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ),
            Some(entry) => {
                plan.changes
                    .push(change(Action::Update, &key, changed_fields(&entry.body, &body)));
                plan.puts.push(body);
            }
            None => {
                plan.changes.push(change(Action::Create, &key, Vec::new()));
                plan.puts.push(body);
            }
        }
    }
    wrong.or(()).map_err(PlanError::Wrong)?;
    not_owned.or(()).map_err(PlanError::NotOwned)?;
    let deletes = plan
        .deletes
        .iter()
        .rev()
        .map(|key| change(Action::Delete, key, Vec::new()));
    plan.changes.extend(deletes.collect::<Vec<_>>());
    Ok(plan)
}

/// The fields in which two objects differ. A changed literal secret shows as a change between equal masks.
pub fn changed_fields(from: &Body, to: &Body) -> Vec<FieldChange> {
    let (old, new) = (from.fields(), to.fields());
    let (old_shown, new_shown) = (shown(from), shown(to));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| FieldChange {
            field: name.clone(),
            from: old_shown.get(name).cloned().unwrap_or(Value::Null),
            to: new_shown.get(name).cloned().unwrap_or(Value::Null),
        })
        .collect()
}

fn change(action: Action, key: &Key, fields: Vec<FieldChange>) -> ObjectChange {
    ObjectChange {
        action,
        kind: key.0,
        name: key.1.clone(),
        fields,
    }
}

#[cfg(test)]
mod tests;
