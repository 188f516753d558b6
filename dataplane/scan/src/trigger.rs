//! Which bytes deserve a closer look under a policy: one table look-up per byte, everything else is skipped.

use crate::Detector::*;
use crate::class::{LETTER, WORD, is};
use crate::detect::tokens::Index;
use crate::detect::{self, Channel};
use crate::scanner::Enabled;

/// For each byte the channel it triggers, if any.
pub(crate) struct Triggers {
    table: [Option<Channel>; 256],
}

/// A byte that deserves a closer look.
pub(crate) struct Next {
    pub place: usize,
    pub channel: Channel,
}

impl Triggers {
    pub fn build(enabled: Enabled, forms: &Index) -> Triggers {
        let mut triggers = Triggers { table: [None; 256] };
        if forms.digits_first || enabled.has_any(detect::DIGIT_BORNE) {
            triggers.set(b"0123456789", Channel::Digits);
        }
        if enabled.has(EmailAddress) {
            triggers.set(b"@", Channel::At);
        }
        if enabled.has(PhoneNumber) {
            triggers.set(b"+", Channel::Plus);
            triggers.set(b"(", Channel::Parenthesis);
        }
        if enabled.has_any(detect::COLON_BORNE) {
            triggers.set(b":", Channel::Colon);
        }
        if enabled.has_any(&[Password, AuthToken]) {
            triggers.set(b"=", Channel::Equals);
        }
        if enabled.has(Password) {
            triggers.set(b"'", Channel::Quote);
        }
        if enabled.has_any(&[EncryptionKey, MacAddress]) {
            triggers.set(b"-", Channel::Dash);
        }
        if enabled.has_any(&[DomainName, Url]) {
            triggers.set(b".", Channel::Dot);
        }
        if forms.letters_first {
            let letters: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').collect();
            triggers.set(&letters, Channel::Word);
        }
        for (detector, first_bytes) in detect::WORD_FIRST_BYTES {
            if enabled.has(*detector) {
                triggers.set(first_bytes, Channel::Word);
            }
        }
        triggers
    }

    /// The next triggering byte at or after `from`. A letter triggers only where a word begins; a digit there, or behind
    /// two letters that begin a word.
    #[inline(always)]
    pub fn next(&self, bytes: &[u8], from: usize) -> Option<Next> {
        let rest = bytes.get(from..)?;
        let mut before = if from == 0 { 0 } else { bytes[from - 1] };
        for (offset, byte) in rest.iter().enumerate() {
            if let Some(channel) = self.table[usize::from(*byte)] {
                let place = from + offset;
                let begins = match channel {
                    Channel::Word => !is(before, WORD),
                    Channel::Digits => !is(before, WORD) || two_letters_before(bytes, place),
                    _ => true,
                };
                if begins {
                    return Some(Next { place, channel });
                }
            }
            before = *byte;
        }
        None
    }

    /// The channel of a byte.
    #[inline(always)]
    pub fn channel(&self, byte: u8) -> Option<Channel> {
        self.table[usize::from(byte)]
    }

    pub fn byte_count(&self) -> usize {
        self.table.iter().flatten().count()
    }

    /// Extra cost over an empty scanner: a closer look costs about as much as a dozen skipped bytes.
    pub fn cost_percent(&self) -> u32 {
        self.byte_count() as u32 * 12
    }

    fn set(&mut self, bytes: &[u8], channel: Channel) {
        for byte in bytes {
            self.table[*byte as usize] = Some(channel);
        }
    }
}

/// A word of two letters so far stands before `place`.
#[inline(always)]
fn two_letters_before(bytes: &[u8], place: usize) -> bool {
    let Some(behind) = place.checked_sub(2) else {
        return false;
    };
    let letters = is(bytes[behind], LETTER) && is(bytes[behind + 1], LETTER);
    letters && (behind == 0 || !is(bytes[behind - 1], WORD))
}
