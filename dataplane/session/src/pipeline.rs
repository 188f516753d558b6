//! One direction at a time: frame, inspect, judge, note, rewrite.
//!
//! ```text
//! frame    Framer: where it starts and ends
//! inspect  Inspector: what it means, which request it answers
//! judge    guard (statements), redact (values)
//! note     events in the tap; pays the debt that output needs paid
//! rewrite  in place, or through the splice
//! ```

pub(crate) mod copy;
mod down;
pub(crate) mod long;
mod note;
pub(crate) mod refresh;
mod rows;
pub(crate) mod stream;
mod up;
pub(crate) mod withhold;

pub(crate) use note::{denied as note_denied, missed as note_missed};

use proto::policy::Record;

use crate::outgoing::Outgoing;
use crate::session::{Close, Fed, Now, Scratch, Session};
use crate::tap::Due;

/// What one step over a buffer came to.
pub(crate) enum Step {
    /// So many bytes are dealt with, go on.
    Took(usize),
    /// Nothing more can be done before so many bytes are there; 0: any.
    Need(usize),
    /// The other direction has to move first.
    Stall,
    Close(Close),
    /// So many bytes are dealt with, and then the session is over.
    Last(usize, Close),
}

/// Client to target.
pub(crate) fn to_upstream(session: &mut Session, input: &mut [u8], scratch: &mut Scratch, now: Now) -> Fed {
    let due = Due::begin();
    let (mut at, mut need, mut stalled, mut close) = (0, 0, false, None);
    while at < input.len() {
        match up::step(session, input, at, scratch, now) {
            Step::Took(bytes) => at += bytes,
            Step::Need(bytes) => {
                need = bytes;
                break;
            }
            Step::Stall => {
                stalled = true;
                break;
            }
            Step::Close(cause) => {
                close = Some(cause);
                break;
            }
            Step::Last(bytes, cause) => {
                at += bytes;
                close = Some(cause);
                break;
            }
        }
    }
    // Requests are noted when they are answered or refused: a refusal was noted as it was made.
    let noted = scratch.tap.settled(due);
    let out = Outgoing::assemble(&mut scratch.splice, at, noted);
    Fed {
        consumed: at,
        need,
        out,
        stalled,
        close,
    }
}

/// Target to client.
pub(crate) fn to_downstream(session: &mut Session, input: &mut [u8], scratch: &mut Scratch, now: Now) -> Fed {
    let due = Due::begin();
    let (mut at, mut need, mut close) = (0, 0, None);
    let (first_batch, mut batches) = (session.batch, note::Batches::new());
    while at < input.len() {
        let batch = session.batch;
        let step = down::step(session, input, at, scratch, now);
        if session.batch != batch && session.connection.record == Record::Full {
            batches.push((at, session.batch));
        }
        match step {
            Step::Took(bytes) => at += bytes,
            Step::Need(bytes) => {
                need = bytes;
                break;
            }
            Step::Stall => break,
            Step::Close(cause) => {
                close = Some(cause);
                break;
            }
            Step::Last(bytes, cause) => {
                at += bytes;
                close = Some(cause);
                break;
            }
        }
    }
    session.flush(input, scratch);
    note::promise(session, scratch, now);
    let noted = scratch.tap.settled(due);
    let out = Outgoing::assemble(&mut scratch.splice, at, noted);
    note::record(session, input, &out, (first_batch, &batches), scratch, now);
    Fed {
        consumed: at,
        need,
        out,
        stalled: false,
        close,
    }
}
