//! The one task that owns a link's socket: feeds the mux, hands events to the streams' tasks, writes what the mux has.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tunnel::{ErrorCode, Event, GrpcStatus, LinkError, Mux, OpenError, StreamId};

use super::stream::{Inbox, Incoming, Stream};
use crate::limits::{LINK_READ_BYTES, LINK_WRITE_BYTES};

/// Pieces of one gathered write.
const WRITE_PIECES_MAX: usize = 64;
/// Room that must be left in the read buffer before it is replaced by a new one.
const READ_ROOM_MIN: usize = 16 * 1024;

/// One link, shared by its driver and the tasks of its streams; all of them live on one thread.
pub struct Link {
    mux: RefCell<Mux<BytesMut>>,
    inboxes: RefCell<HashMap<StreamId, Rc<Inbox>>>,
    wake: Notify,
    started: Instant,
}

/// A stream that the peer opened.
pub struct Opened {
    /// gRPC path.
    pub path: String,
    /// The stream itself.
    pub stream: Stream,
}

/// Why a link is over.
#[derive(Debug, thiserror::Error)]
pub enum LinkEnd {
    /// All streams ended after a drain.
    #[error("drained")]
    Drained,
    /// The peer closed its socket.
    #[error("closed by the peer")]
    PeerClosed,
    /// The socket failed.
    #[error("lost: {0}")]
    Socket(std::io::Error),
    /// One of both broke the protocol, or the peer is dead.
    #[error("{0}")]
    Protocol(LinkError),
}

impl Link {
    /// A link around one end of HTTP/2.
    #[must_use]
    pub fn new(mux: Mux<BytesMut>) -> Rc<Self> {
        Rc::new(Self {
            mux: RefCell::new(mux),
            inboxes: RefCell::new(HashMap::new()),
            wake: Notify::new(),
            started: Instant::now(),
        })
    }

    /// Opens a stream (client role).
    ///
    /// # Errors
    /// [`OpenError`] when the link cannot take one.
    pub fn open(self: &Rc<Self>, path: &str) -> Result<Stream, OpenError> {
        let id = self.with(|mux| mux.open(path, &[]))?;
        Ok(self.adopt(id))
    }

    /// Takes no new streams; the driver ends when the last one has.
    pub fn drain(&self) {
        self.with(Mux::drain);
    }

    /// Streams that are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inboxes.borrow().len()
    }

    /// Calls the mux and lets the driver write what came of it.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Mux<BytesMut>) -> T) -> T {
        let result = call(&mut self.mux.borrow_mut());
        self.wake.notify_one();
        result
    }

    /// Asks the mux something that changes nothing.
    pub(super) fn peek<T>(&self, call: impl FnOnce(&Mux<BytesMut>) -> T) -> T {
        call(&self.mux.borrow())
    }

    /// The stream's task is gone.
    pub(super) fn forget(&self, id: StreamId) {
        self.inboxes.borrow_mut().remove(&id);
    }

    fn adopt(self: &Rc<Self>, id: StreamId) -> Stream {
        let inbox = Rc::new(Inbox::default());
        self.inboxes.borrow_mut().insert(id, inbox.clone());
        Stream::new(self.clone(), id, inbox)
    }

    fn deliver(&self, id: StreamId, incoming: Incoming) {
        let inbox = self.inboxes.borrow().get(&id).cloned();
        match inbox {
            Some(inbox) if inbox.push(incoming) => {}
            Some(_) => self.with(|mux| mux.reset(id, ErrorCode::ENHANCE_YOUR_CALM)),
            // Its task is gone and has reset it; what was on the way is dropped, its credit with the stream.
            None => {}
        }
    }

    /// Hands out everything that happened; the link's end, when it came to that.
    fn dispatch(self: &Rc<Self>, opened: &mut impl FnMut(Opened)) -> Option<LinkError> {
        loop {
            let event = self.mux.borrow_mut().poll_event();
            match event? {
                Event::Opened { stream, path, .. } => opened(Opened {
                    path,
                    stream: self.adopt(stream),
                }),
                Event::Message { stream, message } => self.deliver(stream, Incoming::Message(message)),
                Event::Data { stream, data } => self.deliver(stream, Incoming::Data(data)),
                Event::Half { stream } => self.deliver(stream, Incoming::Half),
                Event::Closed {
                    stream,
                    status,
                    message,
                } => {
                    self.deliver(stream, Incoming::Closed { status, message });
                }
                Event::Writable { stream } => {
                    if let Some(inbox) = self.inboxes.borrow().get(&stream) {
                        inbox.writable();
                    }
                }
                Event::Draining => {}
                Event::LinkClosed { error } => return Some(error),
            }
        }
    }

    fn close_streams(&self) {
        let inboxes: Vec<_> = self.inboxes.borrow().values().cloned().collect();
        for inbox in inboxes {
            let message = "the link was lost".to_owned();
            inbox.push(Incoming::Closed {
                status: GrpcStatus::Unavailable,
                message,
            });
        }
    }
}

/// Runs a link on `socket` until it is over; `opened` is called for every stream that the peer opens.
///
/// All streams have got their `Closed` when this returns.
pub async fn drive<S: AsyncRead + AsyncWrite>(socket: S, link: &Rc<Link>, mut opened: impl FnMut(Opened)) -> LinkEnd {
    let (reading, writing) = tokio::io::split(socket);
    let mut input = Input {
        reading,
        room: BytesMut::new(),
    };
    let mut output = Output {
        writing,
        pieces: VecDeque::new(),
        dirty: false,
    };
    let end = run(&mut input, &mut output, link, &mut opened).await;
    link.close_streams();
    // A polite end where the socket still takes one; it must not hold anything up.
    let _ = tokio::time::timeout(Duration::from_secs(1), output.writing.shutdown()).await;
    end
}

async fn run<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    input: &mut Input<R>,
    output: &mut Output<W>,
    link: &Rc<Link>,
    opened: &mut impl FnMut(Opened),
) -> LinkEnd {
    let mut over: Option<LinkError> = None;
    loop {
        if let Some(error) = link.dispatch(opened) {
            over.get_or_insert(error);
        }
        output.collect(link);
        if let Some(error) = &over
            && output.is_clean()
        {
            return match error {
                LinkError::Drained => LinkEnd::Drained,
                other => LinkEnd::Protocol(other.clone()),
            };
        }
        let timeout = link.peek(Mux::poll_timeout);
        tokio::select! {
            biased;
            written = output.write(), if !output.is_clean() => {
                if let Err(error) = written {
                    return LinkEnd::Socket(error);
                }
            }
            read = input.read(), if over.is_none() => match read {
                Ok(None) => return LinkEnd::PeerClosed,
                // An error also comes as an event, after which its GOAWAY is written.
                Ok(Some(bytes)) => drop(link.mux.borrow_mut().feed(bytes, link.started.elapsed())),
                Err(error) => return LinkEnd::Socket(error),
            },
            () = link.wake.notified() => {}
            () = until(link.started, timeout) => {
                link.mux.borrow_mut().handle_timeout(link.started.elapsed());
            }
        }
    }
}

async fn until(started: Instant, timeout: Option<Duration>) {
    match timeout {
        Some(after) => tokio::time::sleep_until((started + after).into()).await,
        None => std::future::pending().await,
    }
}

struct Input<R> {
    reading: R,
    room: BytesMut,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Reads once; `None` at the end of the peer's bytes. Dropping the future loses nothing.
    async fn read(&mut self) -> std::io::Result<Option<BytesMut>> {
        if self.room.capacity() < READ_ROOM_MIN {
            self.room = BytesMut::with_capacity(LINK_READ_BYTES);
        }
        let bytes = self.reading.read_buf(&mut self.room).await?;
        Ok((bytes > 0).then(|| self.room.split()))
    }
}

struct Output<W> {
    writing: W,
    pieces: VecDeque<BytesMut>,
    /// Bytes were handed to the socket's TLS and not flushed yet.
    dirty: bool,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    fn is_clean(&self) -> bool {
        self.pieces.is_empty() && !self.dirty
    }

    fn collect(&mut self, link: &Link) {
        if self.pieces.is_empty() {
            let pieces = &mut self.pieces;
            link.mux
                .borrow_mut()
                .poll_transmit(&mut |piece| pieces.push_back(piece), LINK_WRITE_BYTES);
        }
    }

    /// Writes some of the pieces in one gathered write, then flushes. Dropping the future loses nothing.
    async fn write(&mut self) -> std::io::Result<()> {
        while !self.pieces.is_empty() {
            let slices: Vec<IoSlice<'_>> = self
                .pieces
                .iter()
                .take(WRITE_PIECES_MAX)
                .map(|piece| IoSlice::new(piece))
                .collect();
            let written = self.writing.write_vectored(&slices).await?;
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            self.dirty = true;
            self.consume(written);
        }
        self.writing.flush().await?;
        self.dirty = false;
        Ok(())
    }

    fn consume(&mut self, mut bytes: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > bytes {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.pieces.pop_front();
        }
    }
}
