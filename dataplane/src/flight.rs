//! Flight recorder: the last things that each core did, for whoever has to find out why it stopped doing them.
//!
//! Every core has a ring of [`ENTRIES`] entries that it alone writes, without a lock and without a system call. `SIGUSR1` and every
//! panic write all rings to a text file in the data directory. Entries hold kinds, sizes and session ids, never a byte of a session.

use crate::limits::FLIGHT_FILES_MAX;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Entries of one ring; the older half of a long story is gone, the end of it is not. 128 KiB a core.
pub const ENTRIES: usize = 4096;

/// What happened. The number of an entry means what its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A socket came in on a listener.
    Accepted = 1,
    /// A login was refused or not finished in time.
    Refused,
    /// A session opened; the number is its generation of the policy.
    Opened,
    /// Bytes of the client were shown to the session.
    FromClient,
    /// Bytes of the target were shown to the session.
    FromTarget,
    /// The session waits for its other side before it goes on.
    Stalled,
    /// The session is over.
    Ended,
    /// The session was ended from outside.
    Killed,
    /// A generation of the policy is in force.
    Policy,
    /// An agent's link is up; the number is the links of the core.
    LinkUp,
    /// An agent's link is gone.
    LinkDown,
    /// The spool could not be written.
    SpoolFailed,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Kind::Accepted,
        Kind::Refused,
        Kind::Opened,
        Kind::FromClient,
        Kind::FromTarget,
        Kind::Stalled,
        Kind::Ended,
        Kind::Killed,
        Kind::Policy,
        Kind::LinkUp,
        Kind::LinkDown,
        Kind::SpoolFailed,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Accepted => "accepted",
            Kind::Refused => "refused",
            Kind::Opened => "opened",
            Kind::FromClient => "from-client",
            Kind::FromTarget => "from-target",
            Kind::Stalled => "stalled",
            Kind::Ended => "ended",
            Kind::Killed => "killed",
            Kind::Policy => "policy",
            Kind::LinkUp => "link-up",
            Kind::LinkDown => "link-down",
            Kind::SpoolFailed => "spool-failed",
        }
    }
}

/// One entry. `number` of the whole ring is 0 while the others are being written.
#[derive(Default)]
struct Slot {
    number: AtomicU64,
    wall_micros: AtomicU64,
    /// Kind in the topmost byte, the amount below.
    what: AtomicU64,
    session: AtomicU64,
}

/// The ring of one core.
pub struct Flight {
    slots: Box<[Slot]>,
    /// Entries written so far.
    written: AtomicU64,
}

/// An entry as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    number: u64,
    wall_micros: u64,
    kind: Option<Kind>,
    amount: u64,
    session: u64,
}

const AMOUNT_BITS: u32 = 56;

impl Default for Flight {
    fn default() -> Flight {
        Flight {
            slots: (0..ENTRIES).map(|_| Slot::default()).collect(),
            written: AtomicU64::new(0),
        }
    }
}

impl Flight {
    /// Writes an entry. Called on the ring's own core alone.
    #[inline]
    pub fn note(&self, wall_micros: u64, kind: Kind, amount: u64, session: &[u8; 16]) {
        let number = self.written.load(Ordering::Relaxed) + 1;
        self.written.store(number, Ordering::Relaxed);
        let Some(slot) = self.slots.get(number as usize % ENTRIES) else {
            return;
        };
        let [a, b, c, d, e, f, g, h, ..] = *session;
        slot.number.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        slot.wall_micros.store(wall_micros, Ordering::Relaxed);
        let amount = amount.min((1 << AMOUNT_BITS) - 1);
        slot.what
            .store(u64::from(kind as u8) << AMOUNT_BITS | amount, Ordering::Relaxed);
        slot.session
            .store(u64::from_be_bytes([a, b, c, d, e, f, g, h]), Ordering::Relaxed);
        slot.number.store(number, Ordering::Release);
    }

    /// What the ring holds, oldest first. Entries that are written at this moment are left out.
    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.slots.iter().filter_map(read).collect();
        entries.sort_unstable_by_key(|entry| entry.number);
        entries
    }
}

fn read(slot: &Slot) -> Option<Entry> {
    let number = slot.number.load(Ordering::Acquire);
    let (wall_micros, what, session) = (
        slot.wall_micros.load(Ordering::Relaxed),
        slot.what.load(Ordering::Relaxed),
        slot.session.load(Ordering::Relaxed),
    );
    fence(Ordering::Acquire);
    let whole = number != 0 && slot.number.load(Ordering::Relaxed) == number;
    let kind = (what >> AMOUNT_BITS) as u8;
    whole.then_some(Entry {
        number,
        wall_micros,
        kind: Kind::ALL.into_iter().find(|known| *known as u8 == kind),
        amount: what & ((1 << AMOUNT_BITS) - 1),
        session,
    })
}

/// All rings as text: one line per entry with core, number, microseconds since 1970, kind, amount, and the first half of the session's id.
fn render(rings: &[Flight]) -> String {
    let mut out = String::from("# core number micros kind amount session\n");
    for (core, ring) in rings.iter().enumerate() {
        for entry in ring.entries() {
            let kind = entry.kind.map_or("unknown", Kind::name);
            let (number, micros, amount) = (entry.number, entry.wall_micros, entry.amount);
            let _ = writeln!(out, "{core} {number} {micros} {kind} {amount} {:016x}", entry.session);
        }
    }
    out
}

/// Writes all rings to a new file in the data directory; the oldest beyond [`FLIGHT_FILES_MAX`] go.
///
/// # Errors
/// When the directory cannot be written.
pub fn dump(rings: &[Flight], data_dir: &Path, why: &str) -> std::io::Result<PathBuf> {
    let mut known: Vec<PathBuf> = std::fs::read_dir(data_dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("flight-") && name.ends_with(".txt")
        })
        .collect();
    known.sort();
    for old in known.iter().rev().skip(FLIGHT_FILES_MAX.saturating_sub(1)) {
        std::fs::remove_file(old)?;
    }
    let path = data_dir.join(format!("flight-{:020}-{why}.txt", crate::core::wall_micros()));
    std::fs::write(&path, render(rings))?;
    Ok(path)
}

/// Has every panic of the process write the rings; the message of the panic itself is shown as before.
pub fn dump_on_panic(shared: &Arc<crate::core::shared::Shared>) {
    let shared = Arc::downgrade(shared);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        let Some(shared) = shared.upgrade() else { return };
        tell(&dump(&shared.flight, &shared.config.data_dir, "panic"));
    }));
}

/// Says where the rings are.
pub fn tell(dumped: &std::io::Result<PathBuf>) {
    match dumped {
        Ok(path) => tracing::warn!(path = %path.display(), "the flight recorder was written"),
        Err(error) => tracing::error!(%error, "the flight recorder could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_last_entries_in_order() {
        let ring = Flight::default();
        assert!(ring.entries().is_empty());
        for number in 0..ENTRIES as u64 + 10 {
            ring.note(7, Kind::FromClient, number, &[0xab; 16]);
        }
        let entries = ring.entries();
        assert_eq!(entries.len(), ENTRIES);
        assert_eq!(
            (entries[0].amount, entries[ENTRIES - 1].amount),
            (10, ENTRIES as u64 + 9)
        );
        assert!(entries.iter().all(|entry| entry.kind == Some(Kind::FromClient)));
    }

    #[test]
    fn text_names_what_happened_and_few_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Flight::default();
        for kind in Kind::ALL {
            ring.note(1_700_000_000_000_000, kind, u64::MAX, &[1; 16]);
        }
        let rings = [ring];
        let mut last = PathBuf::new();
        for _ in 0..FLIGHT_FILES_MAX + 3 {
            last = dump(&rings, dir.path(), "asked").unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), FLIGHT_FILES_MAX);
        let text = std::fs::read_to_string(last).unwrap();
        for kind in Kind::ALL {
            assert!(text.contains(&format!(" {} 72057594037927935 0101010101010101\n", kind.name())));
        }
        assert!(!text.contains("unknown"));
    }
}
