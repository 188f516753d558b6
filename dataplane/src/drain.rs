//! Ending in order: no new sockets, sessions get their time, then they are told and closed.

use crate::core::Core;
use crate::core::message::ControlMessage;
use crate::core::sessions::admin_close;
use std::rc::Rc;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(20);
/// Time for the last words of sessions that are closed at the end of the drain.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Begins to drain a core; the control thread hears when it is done.
pub fn begin(core: &Rc<Core>) {
    if core.draining.replace(true) {
        return;
    }
    crate::listener::stop_all();
    let core = core.clone();
    reactor::spawn(async move {
        let deadline = reactor::now() + core.shared.config.drain_timeout;
        while core.sessions.borrow().len() + core.http.table.busy() > 0 && reactor::now() < deadline {
            reactor::sleep(POLL).await;
        }
        for entry in core.sessions.borrow().entries() {
            entry.kill(admin_close("the gateway is shutting down"));
        }
        core.http.table.kill_all("the gateway is shutting down");
        let deadline = reactor::now() + LAST_WORDS;
        while core.sessions.borrow().len() + core.http.table.len() > 0 && reactor::now() < deadline {
            reactor::sleep(POLL).await;
        }
        core.links.drain();
        core.shared.tell_control(ControlMessage::CoreDone);
    });
}
