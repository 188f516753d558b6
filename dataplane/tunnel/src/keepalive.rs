//! Notices that the peer is gone: a PING after silence, the end of the link when nothing comes back.

use std::time::Duration;

/// Opaque bytes of our keep-alive PING.
pub(crate) const KEEPALIVE_PING: [u8; 8] = *b"alive?\0\0";

/// Keep-alive of a link. Anything the peer sends is a sign of life.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    idle: Duration,
    timeout: Duration,
    /// When the peer was last heard; unknown before the first call with a time.
    heard: Option<Duration>,
    /// When the PING that is not answered was sent.
    pinged: Option<Duration>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Dead,
}

impl KeepAlive {
    pub(crate) fn new(idle: Duration, timeout: Duration) -> Self {
        Self {
            idle,
            timeout,
            heard: None,
            pinged: None,
        }
    }

    #[inline]
    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard = Some(now);
        self.pinged = None;
    }

    /// When `due` is to be asked; at once before the first time is known.
    pub(crate) fn deadline(&self) -> Duration {
        match (self.pinged, self.heard) {
            (Some(at), _) => at.saturating_add(self.timeout),
            (None, Some(at)) => at.saturating_add(self.idle),
            (None, None) => Duration::ZERO,
        }
    }

    pub(crate) fn due(&mut self, now: Duration) -> Due {
        if self.heard.is_none() {
            self.heard = Some(now);
            return Due::Nothing;
        }
        if now < self.deadline() {
            return Due::Nothing;
        }
        match self.pinged {
            Some(_) => Due::Dead,
            None => {
                self.pinged = Some(now);
                Due::Ping
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_pinged_and_then_dead() {
        let s = Duration::from_secs;
        let mut k = KeepAlive::new(s(10), s(5));
        assert_eq!(k.deadline(), s(0));
        assert_eq!(k.due(s(100)), Due::Nothing);
        assert_eq!(k.deadline(), s(110));
        assert_eq!(k.due(s(109)), Due::Nothing);
        assert_eq!(k.due(s(110)), Due::Ping);
        assert_eq!(k.deadline(), s(115));
        k.heard(s(112));
        assert_eq!(k.due(s(115)), Due::Nothing);
        assert_eq!(k.due(s(122)), Due::Ping);
        assert_eq!(k.due(s(127)), Due::Dead);
    }
}
