//! What verifiers say about a candidate: an exact span, and for very long values how they go on.

use crate::DetectorId;
use crate::class::Class;
use crate::detect::pem;
use crate::limits::LONG_MATCH_BYTES;
use crate::text::Text;

/// A verified match. Verifiers decide within [`LONG_MATCH_BYTES`] of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub start: usize,
    pub end: usize,
    pub confidence: u8,
    pub strength: Strength,
    pub tail: Tail,
}

/// What a match needs besides its own bytes to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// A weak shape: a hot word near it or in the field's name.
    Weak,
    /// A right check digit in an ordinary number: a hot word, or a policy for which the checksum suffices.
    Checked,
    /// Nothing: the structure says enough.
    Strong,
}

/// How a match goes on beyond the bytes that decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// It does not.
    Closed,
    /// As long as bytes of this class follow.
    Run(Class),
    /// Until the end line of a PEM block, or until something that no PEM block contains.
    Pem,
}

impl Hit {
    pub fn new(start: usize, end: usize, confidence: u8) -> Hit {
        Hit {
            start,
            end,
            confidence,
            strength: Strength::Strong,
            tail: Tail::Closed,
        }
    }

    /// The same match with another strength.
    pub fn of(self, strength: Strength) -> Hit {
        Hit { strength, ..self }
    }

    /// A match that runs as long as bytes of the class follow; `end` is where measuring it stopped.
    pub fn run(start: usize, end: usize, class: Class, confidence: u8) -> Hit {
        let tail = if end - start >= LONG_MATCH_BYTES {
            Tail::Run(class)
        } else {
            Tail::Closed
        };
        Hit {
            start,
            end,
            confidence,
            strength: Strength::Strong,
            tail,
        }
    }
}

impl Tail {
    /// Follows a long match from `from`: where it is known to reach, and whether it ends there.
    pub fn extend(self, text: &Text<'_>, from: usize) -> (usize, bool) {
        text.forget_edge();
        match self {
            Tail::Closed => (from, true),
            Tail::Run(class) => {
                let end = text.short_run(from, class, usize::MAX - from);
                (end, !text.needs_more())
            }
            Tail::Pem => pem::extend(text, from),
        }
    }
}

/// A match before arbitration, in the coordinates of the haystack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub start: usize,
    pub end: usize,
    pub rank: u16,
    pub detector: DetectorId,
    pub confidence: u8,
    pub tail: Tail,
}
