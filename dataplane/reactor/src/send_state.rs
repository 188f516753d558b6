//! What a send in flight needs at a stable address: its pieces, the vectors that describe them, the message header.

use std::ptr;

use crate::Gather;
use crate::limits::SEND_PIECES_MAX;

/// Boxed and reused; the kernel reads `header` and `vectors` until the send completes.
pub(crate) struct SendState {
    gather: Gather,
    /// Index of the first piece that is not sent completely.
    first: usize,
    pub(crate) sent: usize,
    vectors: [libc::iovec; SEND_PIECES_MAX],
    header: libc::msghdr,
    prepared: usize,
}

impl SendState {
    pub(crate) fn new() -> Box<SendState> {
        let empty = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Box::new(SendState {
            gather: Gather::new(),
            first: 0,
            sent: 0,
            vectors: [empty; SEND_PIECES_MAX],
            header: libc::msghdr {
                msg_name: ptr::null_mut(),
                msg_namelen: 0,
                msg_iov: ptr::null_mut(),
                msg_iovlen: 0,
                msg_control: ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
            prepared: 0,
        })
    }

    /// Takes a new gather over.
    pub(crate) fn load(&mut self, gather: Gather) {
        self.gather = gather;
        self.first = 0;
        self.sent = 0;
    }

    /// Gives the pieces back to their pools.
    pub(crate) fn clear(&mut self) {
        self.gather.pieces.clear();
        self.gather.bytes = 0;
        self.first = 0;
        self.prepared = 0;
    }

    /// Bytes still to send.
    pub(crate) fn remaining(&self) -> usize {
        self.gather.bytes
    }

    /// Whether one call cannot take all pieces.
    pub(crate) fn needs_more_calls(&self) -> bool {
        self.gather.pieces.len() - self.first > SEND_PIECES_MAX
    }

    /// Fills the vectors with the next pieces (at most `SEND_PIECES_MAX`); bytes beyond them follow in a later call.
    /// Returns the bytes prepared.
    pub(crate) fn prepare(&mut self) -> usize {
        let pieces = self.gather.pieces.iter_mut().skip(self.first);
        let (mut count, mut bytes) = (0, 0);
        for (vector, piece) in self.vectors.iter_mut().zip(pieces) {
            vector.iov_base = piece.as_mut_ptr().cast();
            vector.iov_len = piece.len();
            count += 1;
            bytes += piece.len();
        }
        self.prepared = count;
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = count as _;
        bytes
    }

    /// The only piece, when there is one: address and length.
    pub(crate) fn single(&self) -> Option<(*const u8, u32)> {
        let vector = self.vectors.first()?;
        let bytes = u32::try_from(vector.iov_len).ok()?;
        (self.prepared == 1).then_some((vector.iov_base.cast_const().cast(), bytes))
    }

    /// The message header over the prepared vectors.
    pub(crate) fn header(&self) -> &libc::msghdr {
        &self.header
    }

    /// Notes that the first `n` remaining bytes were sent and drops the pieces that are done.
    pub(crate) fn advance(&mut self, mut n: usize) {
        self.sent += n.min(self.gather.bytes);
        self.gather.bytes -= n.min(self.gather.bytes);
        while let Some(piece) = self.gather.pieces.get_mut(self.first) {
            if n < piece.len() {
                piece.advance(n);
                return;
            }
            n -= piece.len();
            drop(std::mem::take(piece));
            self.first += 1;
        }
    }
}
