//! HTTP/1.1 with clients: heads in turn, bodies framed anew, sockets kept as long as both sides know where a message ends.

use super::limits::{
    BODY_DISCARDED_MAX, BODY_PAUSE_MAX, BODY_RATE_MIN, CLIENT_WRITE_TIME_MAX, HEAD_TIME_MAX, KEEP_ALIVE_TIME_MAX,
};
use super::{BodyError, Downstream, within};
use crate::transport::{self, Transport};
use codecs::http::h1::{BodyReader, HeadReader, parse_request, write};
use codecs::http::{BodyKind, Fields, Refused, RequestHead, Version};
use reactor::{Buf, Gather, SendFuture};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Instant;

/// A client's socket.
pub struct Client {
    pub transport: Rc<Transport>,
    inbox: RefCell<Buf>,
    /// The end of an answer on its way. Nobody waits for it before the next request is here, so it leaves together with the receive
    /// that waits for that.
    leaving: RefCell<Option<SendFuture>>,
}

/// What the head of an answer usually takes.
const HEAD_BYTES_USUAL: usize = 512;
/// The end of an answer up to this long is copied behind what stands before it, bytes.
const COPIED_BYTES_MAX: usize = 2048;

/// What comes next on a client's socket.
pub enum Next {
    Request(Box<RequestHead>),
    Refused(Refused),
    /// Closed, or idle for too long.
    Over,
}

impl Client {
    /// `early`: bytes that were received already.
    pub fn new(transport: Transport, early: Vec<u8>) -> Client {
        Client {
            transport: Rc::new(transport),
            inbox: RefCell::new(Buf::from(early)),
            leaving: RefCell::default(),
        }
    }

    /// Waits for the next request's head.
    pub async fn next(&self) -> Next {
        if self.inbox.borrow().is_empty() {
            match within(KEEP_ALIVE_TIME_MAX, self.transport.recv()).await {
                Some(Ok(received)) if !received.is_empty() => *self.inbox.borrow_mut() = received,
                _ => return Next::Over,
            }
        }
        if self.settle().await.is_err() {
            return Next::Over;
        }
        within(HEAD_TIME_MAX, self.head())
            .await
            .unwrap_or(Next::Refused(Refused {
                status: 408,
                reason: "the head did not come in time",
            }))
    }

    /// Waits until the end of the last answer has left.
    pub async fn settle(&self) -> io::Result<()> {
        let leaving = self.leaving.take();
        if leaving.is_none() {
            return Ok(());
        }
        within(CLIENT_WRITE_TIME_MAX, transport::finish(leaving))
            .await
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn head(&self) -> Next {
        let mut reader = HeadReader::new();
        let mut held: Vec<u8> = Vec::new();
        let mut current = self.inbox.take();
        // One empty line before a head is let pass (RFC 9112 section 2.2).
        if current.starts_with(b"\r\n") {
            current.advance(2);
        }
        loop {
            let bytes: &[u8] = if held.is_empty() { &current } else { &held };
            match reader.find(bytes) {
                Err(refused) => return Next::Refused(refused),
                Ok(None) => {}
                Ok(Some(end)) => {
                    let head = parse_request(bytes.get(..end).unwrap_or_default());
                    let mut rest = if held.is_empty() { current } else { Buf::from(held) };
                    rest.advance(end);
                    // An empty view would keep its block for as long as the client is idle.
                    *self.inbox.borrow_mut() = if rest.is_empty() { Buf::new() } else { rest };
                    return match head {
                        Ok(head) => Next::Request(Box::new(head)),
                        Err(refused) => Next::Refused(refused),
                    };
                }
            }
            if held.is_empty() {
                held.extend_from_slice(&std::mem::take(&mut current));
            }
            match self.transport.recv().await {
                Ok(received) if !received.is_empty() => held.extend_from_slice(&received),
                _ => return Next::Over,
            }
        }
    }

    /// The stream and the bytes that were received already, for another core. `None`: somebody still uses it.
    pub fn into_parts(self) -> Option<(Transport, Vec<u8>)> {
        let early = self.inbox.take().to_vec();
        let transport = Rc::try_unwrap(self.transport).ok()?;
        Some((transport, early))
    }

    /// Begins the exchange of a request.
    pub fn exchange(&self, head: &RequestHead) -> Turn<'_> {
        Turn {
            client: self,
            version: head.version,
            is_head: head.method == "HEAD",
            wants_continue: Cell::new(
                head.version == Version::Http11 && head.fields.has_token("expect", "100-continue"),
            ),
            reader: RefCell::new(BodyReader::request(head.body)),
            began: reactor::now(),
            received: Cell::new(0),
            pending: RefCell::default(),
            framing: Cell::new(BodyKind::Empty),
            begun: Cell::new(false),
            ended: Cell::new(false),
            close: Cell::new(!keeps_alive(head)),
        }
    }

    /// What was received beyond the head, when the socket becomes something else.
    pub fn take_early(&self) -> Buf {
        self.inbox.take()
    }

    /// Whether bytes of a next request are here already.
    pub fn has_more(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }
}

fn keeps_alive(head: &RequestHead) -> bool {
    match head.version {
        Version::Http10 => head.fields.has_token("connection", "keep-alive"),
        _ => !head.fields.has_token("connection", "close"),
    }
}

/// One exchange on a client's socket.
pub struct Turn<'a> {
    client: &'a Client,
    version: Version,
    is_head: bool,
    wants_continue: Cell<bool>,
    reader: RefCell<BodyReader>,
    began: Instant,
    received: Cell<u64>,
    /// Bytes that wait to be sent: a head, or what stands between chunks.
    pending: RefCell<Vec<u8>>,
    framing: Cell<BodyKind>,
    begun: Cell<bool>,
    ended: Cell<bool>,
    close: Cell<bool>,
}

impl Turn<'_> {
    /// The socket is closed after this exchange.
    pub fn close(&self) {
        self.close.set(true);
    }

    /// Reads what is left of the request's body if it is little. Whether the socket can be used for a next request.
    pub async fn finish(&self) -> bool {
        if self.close.get() || !self.ended.get() {
            return false;
        }
        // A client that waits for `100 Continue` may send its body or not: nobody can tell what comes next.
        if self.wants_continue.get() && !self.reader.borrow().is_done() {
            return false;
        }
        let mut discarded = 0;
        while discarded < BODY_DISCARDED_MAX {
            match self.body().await {
                Ok(None) => return true,
                Ok(Some(piece)) => discarded += piece.len(),
                Err(_) => return false,
            }
        }
        false
    }

    async fn send(&self, gather: Gather) -> io::Result<()> {
        if gather.is_empty() {
            return Ok(());
        }
        self.begun.set(true);
        self.client.settle().await?;
        within(CLIENT_WRITE_TIME_MAX, self.client.transport.send(gather))
            .await
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends the end of the answer; [`Client::settle`] waits for it.
    async fn send_last(&self, gather: Gather) -> io::Result<()> {
        if !gather.is_empty() {
            self.begun.set(true);
            self.client.settle().await?;
            let queued = within(CLIENT_WRITE_TIME_MAX, self.client.transport.send_start(gather)).await;
            let queued = queued.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
            *self.client.leaving.borrow_mut() = queued;
        }
        self.ended.set(true);
        Ok(())
    }

    /// The next bytes of the body, under the rules against slow senders.
    async fn recv(&self) -> Result<Buf, BodyError> {
        const SLOW: BodyError = BodyError::Refused(408, "the body did not come in time");
        let received = within(BODY_PAUSE_MAX, self.client.transport.recv()).await.ok_or(SLOW)?;
        let received = received.map_err(|_| BodyError::Gone)?;
        if received.is_empty() {
            return Err(BodyError::Gone);
        }
        self.received.set(self.received.get() + received.len() as u64);
        let elapsed = reactor::now().duration_since(self.began);
        if elapsed > BODY_PAUSE_MAX && self.received.get() / elapsed.as_secs().max(1) < BODY_RATE_MIN {
            return Err(SLOW);
        }
        Ok(received)
    }
}

impl Downstream for Turn<'_> {
    async fn body(&self) -> Result<Option<Buf>, BodyError> {
        loop {
            if self.reader.borrow().is_done() {
                return Ok(None);
            }
            if self.wants_continue.take() && !self.begun.get() && self.client.inbox.borrow().is_empty() {
                let mut line = Vec::new();
                write::status_line(&mut line, 100);
                write::end(&mut line);
                let sent = self.client.transport.send(Gather::from(line)).await;
                sent.map_err(|_| BodyError::Gone)?;
            }
            let mut current = self.client.inbox.take();
            if current.is_empty() {
                current = self.recv().await?;
            }
            let piece = self.reader.borrow_mut().read(&current);
            let piece = piece.map_err(|refused| BodyError::Refused(refused.status, refused.reason))?;
            let mut taken = current.split_to(piece.consumed);
            *self.client.inbox.borrow_mut() = current;
            taken.truncate(piece.content.end);
            taken.advance(piece.content.start);
            if !taken.is_empty() {
                return Ok(Some(taken));
            }
        }
    }

    async fn interim(&self, status: u16, fields: &Fields) -> io::Result<()> {
        if self.version != Version::Http11 {
            return Ok(());
        }
        let mut line = Vec::new();
        write::status_line(&mut line, status);
        write::fields(&mut line, fields);
        write::end(&mut line);
        self.client.transport.send(Gather::from(line)).await
    }

    async fn head(&self, status: u16, fields: &Fields, length: Option<u64>, has_body: bool) -> io::Result<()> {
        let framing = match length {
            _ if !has_body && length.is_none() => BodyKind::Empty,
            Some(length) => BodyKind::Length(length),
            None if self.version == Version::Http11 => BodyKind::Chunked,
            None => {
                self.close();
                BodyKind::UntilClose
            }
        };
        let mut out = self.pending.borrow_mut();
        let copied = length.and_then(|length| usize::try_from(length).ok());
        let copied = copied.filter(|bytes| *bytes <= COPIED_BYTES_MAX);
        out.reserve(HEAD_BYTES_USUAL + copied.unwrap_or(0));
        write::status_line(&mut out, status);
        write::fields(&mut out, fields);
        if status == 101 {
            write::field(&mut out, b"connection", b"upgrade");
        } else if status != 204 && status != 304 {
            write::framing(&mut out, framing);
        }
        if self.close.get() {
            write::field(&mut out, b"connection", b"close");
        } else if self.version == Version::Http10 {
            write::field(&mut out, b"connection", b"keep-alive");
        }
        write::end(&mut out);
        self.framing.set(if has_body && !self.is_head {
            framing
        } else {
            BodyKind::Empty
        });
        Ok(())
    }

    async fn flush(&self) -> io::Result<()> {
        let pending = self.pending.take();
        self.send(Gather::from(pending)).await
    }

    async fn data(&self, piece: Buf) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut before = self.pending.take();
        let chunked = self.framing.get() == BodyKind::Chunked;
        if chunked {
            write::chunk_head(&mut before, piece.len());
        }
        let mut gather = Gather::from(before);
        gather.push(piece);
        if chunked {
            gather.push_vec(b"\r\n".to_vec());
        }
        self.send(gather).await
    }

    async fn finish(&self, piece: Buf, trailers: &Fields) -> io::Result<()> {
        let mut before = self.pending.take();
        let mut after = Vec::new();
        if self.framing.get() == BodyKind::Chunked {
            if !piece.is_empty() {
                write::chunk_head(&mut before, piece.len());
                after.extend_from_slice(b"\r\n");
            }
            write::last_chunk(&mut after, trailers);
        }
        if piece.len() + after.len() <= COPIED_BYTES_MAX {
            // One piece costs the kernel less than three.
            before.extend_from_slice(&piece);
            before.extend_from_slice(&after);
            return self.send_last(Gather::from(before)).await;
        }
        let mut gather = Gather::from(before);
        if !piece.is_empty() {
            gather.push(piece);
        }
        if !after.is_empty() {
            gather.push_vec(after);
        }
        self.send_last(gather).await
    }

    async fn end(&self, trailers: &Fields) -> io::Result<()> {
        if self.framing.get() == BodyKind::Chunked {
            write::last_chunk(&mut self.pending.borrow_mut(), trailers);
        }
        let pending = self.pending.take();
        self.send_last(Gather::from(pending)).await
    }

    fn has_begun(&self) -> bool {
        self.begun.get()
    }
}
