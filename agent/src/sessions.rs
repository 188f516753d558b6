//! The sessions that run now and what it takes to cancel what each is doing; shared by all links.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::upstream::CancelHandle;

/// Identifier of a session.
pub type SessionId = [u8; 16];

/// Running sessions by identifier.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<SessionId, Arc<CancelHandle>>>>);

/// Keeps a session in the list for as long as it is held.
pub struct Registered {
    sessions: Sessions,
    id: SessionId,
}

impl Sessions {
    /// Lists a session. A second one with the same identifier replaces the first.
    #[must_use]
    pub fn register(&self, id: SessionId, handle: CancelHandle) -> Registered {
        self.lock().insert(id, Arc::new(handle));
        Registered {
            sessions: self.clone(),
            id,
        }
    }

    /// What it takes to cancel the session, when it runs here and its target gave a key.
    #[must_use]
    pub fn cancel_handle(&self, id: &[u8]) -> Option<Arc<CancelHandle>> {
        let id = SessionId::try_from(id).ok()?;
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<CancelHandle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}
