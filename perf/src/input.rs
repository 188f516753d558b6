//! Standard input as the leash of a generator: lines are words to act on, its end is the end of the run.

use std::io::BufRead;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Lines as they come; the channel closes when the input ends.
pub fn lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    // Left behind at the end: a thread that waits for input cannot be stopped, and the process ends anyway.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits until standard input ends.
pub async fn ended() {
    let mut lines = lines();
    while lines.recv().await.is_some() {}
}
