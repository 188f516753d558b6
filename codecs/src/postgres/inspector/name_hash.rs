//! A hash for names of statements and portals, which are short and looked up several times for every execution.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Odd, with as many ones as zeros (the fractional part of the golden ratio).
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hashes with a secret of its own, so that a client cannot choose names that fall together.
#[derive(Debug, Clone)]
pub(super) struct NameHash {
    secret: u64,
}

impl Default for NameHash {
    fn default() -> Self {
        NameHash {
            secret: RandomState::new().hash_one(FACTOR),
        }
    }
}

impl BuildHasher for NameHash {
    type Hasher = NameHasher;

    #[inline]
    fn build_hasher(&self) -> NameHasher {
        NameHasher {
            state: self.secret,
            secret: self.secret.rotate_left(32) | 1,
        }
    }
}

/// Folds eight bytes at a time into the state by a multiplication of twice the width.
pub(super) struct NameHasher {
    state: u64,
    secret: u64,
}

impl NameHasher {
    #[inline]
    fn fold(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word) * u128::from(self.secret ^ FACTOR);
        self.state = (wide as u64) ^ ((wide >> 64) as u64) ^ word.rotate_left(17);
    }
}

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.fold(word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(words.remainder()) {
            *to = *from;
        }
        self.fold(u64::from_le_bytes(last));
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The table takes its bits from both ends.
        let wide = u128::from(self.state) * u128::from(FACTOR);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(names: &NameHash, name: &[u8]) -> u64 {
        names.hash_one(name)
    }

    #[test]
    fn names_that_differ_have_hashes_that_differ() {
        let names = NameHash::default();
        let mut seen = HashSet::new();
        for number in 0..20_000u32 {
            assert!(seen.insert(hash(&names, format!("P_{number}").as_bytes())));
            assert!(seen.insert(hash(&names, &number.to_le_bytes())));
        }
        // Four zeros were among the numbers.
        for zeros in 5..64 {
            assert!(seen.insert(hash(&names, &vec![0; zeros])), "{zeros} zeros");
        }
    }

    #[test]
    fn both_ends_of_a_hash_depend_on_the_name() {
        let names = NameHash::default();
        let ends: HashSet<(u64, u64)> = (0..256u32)
            .map(|number| hash(&names, format!("s{number}").as_bytes()))
            .map(|hash| (hash & 0xFF, hash >> 57))
            .collect();
        // 256 throws into 32,768 places: a few meet, not many.
        assert!(ends.len() > 240, "{}", ends.len());
    }

    #[test]
    fn two_tables_do_not_share_their_secret() {
        let (one, other) = (NameHash::default(), NameHash::default());
        assert_ne!(hash(&one, b"statement"), hash(&other, b"statement"));
        assert_eq!(hash(&one, b"statement"), hash(&one.clone(), b"statement"));
    }
}
