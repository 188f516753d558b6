//! Takes agents out for good: not renewed, and refused by every data plane from the next generation on.

use std::collections::BTreeMap;

use crate::App;
use crate::store::enrolment::{Identity, Role};
use crate::store::{StoreError, now_micros};

const MICROS_PER_DAY: i64 = 24 * 3600 * 1_000_000;

/// The agents with the latest end that a certificate of theirs can have. One that is renewed in this very moment gets its
/// certificate by the present configuration, so that life counts too.
pub fn entries<'i>(app: &App, agents: impl IntoIterator<Item = &'i Identity>) -> BTreeMap<String, i64> {
    let fresh = now_micros().saturating_add(i64::from(app.config.certificate_days).saturating_mul(MICROS_PER_DAY));
    let entry = |agent: &Identity| (agent.id.clone(), agent.expires_micros.max(fresh));
    agents.into_iter().map(entry).collect()
}

/// All agents of a pool that are not removed.
pub async fn of_pool(app: &App, pool: &str) -> Result<Vec<Identity>, StoreError> {
    app.store
        .identities(Role::Agent, Some(pool), "", i64::MAX as usize)
        .await
}
