//! Rows of one result, one after the other: the loops that the bytes of large results go through.

use codecs::postgres::message::tag::backend::{COPY_DATA, DATA_ROW};

use crate::judge::redact::{Target, Trouble};
use crate::limits::FRAME_BUFFERED_BYTES_MAX;
use crate::session::{Scratch, Session};

/// Deals with whole rows at `input[at..]` as long as they follow each other, after the first of the statement. Returns their
/// bytes, and why the row after them cannot leave if it was looked at. Anything unusual is left to the caller.
pub(super) fn pass(
    session: &mut Session,
    input: &mut [u8],
    at: usize,
    scratch: &mut Scratch,
) -> (usize, Option<Trouble>) {
    if session.inspector.is_copying_out() {
        return pass_copied(session, input, at, scratch);
    }
    if session.running.rows == 0 || session.inspector.current().is_none() {
        return (0, None);
    }
    let Some(plan) = session.plan.as_deref() else {
        return (0, None);
    };
    let left = session.left();
    let may = |bytes: usize, rows: u64| rows < left.rows_max && bytes as u64 <= left.bytes_max;
    let (mut end, mut rows, mut trouble) = (at, 0, None);
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    match rules.filter(|_| !plan.trivial) {
        None => {
            while let Some(len) = row_at(input, end).filter(|len| may(end + len - at, rows)) {
                end += len;
                rows += 1;
            }
        }
        Some(rules) => {
            let mut target = Target {
                input,
                splice: &mut scratch.splice,
                tally: &mut session.running.tally,
                rules,
            };
            while let Some(len) = row_at(target.input, end).filter(|len| may(end + len - at, rows)) {
                if let Err(error) = scratch.redactor.row(plan, end..end + len, &mut target) {
                    trouble = Some(error);
                    break;
                }
                end += len;
                rows += 1;
            }
        }
    }
    session.running.rows += rows;
    session.running.bytes += (end - at) as u64;
    (end - at, trouble)
}

/// The same for frames of COPY data that rules are about.
fn pass_copied(session: &mut Session, input: &mut [u8], at: usize, scratch: &mut Scratch) -> (usize, Option<Trouble>) {
    if session.withheld.is_some() {
        return (0, None);
    }
    let left = session.left();
    let Some(mut copy) = session.copy.take() else {
        return (0, None);
    };
    let (mut end, mut rows, mut trouble) = (at, 0, None);
    if let Some(rules) = session.running.rules.as_deref().or(session.rules.as_deref()) {
        let mut target = Target {
            input,
            splice: &mut scratch.splice,
            tally: &mut session.running.tally,
            rules,
        };
        let may = |bytes: usize, rows: u64| rows < left.rows_max && bytes as u64 <= left.bytes_max;
        while let Some(len) = frame_at(target.input, end, COPY_DATA).filter(|len| may(end + len - at, rows)) {
            if let Err(error) = copy.frame(end..end + len, &mut scratch.redactor, &mut target) {
                trouble = Some(error);
                break;
            }
            end += len;
            rows += 1;
        }
    }
    session.copy = Some(copy);
    session.running.rows += rows;
    session.running.bytes += (end - at) as u64;
    (end - at, trouble)
}

/// Bytes of the row at `at`, if it is there as a whole and of a usual length.
#[inline]
fn row_at(input: &[u8], at: usize) -> Option<usize> {
    frame_at(input, at, DATA_ROW)
}

/// The same for any frame.
#[inline]
fn frame_at(input: &[u8], at: usize, tag: u8) -> Option<usize> {
    let rest = input.get(at..)?;
    let &[found, a, b, c, d] = rest.first_chunk::<5>()?;
    if found != tag {
        return None;
    }
    let len = (u32::from_be_bytes([a, b, c, d]) as usize).checked_add(1)?;
    ((5..=FRAME_BUFFERED_BYTES_MAX).contains(&len) && len <= rest.len()).then_some(len)
}
