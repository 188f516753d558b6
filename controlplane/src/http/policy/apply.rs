//! `POST /api/apply` and `POST /api/diff`: makes the policy what a file says, or tells what that would change.

use serde::Serialize;

use crate::App;
use crate::agents::revoke;
use crate::domain::mistake::Mistake;
use crate::domain::model::{Body, Key, Kind, Owner};
use crate::domain::plan::{ObjectChange, Plan, plan};
use crate::domain::{check, file};
use crate::http::input::Object;
use crate::http::problem::Problem;
use crate::publish::{PublishError, change_of, entry_for};
use crate::store::enrolment::Identity;
use crate::store::objects::{Change, PolicyState};
use std::collections::BTreeMap;

/// What was done, or would be.
#[derive(Debug, Serialize)]
pub struct Applied {
    pub applied: bool,
    pub generation: u64,
    pub changes: Vec<ObjectChange>,
    pub unchanged: usize,
    pub warnings: Vec<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub policy: String,
    pub dry_run: bool,
    pub adopt: bool,
    /// Delete pools that have agents, and revoke those agents.
    pub force: bool,
}

/// Reads the body of either route.
pub fn read(body: Object) -> Result<Wish, Problem> {
    let wish = body.read(|fields| {
        let mut flag = |key| match fields.value(key) {
            None => false,
            Some(serde_json::Value::Bool(flag)) => flag,
            Some(_) => {
                fields.wrong(key, "must be true or false");
                false
            }
        };
        let (dry_run, adopt, force) = (flag("dry_run"), flag("adopt"), flag("force"));
        // An empty file is a policy too: it deletes what earlier files made.
        let policy = match fields.text("policy") {
            Some(policy) => policy,
            None => {
                fields.wrong("policy", "is missing");
                String::new()
            }
        };
        Wish {
            policy,
            dry_run,
            adopt,
            force,
        }
    })?;
    Ok(wish)
}

/// Plans, checks and, unless it is a dry run, makes the change.
pub async fn handle(app: &App, wish: Wish) -> Result<Applied, Problem> {
    let bodies = file::parse(&wish.policy).map_err(Problem::Policy)?;
    let manned = Manned::of(
        app,
        plan(&app.publisher.state().catalog, bodies.clone(), wish.adopt)?.deletes,
    )
    .await?;
    if wish.dry_run {
        let state = app.publisher.state();
        let plan = plan(&state.catalog, bodies, wish.adopt)?;
        let change = change_for(&state, &plan)?;
        app.publisher.check(&change).await?;
        let mut applied = answer(&state, plan, false);
        applied
            .warnings
            .extend(manned.mistakes().iter().map(ToString::to_string));
        return Ok(applied);
    }
    if !wish.force && !manned.agents.is_empty() {
        return Err(Problem::Conflict(
            "the file deletes pools that have agents".to_owned(),
            manned.mistakes(),
        ));
    }
    let revoked = revoke::entries(app, &manned.agents);
    let ((plan, changed), generation) = app
        .publisher
        .edit(|state| decide(state, bodies, wish.adopt, revoked))
        .await?;
    let state = app.publisher.state();
    Ok(Applied {
        generation,
        ..answer(&state, plan, changed)
    })
}

/// Agents of the pools that a plan deletes.
struct Manned {
    agents: Vec<Identity>,
}

impl Manned {
    async fn of(app: &App, deletes: Vec<Key>) -> Result<Manned, Problem> {
        let mut agents = Vec::new();
        for (kind, name) in deletes {
            if kind == Kind::Pool {
                agents.extend(revoke::of_pool(app, &name).await?);
            }
        }
        Ok(Manned { agents })
    }

    /// One for each pool.
    fn mistakes(&self) -> Vec<Mistake> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for agent in &self.agents {
            *counts.entry(&agent.pool).or_default() += 1;
        }
        let mistake = |(pool, count): (&str, usize)| Mistake {
            place: format!("pool \"{pool}\""),
            message: format!(
                "has {count} enrolled agent{}: keep the pool, revoke them first, or apply with force, which revokes them",
                if count == 1 { "" } else { "s" }
            ),
        };
        counts.into_iter().map(mistake).collect()
    }
}

fn decide(
    state: &PolicyState,
    bodies: BTreeMap<Key, Body>,
    adopt: bool,
    revoked: BTreeMap<String, i64>,
) -> Result<(Change, (Plan, bool)), Problem> {
    let plan = plan(&state.catalog, bodies, adopt)?;
    let change = Change {
        agents_revoked: revoked,
        ..change_for(state, &plan)?
    };
    let changed = !change.is_empty();
    Ok((change, (plan, changed)))
}

fn change_for(state: &PolicyState, plan: &Plan) -> Result<Change, PublishError> {
    let puts = plan
        .puts
        .iter()
        .map(|body| entry_for(state, body.clone(), Owner::Policy))
        .collect();
    Ok(change_of(state, puts, plan.deletes.clone())?)
}

fn answer(state: &PolicyState, plan: Plan, applied: bool) -> Applied {
    let mut catalog = state.catalog.clone();
    for key in &plan.deletes {
        catalog.entries.remove(key);
    }
    for body in plan.puts {
        let entry = entry_for(state, body, Owner::Policy);
        catalog.entries.insert(entry.body.key(), entry);
    }
    Applied {
        applied,
        generation: state.generation,
        changes: plan.changes,
        unchanged: plan.unchanged,
        warnings: check::warnings(&catalog),
    }
}
