//! Keys that a SCRAM client has derived, kept so that the next login does not pay for the iterations again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use super::{Key, ScramError, hmac_sha256, salted_password, sha256};

/// Most keys that a cache holds; the oldest give way.
pub const KEYS_KEPT_MAX: usize = 1_024;

/// Both keys of RFC 5802 section 3.
#[derive(Clone)]
pub(super) struct Keys {
    pub client: Key,
    pub server: Key,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

impl Keys {
    /// Costs `iterations` rounds of HMAC.
    pub(super) fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<Keys, ScramError> {
        let salted = salted_password(password, salt, iterations)?;
        Ok(Keys {
            client: hmac_sha256(&*salted, b"Client Key"),
            server: hmac_sha256(&*salted, b"Server Key"),
        })
    }
}

/// What keys follow from: password, salt and iterations, as a hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeysId(Key);

impl KeysId {
    pub(super) fn of(password: &[u8], salt: &[u8], iterations: u32) -> KeysId {
        let mut all = Zeroizing::new(Vec::with_capacity(8 + password.len() + salt.len() + 4));
        all.extend_from_slice(&(password.len() as u64).to_le_bytes());
        all.extend_from_slice(password);
        all.extend_from_slice(salt);
        all.extend_from_slice(&iterations.to_le_bytes());
        KeysId(sha256(&all))
    }
}

/// Keys of servers that have proved themselves. Shared between threads; whoever can read its memory can log in with them, as
/// with the passwords that are there anyway.
#[derive(Default)]
pub struct KeyCache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<KeysId, Keys>,
    /// In the order in which they came.
    order: VecDeque<KeysId>,
}

/// Leaves the keys out.
impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCache").finish_non_exhaustive()
    }
}

impl KeyCache {
    pub fn new() -> KeyCache {
        KeyCache::default()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.lock().keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn find(&self, id: &KeysId) -> Option<Keys> {
        self.lock().keys.get(id).cloned()
    }

    pub(super) fn keep(&self, id: KeysId, keys: Keys) {
        let mut kept = self.lock();
        if kept.keys.insert(id, keys).is_some() {
            return;
        }
        kept.order.push_back(id);
        if kept.order.len() > KEYS_KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.keys.remove(&oldest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing under the lock can leave it half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
