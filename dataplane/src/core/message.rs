//! Messages between threads: everything that crosses cores, none of it on the path of session bytes.

use crate::core::shared::LinkTicket;
use crate::listener::ListenerKey;
use crate::listener::postgres::Handoff;
use codecs::postgres::login::CancelKey;
use session::hold::Answer;
use session::policy::Policy;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// To a data core.
pub enum Message {
    /// Put this policy in force.
    Policy(Arc<Policy>),
    /// Serve a listener.
    Listen(Listen),
    StopListening(ListenerKey),
    /// An agent's socket, before TLS.
    Link {
        fd: OwnedFd,
        ticket: LinkTicket,
    },
    /// A client that has logged in and whose pool has a link here.
    Client(Box<Handoff>),
    /// A client of HTTP whose next request needs a link that is here.
    HttpClient(Box<crate::http::front::Handoff>),
    /// A cancel request that came to another core, or to another data plane.
    Cancel {
        key: CancelKey,
        from: Asker,
        ticket: u64,
    },
    /// Another core, or all other data planes, have done what they can for our request.
    Cancelled {
        ticket: u64,
        found: bool,
    },
    Kill {
        session_id: [u8; 16],
        by: String,
        reason: String,
    },
    /// Reviewers have answered.
    HoldAnswer {
        session_id: [u8; 16],
        id: [u8; 16],
        answer: Answer,
    },
    /// No new work; sessions get their time to end.
    Drain,
    /// The core's thread ends.
    Stop,
}

/// Who wants to know what became of a cancel request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    Core(usize),
    /// The control thread, for another data plane.
    Control,
}

/// A bound socket to serve.
pub struct Listen {
    pub key: ListenerKey,
    pub fd: OwnedFd,
}

/// To the control thread.
#[derive(Debug)]
pub enum ControlMessage {
    /// A core has put a policy in force.
    Enforced,
    /// A link came or went.
    LinksChanged,
    /// A statement waits for a review, or waits no longer.
    HoldsChanged,
    /// No core has the session of a cancel request: another data plane may.
    CancelAbroad { key: CancelKey, core: usize, ticket: u64 },
    /// A core has looked for the session of another data plane's request.
    CancelLooked { ticket: u64, found: bool },
    /// A core is done after a drain.
    CoreDone,
    /// The program was told to end.
    Stop,
}
