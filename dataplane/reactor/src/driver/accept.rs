//! Accepts: ahead of the callers up to a bound, paused beyond it.

use std::os::fd::AsRawFd;
use std::rc::Rc;

use super::{Driver, Kind, interrupted, os_error};
use crate::limits;
use crate::listener::ListenerState;
use crate::port::{Completion, Port};

impl Driver {
    /// Starts to accept, unless an accept is in flight.
    pub(crate) fn start_accept(&mut self, listener: &Rc<ListenerState>) {
        if listener.op.get().is_some() {
            return;
        }
        let token = self.insert(Kind::Accept {
            listener: listener.clone(),
        });
        listener.op.set(Some(token));
        self.set_started(token.slot());
        self.port.accept(token, listener.fd.as_raw_fd());
    }

    /// Ends the accept in flight; connections that still arrive are kept while the listener lives.
    pub(crate) fn cancel_accept(&mut self, listener: &ListenerState, orphan: bool) {
        let Some(token) = listener.op.get() else {
            return;
        };
        let Some(op) = self.op(token) else { return };
        op.orphan |= orphan;
        if !listener.cancelled.replace(true) {
            self.counters.cancels += 1;
            self.port.cancel(token, listener.fd.as_raw_fd());
        }
    }

    pub(super) fn complete_accept(&mut self, slot: u32, completion: &Completion) {
        let op = &mut self.ops[slot as usize];
        let Kind::Accept { listener } = &op.kind else {
            return;
        };
        let (listener, orphan) = (listener.clone(), op.orphan);
        let result = completion.result;
        if result >= 0 {
            self.counters.accepts += 1;
            listener.push_accepted(result, orphan);
        }
        if completion.more {
            if listener.waiting() >= limits::ACCEPTED_WAITING_MAX {
                self.cancel_accept(&listener, false);
            }
        } else {
            listener.op.set(None);
            let cancelled = listener.cancelled.replace(false);
            self.discard(slot);
            match -result {
                libc::EINVAL if !orphan && self.single_shot_accepts() => self.start_accept(&listener),
                libc::EAGAIN | libc::EINTR | libc::ECONNABORTED if !orphan && !cancelled => {
                    self.start_accept(&listener);
                }
                libc::ECANCELED => {}
                error if error > 0 && !interrupted(result) => listener.push_error(os_error(result)),
                _ => {}
            }
        }
        self.aftermath.wakers.append(&mut listener.wakers.borrow_mut());
    }

    /// Switches a kernel without multishot accept to single ones; false when that is so already.
    pub(super) fn single_shot_accepts(&mut self) -> bool {
        match &mut self.port {
            Port::Uring(port) => std::mem::take(&mut port.features.multishot_accept),
            Port::Epoll(_) => false,
        }
    }
}
