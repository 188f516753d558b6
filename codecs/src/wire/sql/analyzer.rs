//! Text to statements, with a bounded cache of what was seen before.

use std::collections::HashMap;
use std::rc::Rc;

use super::fingerprint::Fingerprinter;
use super::lexer::LexOptions;
use super::limits::FINGERPRINT_CACHED_BYTES_MAX;
use super::shape::{Shape, shape};
use super::statement::Statement;

/// Tells what the statements of a text do. One per core: a statement that differs from an earlier one only
/// in its literals costs its lexing and one lookup.
///
/// Memory is bounded by the number of cache entries times [`FINGERPRINT_CACHED_BYTES_MAX`] and what is listed
/// of a statement ([`NAMES_MAX`](super::limits::NAMES_MAX)).
#[derive(Debug)]
pub struct Analyzer {
    cache: Cache,
    fingerprint: Vec<u8>,
    statements: Vec<Statement>,
}

/// The statements of one text, in their order. Empty for a text without a statement.
#[derive(Debug)]
pub struct Analysis<'a> {
    /// The statements.
    pub statements: &'a [Statement],
}

/// Buffers that grew beyond this are given back after the call.
const SCRATCH_BYTES_KEPT: usize = 1024 * 1024;

impl Analyzer {
    /// An analyzer that remembers up to `cache_entries_max` statements.
    pub fn new(cache_entries_max: usize) -> Analyzer {
        Analyzer {
            cache: Cache::new(cache_entries_max),
            fingerprint: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// Tells the statements of `text` apart and what each of them does.
    pub fn analyze(&mut self, text: &str, options: LexOptions) -> Analysis<'_> {
        self.statements.clear();
        let mut reader = Fingerprinter::new(text, options, &mut self.fingerprint);
        while let Some(span) = reader.next_statement() {
            let shape = self.cache.shape(reader.fingerprint());
            self.statements.push(Statement {
                span,
                effects: shape.effects,
                verb: shape.verb,
                parsed: shape.parsed,
                copy: shape.copy.clone(),
                tables: Rc::clone(&shape.tables),
                functions: Rc::clone(&shape.functions),
            });
        }
        if self.fingerprint.capacity() > SCRATCH_BYTES_KEPT {
            self.fingerprint = Vec::new();
        }
        Analysis {
            statements: &self.statements,
        }
    }

    /// How often a statement was found in the cache, and how often not.
    pub fn cache_counts(&self) -> (u64, u64) {
        (self.cache.hits, self.cache.misses)
    }
}

/// Clock cache: an entry that was used since the hand last passed gets another round.
#[derive(Debug)]
struct Cache {
    entries_max: usize,
    places: HashMap<Rc<[u8]>, usize>,
    entries: Vec<Entry>,
    hand: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Rc<[u8]>,
    shape: Rc<Shape>,
    used: bool,
}

impl Cache {
    fn new(entries_max: usize) -> Cache {
        Cache {
            entries_max,
            places: HashMap::new(),
            entries: Vec::new(),
            hand: 0,
            hits: 0,
            misses: 0,
        }
    }

    fn shape(&mut self, fingerprint: &[u8]) -> Rc<Shape> {
        let place = self.places.get(fingerprint).copied();
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            entry.used = true;
            self.hits += 1;
            return Rc::clone(&entry.shape);
        }
        self.misses += 1;
        let shape = Rc::new(shape(fingerprint));
        if fingerprint.len() <= FINGERPRINT_CACHED_BYTES_MAX && self.entries_max > 0 {
            self.keep(Entry {
                fingerprint: fingerprint.into(),
                shape: Rc::clone(&shape),
                used: false,
            });
        }
        shape
    }

    fn keep(&mut self, entry: Entry) {
        let fingerprint = Rc::clone(&entry.fingerprint);
        if self.entries.len() < self.entries_max {
            self.places.insert(fingerprint, self.entries.len());
            self.entries.push(entry);
            return;
        }
        // Ends after at most two rounds: the first one clears every mark.
        while let Some(old) = self.entries.get_mut(self.hand) {
            if !old.used {
                break;
            }
            old.used = false;
            self.hand = (self.hand + 1) % self.entries_max;
        }
        if let Some(old) = self.entries.get_mut(self.hand) {
            self.places.remove(&old.fingerprint);
            *old = entry;
            self.places.insert(fingerprint, self.hand);
            self.hand = (self.hand + 1) % self.entries_max;
        }
    }
}
