//! A TLS stream over a reactor socket: records are read from received buffers and written from gathered ones.

use crate::limits::TLS_WRITE_BYTES_MAX;
use reactor::{Buf, Gather, SendFuture, Socket};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::io::{self, BufRead, ErrorKind, IoSlice, Write};
use std::sync::Arc;

/// TLS state that can move between cores together with the socket's descriptor.
pub type TlsState = Box<Connection>;

/// A TLS stream after its handshake.
pub struct TlsStream {
    socket: Socket,
    connection: RefCell<TlsState>,
    /// Decrypted and not taken yet.
    plain: RefCell<Vec<u8>>,
}

impl TlsStream {
    /// Answers a handshake.
    pub async fn accept(socket: Socket, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::handshake(socket, Connection::Server(connection), &[]).await
    }

    /// Answers a handshake whose first bytes have been received already.
    pub async fn accept_after(socket: Socket, config: Arc<ServerConfig>, early: &[u8]) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::handshake(socket, Connection::Server(connection), early).await
    }

    /// Begins a handshake.
    pub async fn connect(socket: Socket, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Self::handshake(socket, Connection::Client(connection), &[]).await
    }

    /// Puts a stream together again that came from another core.
    pub fn from_parts(socket: Socket, connection: TlsState) -> Self {
        Self {
            socket,
            connection: RefCell::new(connection),
            plain: RefCell::default(),
        }
    }

    /// Takes the stream apart for another core.
    pub fn into_parts(self) -> (Socket, TlsState) {
        (self.socket, self.connection.into_inner())
    }

    /// The protocol that both ends agreed on (RFC 7301).
    pub fn protocol(&self) -> Option<&'static [u8]> {
        match self.connection.borrow().alpn_protocol() {
            Some(b"h2") => Some(b"h2"),
            Some(b"http/1.1") => Some(b"http/1.1"),
            _ => None,
        }
    }

    /// The peer's certificate, verified during the handshake.
    pub fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        let connection = self.connection.borrow();
        connection
            .peer_certificates()?
            .first()
            .cloned()
            .map(CertificateDer::into_owned)
    }

    /// Whether both sides agreed on this protocol.
    pub fn speaks(&self, protocol: &[u8]) -> bool {
        self.connection.borrow().alpn_protocol() == Some(protocol)
    }

    /// The next plaintext; empty at the end of the stream. An end without `close_notify` is an end all the same: every
    /// protocol that we carry marks its own ends.
    pub async fn recv(&self) -> io::Result<Buf> {
        loop {
            let plain = self.plain.take();
            if !plain.is_empty() {
                return Ok(Buf::from(plain));
            }
            let received = self.socket.recv().await?;
            if received.is_empty() {
                return Ok(received);
            }
            self.decrypt(&received)?;
            self.flush_pending().await?;
        }
    }

    /// Whether nothing has arrived that was not taken, decrypted or not, see [`Socket::is_quiet`].
    pub fn is_quiet(&self) -> bool {
        self.plain.borrow().is_empty() && self.socket.is_quiet()
    }

    /// Arms a receive, see [`Socket::listen`].
    pub fn listen(&self) {
        self.socket.listen();
    }

    /// Encrypts and sends everything.
    pub async fn send(&self, gather: Gather) -> io::Result<()> {
        match self.send_start(gather).await? {
            Some(sending) => sending.await,
            None => Ok(()),
        }
    }

    /// Encrypts and queues what is encrypted in one go; gives the pieces back where [`TlsStream::send_start`] would wait.
    pub fn try_send(&self, gather: Gather) -> Result<io::Result<Option<SendFuture>>, Gather> {
        if gather.len() > TLS_WRITE_BYTES_MAX {
            return Err(gather);
        }
        let pieces: SmallVec<[Buf; 8]> = gather.into_iter().collect();
        Ok(self.encrypt(&pieces).and_then(|()| self.queue_pending()))
    }

    /// Encrypts everything and queues it; waits only for what is more than [`TLS_WRITE_BYTES_MAX`]. The rest is sent when the
    /// future says so.
    pub async fn send_start(&self, gather: Gather) -> io::Result<Option<SendFuture>> {
        let mut pieces: SmallVec<[Buf; 8]> = SmallVec::new();
        let mut bytes = 0;
        for mut piece in gather {
            while bytes + piece.len() > TLS_WRITE_BYTES_MAX {
                pieces.push(piece.split_to(TLS_WRITE_BYTES_MAX - bytes));
                self.encrypt(&pieces)?;
                pieces.clear();
                bytes = 0;
                self.flush_pending().await?;
            }
            bytes += piece.len();
            pieces.push(piece);
        }
        self.encrypt(&pieces)?;
        self.queue_pending()
    }

    /// All pieces as one run of plaintext: records are cut by size alone, not where a piece ends.
    fn encrypt(&self, pieces: &[Buf]) -> io::Result<()> {
        let slices: SmallVec<[IoSlice<'_>; 8]> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        // Without a bound on its buffer the library takes everything.
        match self.connection.borrow_mut().writer().write_vectored(&slices)? {
            taken if taken == bytes => Ok(()),
            _ => Err(ErrorKind::WriteZero.into()),
        }
    }

    /// Sends `close_notify` and ends our side.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.connection.borrow_mut().send_close_notify();
        self.flush_pending().await?;
        self.socket.shutdown_write();
        Ok(())
    }

    async fn handshake(socket: Socket, mut connection: Connection, early: &[u8]) -> io::Result<Self> {
        connection.set_buffer_limit(None);
        let stream = Self {
            socket,
            connection: RefCell::new(Box::new(connection)),
            plain: RefCell::default(),
        };
        let begun = stream.decrypt(early);
        if begun.is_err() {
            // As below: the peer should hear why.
            let _ = stream.flush_pending().await;
            begun?;
        }
        loop {
            stream.flush_pending().await?;
            if !stream.connection.borrow().is_handshaking() {
                return Ok(stream);
            }
            let received = stream.socket.recv().await?;
            if received.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = stream.decrypt(&received) {
                // The alert that tells the peer why is worth sending; a failure to do so changes nothing.
                let _ = stream.flush_pending().await;
                return Err(error);
            }
        }
    }

    /// Decrypts what was received; the plaintext waits in `plain`.
    fn decrypt(&self, mut received: &[u8]) -> io::Result<()> {
        let mut connection = self.connection.borrow_mut();
        let mut plain = self.plain.borrow_mut();
        // Plaintext is never longer than its records: no growing, and no spare room that a slow reader would pin.
        plain.reserve_exact(received.len());
        while !received.is_empty() {
            if connection.read_tls(&mut received)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let state = connection
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            // Taken out at once: the library refuses further records while it holds a record's worth of plaintext.
            let mut ready = state.plaintext_bytes_to_read();
            let mut reader = connection.reader();
            while ready > 0 {
                let chunk = reader.fill_buf()?;
                let taken = chunk.len();
                plain.extend_from_slice(chunk);
                reader.consume(taken);
                ready = ready.saturating_sub(taken.max(1));
            }
        }
        Ok(())
    }

    /// Hands what is encrypted to the socket.
    async fn flush_pending(&self) -> io::Result<()> {
        match self.queue_pending()? {
            Some(sending) => sending.await,
            None => Ok(()),
        }
    }

    /// Queues what is encrypted. Taking and queueing happen without an await between, so records keep their order when both
    /// directions flush.
    fn queue_pending(&self) -> io::Result<Option<SendFuture>> {
        let mut records = Vec::new();
        let mut connection = self.connection.borrow_mut();
        while connection.wants_write() {
            connection.write_tls(&mut records)?;
        }
        Ok((!records.is_empty()).then(|| self.socket.send(Gather::from(records))))
    }
}
