//! Operations with one result: connect, file append, file sync.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use socket2::SockAddr;

use super::{Driver, Kind, Phase, interrupted, os_error, would_block};
use crate::file::FileState;
use crate::port::Token;
use crate::socket::SocketState;

impl Driver {
    pub(crate) fn start_connect(&mut self, socket: &Rc<SocketState>, addr: SockAddr) -> Token {
        let token = self.insert(Kind::Connect {
            socket: socket.clone(),
            addr: Box::new(addr),
            result: Err(would_block()),
        });
        self.set_started(token.slot());
        let op = &self.ops[token.slot() as usize];
        if let Kind::Connect { socket, addr, .. } = &op.kind {
            self.port.connect(token, socket.fd.as_raw_fd(), addr);
        }
        token
    }

    pub(crate) fn start_write(&mut self, file: &Rc<FileState>, bytes: Vec<u8>) -> Token {
        let token = self.insert(Kind::Write {
            file: file.clone(),
            bytes,
            done: 0,
            result: Err(would_block()),
        });
        self.write_on(token);
        token
    }

    pub(super) fn write_on(&mut self, token: Token) {
        let slot = token.slot();
        let op = &mut self.ops[slot as usize];
        let Kind::Write { file, bytes, done, .. } = &op.kind else {
            return;
        };
        op.phase = Phase::Started;
        self.started += 1;
        self.port
            .write(token, file.fd.as_raw_fd(), bytes.get(*done..).unwrap_or_default());
    }

    pub(super) fn complete_write(&mut self, slot: u32, n: i32) {
        let op = &mut self.ops[slot as usize];
        let token = Token::new(slot, op.generation);
        let Kind::Write {
            bytes, done, result, ..
        } = &mut op.kind
        else {
            return;
        };
        *done += n.max(0) as usize;
        if *done < bytes.len() && (n > 0 || interrupted(n)) {
            self.write_on(token);
            return;
        }
        *result = match n {
            _ if *done >= bytes.len() => Ok(()),
            0.. => Err(io::ErrorKind::WriteZero.into()),
            _ => Err(os_error(n)),
        };
        self.counters.file_ops += 1;
        self.finish(slot);
    }

    pub(crate) fn start_sync(&mut self, file: &Rc<FileState>) -> Token {
        let token = self.insert(Kind::Sync {
            _file: file.clone(),
            result: Err(would_block()),
        });
        self.set_started(token.slot());
        self.port.sync(token, file.fd.as_raw_fd());
        token
    }

    /// The result of a connect, write or sync; a write gives its vector back.
    pub(crate) fn poll_plain(&mut self, token: Token, waker: &Waker) -> Poll<(io::Result<()>, Vec<u8>)> {
        let Some(op) = self.op(token) else {
            return Poll::Ready((Err(io::ErrorKind::NotConnected.into()), Vec::new()));
        };
        if op.phase != Phase::Done {
            op.waker = Some(waker.clone());
            return Poll::Pending;
        }
        let mut kind = self.remove(token.slot());
        let output = match &mut kind {
            Kind::Connect { result, .. } | Kind::Sync { result, .. } => (std::mem::replace(result, Ok(())), Vec::new()),
            Kind::Write { result, bytes, .. } => (std::mem::replace(result, Ok(())), std::mem::take(bytes)),
            _ => (Err(io::ErrorKind::NotConnected.into()), Vec::new()),
        };
        self.aftermath.kinds.push(kind);
        Poll::Ready(output)
    }

    /// The future of a connect, write or sync was dropped. A connect is cancelled; file operations run to their end.
    pub(crate) fn drop_plain(&mut self, token: Token) {
        let slot = token.slot();
        let Some(op) = self.op(token) else { return };
        op.waker = None;
        if op.phase == Phase::Done {
            self.discard(slot);
            return;
        }
        op.orphan = true;
        if let Kind::Connect { socket, .. } = &op.kind {
            let fd = socket.fd.as_raw_fd();
            self.counters.cancels += 1;
            self.port.cancel(token, fd);
        }
    }
}
