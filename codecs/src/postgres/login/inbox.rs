//! Collects one packet of a login at a time; holds what came, never room for what was announced.

use super::startup::PLACE as STARTUP_PLACE;
use crate::malformed::Malformed;
use crate::postgres::framer::{Framed, Framer, HEADER_BYTES};
use crate::postgres::limits::STARTUP_BYTES_MAX;

/// Shortest packet of a start-up: length and code.
const STARTUP_BYTES_MIN: usize = 8;

/// What is collected next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// A packet without a tag: length first, counting itself.
    Startup,
    /// A tagged frame.
    Frame(Framer),
    /// The single byte that answers an SSLRequest.
    Answer,
}

/// The packet in the making.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    complete: bool,
    fault: Option<Malformed>,
}

impl Inbox {
    /// Takes from the front of `bytes` what the packet still lacks, and says how many bytes it took. Takes nothing while a
    /// complete packet waits or after a mistake.
    pub(super) fn feed(&mut self, unit: Unit, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while !self.complete && self.fault.is_none() {
            match need(unit, &self.bytes) {
                Err(fault) => self.fault = Some(fault),
                Ok(need) if need <= self.bytes.len() => self.complete = true,
                Ok(need) => {
                    let missing = need - self.bytes.len();
                    let rest = bytes.get(taken..).unwrap_or_default();
                    let part = rest.get(..missing).unwrap_or(rest);
                    if part.is_empty() {
                        break;
                    }
                    self.bytes.extend_from_slice(part);
                    taken += part.len();
                }
            }
        }
        taken
    }

    /// The complete packet, if there is one; the inbox is empty afterwards.
    pub(super) fn packet(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if !self.complete {
            return Ok(None);
        }
        self.complete = false;
        Ok(Some(std::mem::take(&mut self.bytes)))
    }

    /// The packet so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}

/// A frame taken apart: its tag and its body.
pub(super) fn split_frame(frame: &[u8]) -> (u8, &[u8]) {
    (
        frame.first().copied().unwrap_or(0),
        frame.get(HEADER_BYTES..).unwrap_or_default(),
    )
}

/// How many bytes of the packet are needed before the next step can be made.
fn need(unit: Unit, bytes: &[u8]) -> Result<usize, Malformed> {
    match unit {
        Unit::Answer => Ok(1),
        Unit::Frame(mut framer) => match framer.next(bytes)? {
            Framed::Need(len) | Framed::Frame { len, .. } => Ok(len),
        },
        Unit::Startup => {
            let Some(&length) = bytes.first_chunk::<4>() else {
                return Ok(4);
            };
            let announced = i32::from_be_bytes(length);
            match usize::try_from(announced) {
                Ok(len) if (STARTUP_BYTES_MIN..=STARTUP_BYTES_MAX).contains(&len) => Ok(len),
                _ => Err(Malformed::Length {
                    place: STARTUP_PLACE,
                    announced: i64::from(announced),
                    min: STARTUP_BYTES_MIN,
                    max: STARTUP_BYTES_MAX,
                }),
            }
        }
    }
}
