//! The future of an operation that gives one result: connect, file append, file sync.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::{try_with_core, with_core};
use crate::port::Token;

/// Awaits an operation; dropping it leaves the operation to the driver.
pub(crate) struct PlainOp {
    token: Option<Token>,
}

impl PlainOp {
    pub(crate) fn new(token: Token) -> PlainOp {
        PlainOp { token: Some(token) }
    }
}

impl Future for PlainOp {
    type Output = (io::Result<()>, Vec<u8>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(token) = self.token else {
            return Poll::Ready((Err(io::ErrorKind::NotConnected.into()), Vec::new()));
        };
        let polled = with_core(|core| core.with_driver(|d| d.poll_plain(token, cx.waker())));
        if polled.is_ready() {
            self.token = None;
        }
        polled
    }
}

impl Drop for PlainOp {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            try_with_core(|core| core.with_driver(|driver| driver.drop_plain(token)));
        }
    }
}
