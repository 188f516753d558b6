//! What leaves a link: control frames first, then the DATA of the streams in their turns.

use super::{Mux, Role};
use crate::{
    ErrorCode, Payload,
    frame::{self, FLAG_END_STREAM, HEADER_BYTES, Header, Kind},
    headers::{self, Trailers},
    limits::{FRAME_BYTES_DEFAULT, SCHED_TURN_BYTES_MIN},
    stream::{Local, Outgoing, Stream},
};

/// An idle link keeps an arena of at most this capacity.
const ARENA_BYTES_KEPT: usize = 4096;

impl<B: Payload> Mux<B> {
    /// Whether `poll_transmit` may have something. It gives nothing all the same while the peer's windows are used up.
    #[inline]
    pub fn wants_write(&self) -> bool {
        let updates = self.recv.is_due() || !self.updates.is_empty();
        !self.control.is_empty() || !self.sched.is_empty() || updates && self.closed.is_none()
    }

    /// Gives what is to be written, in order, about `budget_bytes` of it (control frames always leave, and the last DATA
    /// frame may overshoot a little rather than be tiny). Returns whether there was anything, so `while mux.poll_transmit(..) {}` gives all there is.
    ///
    /// Frame headers, control frames and payload of up to a few hundred bytes lie together in one block; larger payload
    /// is handed on as it was given. The pieces of one call are meant for one gathered write.
    pub fn poll_transmit(&mut self, out: &mut impl FnMut(B), budget_bytes: usize) -> bool {
        let mut arena = std::mem::take(&mut self.control);
        let mut cuts = std::mem::take(&mut self.cuts);
        self.put_window_updates(&mut arena);
        let mut budget = budget_bytes.saturating_sub(arena.len());
        while budget > 0 {
            let mut outgoing = Outgoing {
                arena: &mut arena,
                cuts: &mut cuts,
            };
            match self.send_frame(&mut outgoing, budget) {
                Some(sent) => budget = budget.saturating_sub(sent),
                None => break,
            }
        }
        let any = !arena.is_empty();
        emit(&arena, &mut cuts, out);
        self.cuts = cuts;
        self.reuse(arena);
        any
    }

    /// The arena becomes the queue of control frames again, unless it has grown beyond what is usual.
    #[inline]
    fn reuse(&mut self, mut arena: Vec<u8>) {
        if arena.capacity() <= ARENA_BYTES_KEPT && self.control.is_empty() {
            arena.clear();
            self.control = arena;
        }
    }

    fn put_window_updates(&mut self, arena: &mut Vec<u8>) {
        if self.closed.is_some() {
            return;
        }
        if let Some(credit) = self.recv.take_credit() {
            frame::put_window_update(arena, 0, credit);
        }
        for id in self.updates.drain(..) {
            let Some(s) = self.streams.get_mut(&id) else {
                continue;
            };
            s.update_due = false;
            if let Some(credit) = s.recv.take_credit().filter(|_| !s.remote_done) {
                frame::put_window_update(arena, id, credit);
            }
        }
    }

    /// Sends one DATA frame of the stream whose turn it is. `None` when there is nothing that may be sent.
    fn send_frame(&mut self, out: &mut Outgoing<'_, B>, budget: usize) -> Option<usize> {
        loop {
            let id = self.sched.front()?;
            // Whoever is removed leaves the scheduler too, so it is there.
            let s = self.streams.get_mut(&id)?;
            let ready = s.queued().min(s.send.available());
            if ready == 0 {
                self.sched.sent(0, true, &mut s.share);
                continue;
            }
            let n = ready
                .min(self.send.available())
                .min(self.peer.frame_bytes_max as usize)
                .min(s.share.turn_bytes())
                .min(budget.max(SCHED_TURN_BYTES_MIN));
            if n == 0 {
                return None;
            }
            let last = n == s.queued();
            let finishing = matches!(s.local, Local::Finishing(_));
            let end = last && matches!(s.local, Local::Finishing(None));
            let flags = if end { FLAG_END_STREAM } else { 0 };
            let header = Header {
                len: n as u32,
                kind: Kind::Data,
                flags,
                stream: id,
            };
            out.arena.extend_from_slice(&header.encode());
            s.take(n, out);
            self.send.sent(n);
            self.queued -= n;
            self.sched.sent(n, last, &mut s.share);
            if last && finishing {
                self.queue_ran_empty(id, out.arena);
            }
            return Some(HEADER_BYTES + n);
        }
    }

    /// The last queued byte of a stream went out: its end follows if it was asked for.
    #[inline]
    fn queue_ran_empty(&mut self, id: u32, arena: &mut Vec<u8>) {
        let Some(s) = self.streams.get_mut(&id) else {
            return;
        };
        if let Local::Finishing(trailers) = &mut s.local {
            let trailers = trailers.take();
            s.local = Local::Done;
            if let Some(trailers) = trailers {
                self.end_answer(arena, id, false, &trailers);
            }
        }
    }

    /// Server role: the trailers, with the response headers if there were none before, and the end of the stream.
    pub(super) fn end_answer(&mut self, arena: &mut Vec<u8>, id: u32, head: bool, trailers: &Trailers) {
        debug_assert!(self.role == Role::Server);
        let block = if head {
            self.hpack_out
                .encode(headers::response().into_iter().chain(trailers.fields()))
        } else {
            self.hpack_out.encode(trailers.fields())
        };
        frame::put_headers(arena, id, &block, true, FRAME_BYTES_DEFAULT as usize);
        // RFC 9113, 8.1: a server that needs no more of the request says so with NO_ERROR after its whole answer.
        if self.streams.get(&id).is_some_and(|s: &Stream<B>| !s.remote_done) {
            frame::put_rst_stream(arena, id, ErrorCode::NO_ERROR);
        }
        self.remove(id);
    }
}

/// Appends an empty DATA frame that ends our side of a stream.
pub(super) fn put_end(out: &mut Vec<u8>, stream: u32) {
    out.extend_from_slice(
        &Header {
            len: 0,
            kind: Kind::Data,
            flags: FLAG_END_STREAM,
            stream,
        }
        .encode(),
    );
}

/// Hands the arena out in pieces, with the payload in between.
#[inline]
fn emit<B: Payload>(arena: &[u8], cuts: &mut Vec<(usize, B)>, out: &mut impl FnMut(B)) {
    let mut at = 0;
    for (place, payload) in cuts.drain(..) {
        if place > at {
            out(B::from_slice(arena.get(at..place).unwrap_or_default()));
            at = place;
        }
        out(payload);
    }
    if at < arena.len() {
        out(B::from_slice(arena.get(at..).unwrap_or_default()));
    }
}
