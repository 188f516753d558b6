//! Dictionaries: lists of up to a million words or phrases, found as whole words in one pass whose cost does not depend on their size.
//!
//! Text and entries are cut into tokens: a run of letters, digits and underscores, one character outside ASCII, or one other
//! byte. From each token on, the hash of what was read is looked up after every token, first among the beginnings of entries (to know
//! whether going on can help), then among the entries.
//!
//! ```text
//! entry   "Ada Lovelace"      tokens  Ada | blank | Lovelace
//! begins  hash(Ada), hash(Ada blank)          ends  hash(Ada blank Lovelace) -> the entry
//! ```

use crate::class::{WORD, is};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_COUNT_MAX, DICTIONARY_ENTRY_BYTES_MAX};

/// A compiled dictionary.
pub(crate) struct Dictionary {
    fold_case: bool,
    /// Entries one after the other, folded if case does not matter.
    text: Vec<u8>,
    /// End of each entry in `text`.
    ends: Vec<u32>,
    /// Open addressing: number of an entry plus one, or zero.
    slots: Vec<u32>,
    /// Open addressing: hashes of beginnings of entries that go on; zero is free.
    beginnings: Vec<u64>,
    entry_bytes_max: usize,
}

/// Why a list is no dictionary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooMany(usize),
    TooLarge(usize),
    Entry(String),
}

/// What the text from one place on holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// The longest entry ends here.
    Entry(usize),
    /// The verdict depends on bytes beyond the end.
    Open,
}

impl Dictionary {
    pub fn build(entries: &[String], fold_case: bool) -> Result<Dictionary, Refused> {
        if entries.len() > DICTIONARY_COUNT_MAX {
            return Err(Refused::TooMany(entries.len()));
        }
        let bytes: usize = entries.iter().map(String::len).sum();
        if bytes > DICTIONARY_BYTES_MAX {
            return Err(Refused::TooLarge(bytes));
        }
        let mut dictionary = Dictionary {
            fold_case,
            text: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(entries.len()),
            slots: vec![0; table_len(entries.len())],
            beginnings: Vec::new(),
            entry_bytes_max: 0,
        };
        let mut beginnings = Vec::new();
        for entry in entries {
            let entry = entry.trim();
            if entry.is_empty() || entry.len() > DICTIONARY_ENTRY_BYTES_MAX || entry.contains('\0') {
                return Err(Refused::Entry(entry.chars().take(40).collect()));
            }
            dictionary.add(entry, &mut beginnings);
        }
        beginnings.sort_unstable();
        beginnings.dedup();
        dictionary.beginnings = vec![0; table_len(beginnings.len())];
        for hash in beginnings {
            let slot = free_slot(&dictionary.beginnings, hash, |known| *known == 0);
            dictionary.beginnings[slot] = hash;
        }
        Ok(dictionary)
    }

    /// Longest entry, in bytes of the text.
    pub fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max
    }

    pub fn memory_bytes(&self) -> usize {
        self.text.capacity() + 4 * (self.ends.capacity() + self.slots.capacity()) + 8 * self.beginnings.capacity()
    }

    /// Whether an entry may begin at `place`: nothing glued to its left.
    #[inline]
    pub fn begins(bytes: &[u8], place: usize) -> bool {
        let glued = |left: u8, right: u8| (is(left, WORD) && is(right, WORD)) || right & 0xc0 == 0x80;
        place == 0 || !glued(bytes[place - 1], bytes[place])
    }

    /// The longest entry that begins at `start` and is not glued to what follows it.
    pub fn longest_at(&self, bytes: &[u8], start: usize, last: bool) -> Found {
        let (mut hash, mut place, mut found) = (Hash::new(), start, Found::Nothing);
        let limit = start + self.entry_bytes_max;
        loop {
            let token = token_end(bytes, place, limit + 1);
            if token == bytes.len() && !last && token <= limit {
                return Found::Open;
            }
            if token > limit || token == place {
                return found;
            }
            self.read(bytes, place, token, |byte| hash.add(byte));
            place = token;
            if self.closed(bytes, place) && self.has_entry(hash.value(), bytes, start, place) {
                found = Found::Entry(place);
            }
            if place == bytes.len() || !self.goes_on(hash.value()) {
                return found;
            }
        }
    }

    fn add(&mut self, entry: &str, beginnings: &mut Vec<u64>) {
        let bytes = entry.as_bytes();
        let (mut hash, mut place) = (Hash::new(), 0);
        let mut folded = Vec::with_capacity(bytes.len());
        while place < bytes.len() {
            if place > 0 {
                beginnings.push(hash.value());
            }
            let token = token_end(bytes, place, bytes.len());
            self.read(bytes, place, token, |byte| {
                hash.add(byte);
                folded.push(byte);
            });
            place = token;
        }
        if self.has_folded(hash.value(), &folded) {
            return;
        }
        self.text.extend_from_slice(&folded);
        self.ends.push(self.text.len() as u32);
        let slot = free_slot(&self.slots, hash.value(), |slot| *slot == 0);
        self.slots[slot] = self.ends.len() as u32;
        // A folded character may be written with more bytes than its entry has.
        self.entry_bytes_max = self
            .entry_bytes_max
            .max(bytes.len().max(folded.len()) + if self.fold_case { bytes.len() / 2 } else { 0 });
    }

    /// Hands over the bytes of a token as they are compared.
    #[inline]
    fn read(&self, bytes: &[u8], start: usize, end: usize, mut each: impl FnMut(u8)) {
        let token = &bytes[start..end];
        if !self.fold_case {
            token.iter().for_each(|byte| each(*byte));
        } else if token.is_ascii() {
            token.iter().for_each(|byte| each(byte.to_ascii_lowercase()));
        } else if let Ok(text) = std::str::from_utf8(token) {
            let mut buffer = [0; 4];
            for lower in text.chars().flat_map(char::to_lowercase) {
                lower.encode_utf8(&mut buffer).bytes().for_each(&mut each);
            }
        } else {
            token.iter().for_each(|byte| each(*byte));
        }
    }

    fn closed(&self, bytes: &[u8], end: usize) -> bool {
        end >= bytes.len() || !(is(bytes[end - 1], WORD) && is(bytes[end], WORD))
    }

    fn goes_on(&self, hash: u64) -> bool {
        let mask = self.beginnings.len() - 1;
        let mut slot = hash as usize & mask;
        while self.beginnings[slot] != 0 {
            if self.beginnings[slot] == hash {
                return true;
            }
            slot = (slot + 1) & mask;
        }
        false
    }

    fn has_entry(&self, hash: u64, bytes: &[u8], start: usize, end: usize) -> bool {
        self.candidates(hash).any(|entry| {
            let mut rest = entry.iter();
            let mut same = true;
            let mut place = start;
            while place < end {
                let token = token_end(bytes, place, end);
                self.read(bytes, place, token, |byte| same &= rest.next() == Some(&byte));
                place = token;
            }
            same && rest.next().is_none()
        })
    }

    fn has_folded(&self, hash: u64, folded: &[u8]) -> bool {
        self.candidates(hash).any(|entry| entry == folded)
    }

    /// Entries that may have this hash.
    fn candidates(&self, hash: u64) -> impl Iterator<Item = &[u8]> {
        let mask = self.slots.len() - 1;
        let from = hash as usize & mask;
        (0..self.slots.len())
            .map(move |step| self.slots[(from + step) & mask])
            .take_while(|slot| *slot != 0)
            .map(|slot| {
                let number = slot as usize - 1;
                let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
                &self.text[start..self.ends[number] as usize]
            })
    }
}

/// Twice the room that is needed, so that chains stay short; a power of two.
fn table_len(count: usize) -> usize {
    (count * 2 + 2).next_power_of_two()
}

fn free_slot<T>(table: &[T], hash: u64, free: impl Fn(&T) -> bool) -> usize {
    let mask = table.len() - 1;
    let mut slot = hash as usize & mask;
    while !free(&table[slot]) {
        slot = (slot + 1) & mask;
    }
    slot
}

/// End of the token at `place`, looking at no more than up to `limit`.
#[inline]
fn token_end(bytes: &[u8], place: usize, limit: usize) -> usize {
    let Some(first) = bytes.get(place) else {
        return place;
    };
    let limit = limit.min(bytes.len());
    if is(*first, WORD) {
        let run = bytes[place..limit.max(place + 1)]
            .iter()
            .take_while(|byte| is(**byte, WORD));
        return place + run.count();
    }
    let more = match first {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0.. => 3,
        _ => 0,
    };
    let rest = bytes[place + 1..]
        .iter()
        .take(more)
        .take_while(|byte| **byte & 0xc0 == 0x80);
    place + 1 + rest.count()
}

/// FNV-1a over 64 bits with a final mix, so that low bits are as good as high ones.
struct Hash(u64);

impl Hash {
    fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    #[inline]
    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    #[inline]
    fn value(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed ^ mixed >> 32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(entries: &[&str], fold_case: bool) -> Dictionary {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Dictionary::build(&entries, fold_case).unwrap()
    }

    fn spans(dictionary: &Dictionary, text: &str) -> Vec<(usize, usize)> {
        let bytes = text.as_bytes();
        let mut spans = Vec::new();
        let mut place = 0;
        while place < bytes.len() {
            match dictionary.longest_at(bytes, place, true) {
                Found::Entry(end) if Dictionary::begins(bytes, place) => {
                    spans.push((place, end));
                    place = end;
                }
                _ => place += 1,
            }
        }
        spans
    }

    #[test]
    fn whole_words_and_phrases_are_found_the_longest_first() {
        let names = dictionary(&["Ada", "Ada Lovelace", "O'Neil", "Jean-Luc", "Ann"], false);
        assert_eq!(spans(&names, "Ada Lovelace, Ada Love, Adam, xAda"), [(0, 12), (14, 17)]);
        assert_eq!(spans(&names, "O'Neil Jean-Luc Anna _Ann"), [(0, 6), (7, 15)]);
        assert_eq!(spans(&names, "ada"), []);
    }

    #[test]
    fn case_folds_beyond_ascii_and_scripts_without_blanks_work() {
        let names = dictionary(&["Müller", "ΑΘΗΝΑ", "张伟", "Иван Иванов"], true);
        assert_eq!(spans(&names, "MÜLLER müller Müllerin"), [(0, 7), (8, 15)]);
        assert_eq!(spans(&names, "αθηνα"), [(0, 10)]);
        assert_eq!(spans(&names, "我是张伟先生"), [(6, 12)]);
        assert_eq!(spans(&names, "ИВАН ИВАНОВ!"), [(0, 21)]);
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        let build = |entry: &str| Dictionary::build(&[entry.to_owned()], false).err();
        assert!(matches!(build(" "), Some(Refused::Entry(_))));
        assert!(matches!(
            build(&"x".repeat(DICTIONARY_ENTRY_BYTES_MAX + 1)),
            Some(Refused::Entry(_))
        ));
    }

    #[test]
    fn a_million_entries_fit_their_bounds() {
        let entries: Vec<String> = (0..DICTIONARY_COUNT_MAX)
            .map(|n| format!("name{n} family{}", n % 977))
            .collect();
        let names = Dictionary::build(&entries, true).unwrap();
        assert!(names.memory_bytes() < 128 << 20, "{}", names.memory_bytes());
        assert_eq!(spans(&names, "NAME999999 family528 name5 family6"), [(0, 20)]);
        assert_eq!(
            Dictionary::build(&vec!["x".to_owned(); DICTIONARY_COUNT_MAX + 1], true).err(),
            Some(Refused::TooMany(DICTIONARY_COUNT_MAX + 1))
        );
    }
}
