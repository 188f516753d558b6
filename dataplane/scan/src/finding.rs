//! What the matcher reports: exact byte spans with the detector that found them.

use crate::Detector;

/// Number of a detector: its place in the catalogue, or for custom ones its place in the spec after the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DetectorId(pub u16);

/// Mark of what was found inside of an encoded run.
const IN_CODE: u16 = 1 << 15;

impl DetectorId {
    /// The finding is a whole encoded run (base64, hexadecimal, URL encoding) with a value of this detector inside. Its mask has to
    /// stay in the run's alphabet.
    pub fn is_in_code(self) -> bool {
        self.0 & IN_CODE != 0
    }

    /// The detector itself, whether or not its value was encoded.
    pub fn plain(self) -> DetectorId {
        DetectorId(self.0 & !IN_CODE)
    }

    pub(crate) fn in_code(self) -> DetectorId {
        DetectorId(self.0 | IN_CODE)
    }

    /// Id of the custom detector at this place of the spec.
    pub fn custom(place: usize) -> DetectorId {
        DetectorId((Detector::COUNT + place) as u16)
    }

    /// Place among the custom detectors; none for a built-in one.
    pub fn custom_place(self) -> Option<usize> {
        usize::from(self.plain().0).checked_sub(Detector::COUNT)
    }
}

impl From<Detector> for DetectorId {
    fn from(detector: Detector) -> DetectorId {
        DetectorId(detector as u16)
    }
}

/// One match, or in streams one piece of a very long match.
///
/// Findings of a call are in text order and do not overlap. A match of up to `Report::match_bytes_max` bytes is always one
/// finding. Only in a [`crate::Stream`] a longer one comes in pieces: every piece but the first has `offset > 0`, every piece
/// but the last is `open`. Where the pieces are cut depends on how the input was cut, so a mask must be made from `offset` and
/// not from the piece: byte `k` of a piece is byte `offset + k` of the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    pub detector: DetectorId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// 0 to 100: how little doubt the structure leaves.
    pub confidence: u8,
    /// Bytes of this match that the same stream reported before.
    pub offset: u64,
    /// The match goes on beyond `end`.
    pub open: bool,
}

impl Finding {
    /// Whether this is part of a match longer than `match_bytes_max`, so that the mask cannot depend on its length.
    pub fn long(&self, match_bytes_max: usize) -> bool {
        self.open || self.offset > 0 || (self.end - self.start) as usize > match_bytes_max
    }
}

/// One match inside one packed cell; the span counts from the start of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellFinding {
    pub cell: u32,
    pub detector: DetectorId,
    pub start: u32,
    pub end: u32,
    /// 0 to 100: how little doubt the structure leaves.
    pub confidence: u8,
}
