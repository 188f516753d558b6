//! Received bytes of one direction on their way through the session: whole buffers in place, cut frames carried over.

use reactor::{Buf, Gather};
use session::{Close, Fed, Piece};

/// What became of a buffer.
#[derive(Default)]
pub struct Passed {
    pub close: Option<Close>,
    /// The session wants to see the other direction first; push an empty buffer to go on.
    pub stalled: bool,
}

/// Bytes that the session could not deal with yet.
#[derive(Default)]
pub struct Inbox {
    carry: Vec<u8>,
    /// Bytes that `carry` must have before the session is asked again.
    need: usize,
}

impl Inbox {
    /// Shows `received` (after what is carried) to `feed` until nothing more can be dealt with; what may leave goes to `gather`.
    pub fn push(&mut self, mut received: Buf, gather: &mut Gather, mut feed: impl FnMut(&mut [u8]) -> Fed) -> Passed {
        loop {
            let from_carry = !self.carry.is_empty();
            if from_carry {
                self.top_up(&mut received);
                if self.carry.len() < self.need {
                    return Passed::default();
                }
            } else if received.is_empty() {
                return Passed::default();
            }
            let fed = if from_carry {
                feed(&mut self.carry)
            } else {
                feed(&mut received)
            };
            let Fed {
                consumed,
                need,
                out,
                stalled,
                close,
            } = fed;
            let rest = if from_carry {
                let rest = self.carry.split_off(consumed.min(self.carry.len()));
                let whole = std::mem::replace(&mut self.carry, rest);
                release(Buf::from(whole), out, gather);
                self.need = need;
                self.carry.len()
            } else {
                let dealt_with = received.split_to(consumed.min(received.len()));
                release(dealt_with, out, gather);
                received.len()
            };
            if close.is_some() || stalled {
                self.keep(&mut received, 0);
                return Passed { close, stalled };
            }
            if from_carry {
                // What the frame needed was taken from the buffer; if the buffer is used up the rest waits.
                if rest > 0 && received.is_empty() && consumed == 0 {
                    return Passed::default();
                }
            } else if consumed == 0 || rest == 0 || need == 0 || rest < need {
                self.keep(&mut received, need);
                return Passed::default();
            }
        }
    }

    /// Moves from `received` what the carried frame lacks.
    fn top_up(&mut self, received: &mut Buf) {
        let lacking = if self.need > self.carry.len() {
            self.need - self.carry.len()
        } else {
            received.len()
        };
        let take = lacking.min(received.len());
        self.carry.reserve_exact(take);
        self.carry.extend_from_slice(&received[..take]);
        received.advance(take);
    }

    fn keep(&mut self, received: &mut Buf, need: usize) {
        if !received.is_empty() {
            self.carry.extend_from_slice(received);
            received.advance(received.len());
        }
        self.need = need;
    }
}

/// Turns what the session let out into pieces to send: ranges of the input as views, new bytes as they are.
fn release(mut input: Buf, out: session::Outgoing, gather: &mut Gather) {
    if let Some(range) = out.kept_whole() {
        input.truncate(range.end);
        input.advance(range.start);
        return gather.push(input);
    }
    let (pieces, arena) = out.into_parts();
    let mut arena = Buf::from(arena);
    let (mut input_at, mut arena_at) = (0, 0);
    for piece in pieces {
        let (from, at, range) = match piece {
            Piece::Kept(range) => (&mut input, &mut input_at, range),
            Piece::New(range) => (&mut arena, &mut arena_at, range),
        };
        from.advance(range.start - *at);
        gather.push(from.split_to(range.end - range.start));
        *at = range.end;
    }
}
