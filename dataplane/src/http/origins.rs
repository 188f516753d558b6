//! Where the targets of connections are: which one a request goes to, which are left out for a while, and their idle sockets.

use super::leg::{Asking, HeadError, Leg};
use super::limits::{
    IDLE_PER_CONNECTION_MAX, IDLE_TIME_MAX, IDLE_TIME_UNREPEATABLE_MAX, PLACE_FAILURES_MAX, PLACE_OUT_TIME, TRUNKS_MAX,
};
use super::trunk::Trunk;
use super::upstream::{self, Target, Who};
use super::within;
use crate::core::Core;
use crate::upstream::OpenError;
use codecs::http::{BodyKind, Fields};
use proto::policy::SignedGrant;
use session::http::HttpPolicy;
use session::http::policy::HealthCheck;
use session::policy::{ConnectionPolicy, Policy};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Targets of all connections, as one core sees them.
#[derive(Default)]
pub struct Pool {
    origins: RefCell<HashMap<String, Rc<Origins>>>,
    sweeping: Cell<bool>,
}

/// Targets of one connection.
pub struct Origins {
    policy: Arc<ConnectionPolicy>,
    places: Vec<Rc<Place>>,
    /// Where the next round begins.
    turn: Cell<usize>,
}

/// One target.
pub struct Place {
    /// `host:port`, where there are several.
    name: String,
    grant: SignedGrant,
    outstanding: Cell<u32>,
    /// Failures in a row.
    failures: Cell<u32>,
    out_until: Cell<Option<Instant>>,
    /// The last check failed.
    is_ill: Cell<bool>,
    idle: RefCell<Vec<Rc<Target>>>,
    trunks: RefCell<Vec<Rc<Trunk>>>,
}

/// A request's use of a target, counted while it lasts.
pub struct Lease {
    pub place: Rc<Place>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.place.outstanding.set(self.place.outstanding.get() - 1);
    }
}

/// A request on its way.
pub struct Sent {
    pub lease: Lease,
    pub leg: Leg,
    /// The socket served another request before.
    pub reused: bool,
}

impl Pool {
    /// The targets of a connection. A new policy may mean other targets or another secret: it begins with new sockets.
    pub fn origins(&self, connection: &Arc<ConnectionPolicy>) -> Rc<Origins> {
        let mut all = self.origins.borrow_mut();
        let known = all.get(&connection.name);
        if let Some(origins) = known
            && Arc::ptr_eq(&origins.policy, connection)
        {
            return origins.clone();
        }
        let origins = Rc::new(Origins::new(connection, known.map(|known| &**known)));
        if let Some(old) = all.insert(connection.name.clone(), origins.clone()) {
            old.close();
        }
        origins
    }

    /// Closes what nobody used for a while. True when nothing is left.
    fn sweep(&self) -> bool {
        let now = reactor::now();
        let all = self.origins.borrow();
        let kept: usize = all
            .values()
            .flat_map(|origins| &origins.places)
            .map(|place| place.sweep(now))
            .sum();
        kept == 0
    }
}

/// Keeps a socket whose last answer was read to its end, and sees to it that idle ones are closed in time.
pub fn keep(core: &Rc<Core>, place: &Place, target: Rc<Target>) {
    place.keep(target);
    sweep_later(core);
}

fn sweep_later(core: &Rc<Core>) {
    if core.http.pool.sweeping.replace(true) {
        return;
    }
    let core = Rc::downgrade(core);
    reactor::spawn(async move {
        loop {
            reactor::sleep(IDLE_TIME_MAX).await;
            let Some(core) = core.upgrade() else { return };
            if core.http.pool.sweep() {
                core.http.pool.sweeping.set(false);
                return;
            }
        }
    });
}

impl Origins {
    fn new(connection: &Arc<ConnectionPolicy>, before: Option<&Origins>) -> Origins {
        let http = connection.http.as_ref();
        let named = http.map_or(&[][..], |http| &http.upstreams);
        let mut places: Vec<(String, SignedGrant)> = named
            .iter()
            .map(|upstream| (upstream.name.clone(), upstream.grant.clone()))
            .collect();
        if places.is_empty() {
            places.push((String::new(), connection.grant.clone().unwrap_or_default()));
        }
        let places = places.into_iter().map(|(name, grant)| {
            let known = before.and_then(|before| before.places.iter().find(|place| place.name == name));
            let place = Place {
                name,
                grant,
                outstanding: Cell::new(0),
                failures: Cell::new(0),
                out_until: Cell::new(known.and_then(|place| place.out_until.get())),
                is_ill: Cell::new(known.is_some_and(|place| place.is_ill.get())),
                idle: RefCell::default(),
                trunks: RefCell::default(),
            };
            Rc::new(place)
        });
        Origins {
            policy: connection.clone(),
            places: places.collect(),
            turn: Cell::new(0),
        }
    }

    fn close(&self) {
        for place in &self.places {
            place.idle.borrow_mut().clear();
            for trunk in place.trunks.take() {
                trunk.retire();
            }
        }
    }

    /// Whether there is a target beside those that were tried.
    pub fn has_others(&self, tried: &[Rc<Place>]) -> bool {
        tried.len() < self.places.len()
    }

    /// The target with the fewest requests under way, of those that are up; where none is, of all. Equals take turns.
    fn choose(&self, tried: &[Rc<Place>]) -> Option<Lease> {
        let now = reactor::now();
        let (count, turn) = (self.places.len(), self.turn.get());
        self.turn.set((turn + 1) % count.max(1));
        let rank = |(index, place): &(usize, &Rc<Place>)| {
            let distance = (index + count - turn) % count;
            (!place.is_up(now), place.outstanding.get(), distance)
        };
        let untried = |place: &Rc<Place>| !tried.iter().any(|other| Rc::ptr_eq(other, place));
        let all = self.places.iter().enumerate();
        let (_, place) = all.filter(|(_, place)| untried(place)).min_by_key(rank)?;
        place.outstanding.set(place.outstanding.get() + 1);
        Some(Lease { place: place.clone() })
    }

    /// Sends a request's head to a target that was not tried. One that cannot be reached is added to those, and the next is tried: it
    /// has seen nothing of the request.
    ///
    /// # Errors
    /// No target can be reached.
    pub async fn send(
        &self,
        core: &Rc<Core>,
        asking: &Asking<'_>,
        who: &Who<'_>,
        how: How,
        tried: &mut Vec<Rc<Place>>,
    ) -> Result<Sent, OpenError> {
        let mut failed = OpenError::ours("the connection has no target");
        while let Some(lease) = self.choose(tried) {
            let place = &lease.place;
            if let Some((leg, reused)) = place.resume(asking, how).await {
                return Ok(Sent { lease, leg, reused });
            }
            let reached = Box::pin(upstream::reach(
                core,
                &self.policy,
                &place.grant,
                who,
                asking.upgrade.is_some(),
            ));
            match reached.await {
                Ok(reached) => match place.begin(core, reached, asking).await {
                    Ok(leg) => {
                        let reused = false;
                        return Ok(Sent { lease, leg, reused });
                    }
                    Err(error) => failed = OpenError::upstream(error.to_string()),
                },
                Err(error) if error.fault == proto::tunnel::Fault::Upstream => failed = error,
                Err(error) => return Err(error),
            }
            place.unreachable(&self.policy.name, &failed.message);
            tried.push(place.clone());
        }
        Err(failed)
    }
}

/// What a request may be sent on.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// It may be sent again if the socket turns out dead.
    pub repeatable: bool,
    /// Not on a socket that was idle.
    pub fresh: bool,
}

impl Place {
    fn is_up(&self, now: Instant) -> bool {
        !self.is_ill.get() && self.out_until.get().is_none_or(|until| until <= now)
    }

    /// It answered.
    pub fn worked(&self) {
        self.failures.set(0);
        self.out_until.set(None);
    }

    /// It was lost before it answered, or was too slow.
    pub fn failed(&self) {
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        if failures >= PLACE_FAILURES_MAX {
            self.leave_out();
        }
    }

    fn unreachable(&self, connection: &str, reason: &str) {
        tracing::warn!(connection, target = self.name, reason, "a target could not be reached");
        self.leave_out();
    }

    fn leave_out(&self) {
        self.out_until.set(Some(reactor::now() + PLACE_OUT_TIME));
    }

    /// What a check says.
    fn checked(&self, connection: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) if self.is_ill.replace(false) => {
                tracing::info!(connection, target = self.name, "a target is well again");
                self.worked();
            }
            Ok(()) => self.out_until.set(None),
            Err(reason) if !self.is_ill.replace(true) => {
                tracing::warn!(connection, target = self.name, reason, "a target failed its check");
            }
            Err(_) => {}
        }
    }

    /// A way that is there already, and whether it is a socket that was idle.
    async fn resume(&self, asking: &Asking<'_>, how: How) -> Option<(Leg, bool)> {
        if asking.upgrade.is_none() && !self.trunks.borrow().is_empty() {
            let now = reactor::now();
            let trunk = self.trunks.borrow().iter().find(|trunk| trunk.takes(now)).cloned();
            if let Some(trunk) = trunk {
                return Some((Leg::Stream(trunk.ask(asking)), false));
            }
        }
        if how.fresh {
            return None;
        }
        let target = self.take(how.repeatable)?;
        // A socket that takes no head was closed meanwhile, and has seen nothing.
        let leg = Leg::on_socket(target, asking).await.ok()?;
        Some((leg, true))
    }

    async fn begin(&self, core: &Rc<Core>, reached: upstream::Reached, asking: &Asking<'_>) -> std::io::Result<Leg> {
        if !reached.is_h2 {
            return Leg::on_socket(Target::new(reached), asking).await;
        }
        let trunk = Trunk::start(reached.pipe, reached.credential);
        let leg = Leg::Stream(trunk.ask(asking));
        let mut trunks = self.trunks.borrow_mut();
        if trunks.len() < TRUNKS_MAX {
            trunks.push(trunk);
        } else {
            trunk.retire();
        }
        drop(trunks);
        sweep_later(core);
        Ok(leg)
    }

    /// An idle socket, the one that was used last.
    fn take(&self, repeatable: bool) -> Option<Rc<Target>> {
        let mut idle = self.idle.borrow_mut();
        let now = reactor::now();
        // Only the one that is taken is looked at: the others have their turn, or the sweep.
        let is_good = |target: &Target| target.is_fresh(now) && target.is_quiet();
        while idle.pop_if(|target| !is_good(target)).is_some() {}
        if !repeatable && idle.last()?.idle_for(now) > IDLE_TIME_UNREPEATABLE_MAX {
            return None;
        }
        idle.pop()
    }

    fn keep(&self, target: Rc<Target>) {
        let now = reactor::now();
        if !target.rest(now) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= IDLE_PER_CONNECTION_MAX {
            idle.retain(|other| other.is_fresh(now));
        }
        if idle.len() < IDLE_PER_CONNECTION_MAX {
            idle.push(target);
        }
    }

    /// How many are left.
    fn sweep(&self, now: Instant) -> usize {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|target| target.is_fresh(now));
        let mut trunks = self.trunks.borrow_mut();
        trunks.retain(|trunk| {
            let wanted = trunk.is_wanted(now, IDLE_TIME_MAX);
            if !wanted {
                trunk.retire();
            }
            wanted
        });
        idle.len() + trunks.len()
    }
}

/// Begins the checks of connections that have some. Called when a policy comes into force.
pub fn policy_changed(core: &Rc<Core>, policy: &Policy) {
    core.http.pool.origins.borrow_mut().retain(|name, origins| {
        let kept = policy.connection(name).is_some();
        if !kept {
            origins.close();
        }
        kept
    });
    for connection in policy.connections() {
        let check = connection.http.as_ref().and_then(|http| http.health.clone());
        let Some(check) = check else { continue };
        let origins = core.http.pool.origins(connection);
        let core = Rc::downgrade(core);
        reactor::spawn(async move {
            loop {
                let Some(core) = core.upgrade() else { return };
                let known = core.http.pool.origins.borrow().get(&origins.policy.name).cloned();
                if !known.is_some_and(|known| Rc::ptr_eq(&known, &origins)) {
                    return;
                }
                // Without a link there is nothing to be told about targets.
                let pool = &origins.policy.pool;
                if pool.is_empty() || core.links.pick(pool).is_some() {
                    look(&core, &origins, &check).await;
                }
                drop(core);
                reactor::sleep(check.interval).await;
            }
        });
    }
}

/// Asks every target once.
async fn look(core: &Rc<Core>, origins: &Origins, check: &HealthCheck) {
    let Some(http) = &origins.policy.http else { return };
    for place in &origins.places {
        let asked = within(check.timeout, Box::pin(ask(core, origins, place, http, check))).await;
        let outcome = asked.unwrap_or_else(|| Err("no answer in time".to_owned()));
        place.checked(&origins.policy.name, outcome);
    }
}

async fn ask(
    core: &Rc<Core>,
    origins: &Origins,
    place: &Place,
    http: &HttpPolicy,
    check: &HealthCheck,
) -> Result<(), String> {
    let mut fields = Fields::new();
    fields.push(b"user-agent", b"sluice-check");
    let asking = Asking {
        method: "GET",
        target: &check.path,
        fields: &fields,
        framing: BodyKind::Empty,
        upgrade: None,
        http,
        swaps: false,
    };
    let who = Who {
        user: "",
        session_id: [0; 16],
    };
    let reached = upstream::reach(core, &origins.policy, &place.grant, &who, false).await;
    let reached = reached.map_err(|error| error.message)?;
    let (leg, trunk) = if reached.is_h2 {
        let trunk = Trunk::start(reached.pipe, reached.credential);
        (Leg::Stream(trunk.ask(&asking)), Some(trunk))
    } else {
        let leg = Leg::on_socket(Target::new(reached), &asking).await;
        (leg.map_err(|error| error.to_string())?, None)
    };
    let head = leg.head("GET").await;
    drop(leg);
    if let Some(trunk) = trunk {
        trunk.retire();
    }
    match head {
        Ok(Some(head)) if (200..400).contains(&head.status) => Ok(()),
        Ok(Some(head)) => Err(format!("status {}", head.status)),
        Ok(None) => Err("it closed without an answer".to_owned()),
        Err(HeadError::Io(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
