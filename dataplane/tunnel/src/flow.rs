//! Flow-control windows (RFC 9113, 5.2 and 6.9): what the peer may send us, and when it is told of more.

/// Our receive window of a stream or of the connection.
#[derive(Debug)]
pub(crate) struct RecvWindow {
    /// What the peer may still send.
    left: i64,
    /// Consumed, and not yet given back with WINDOW_UPDATE.
    credit: u32,
    size: u32,
}

impl RecvWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            left: i64::from(size),
            credit: 0,
            size,
        }
    }

    /// The peer sent `n` bytes. False when it was not allowed to.
    #[inline]
    pub(crate) fn received(&mut self, n: u32) -> bool {
        self.left -= i64::from(n);
        self.left >= 0
    }

    /// `n` bytes were consumed. True when enough came together to be worth a WINDOW_UPDATE: half the window.
    #[inline]
    pub(crate) fn consumed(&mut self, n: u32) -> bool {
        self.credit = self.credit.saturating_add(n);
        self.credit >= self.size / 2
    }

    /// Whether there is an increment that is worth to be announced.
    pub(crate) fn is_due(&self) -> bool {
        self.credit >= self.size / 2 && self.credit > 0
    }

    /// The increment to announce, if it is worth it.
    pub(crate) fn take_credit(&mut self) -> Option<u32> {
        if !self.is_due() {
            return None;
        }
        self.left += i64::from(self.credit);
        Some(std::mem::take(&mut self.credit))
    }
}

/// The peer's receive window: what we may send. It may become negative when the peer shrinks it (6.9.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendWindow(i64);

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// Bytes that may be sent now.
    #[inline]
    pub(crate) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn sent(&mut self, n: usize) {
        self.0 -= n as i64;
    }

    /// WINDOW_UPDATE or a change of the initial size. False when it grows beyond 2^31-1.
    pub(crate) fn grow(&mut self, by: i64) -> bool {
        self.0 = self.0.saturating_add(by);
        self.0 <= i64::from(crate::limits::WINDOW_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_batched_at_half_the_window() {
        let mut w = RecvWindow::new(100);
        assert!(w.received(60));
        assert!(!w.consumed(49));
        assert_eq!(w.take_credit(), None);
        assert!(w.consumed(11));
        assert_eq!(w.take_credit(), Some(60));
        assert_eq!(w.take_credit(), None);
        assert!(w.received(100));
        assert!(!w.received(1));
    }

    #[test]
    fn the_send_window_may_be_negative_and_is_bounded() {
        let mut w = SendWindow::new(10);
        assert!(w.grow(-20));
        assert_eq!(w.available(), 0);
        assert!(w.grow(15));
        assert_eq!(w.available(), 5);
        assert!(!w.grow(i64::from(u32::MAX)));
    }
}
