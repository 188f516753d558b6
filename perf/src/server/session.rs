//! One session of the replayed server: login, then an answer for each message.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::rows::Table;
use super::statement::{Reply, classify};
use crate::login::Verifier;
use crate::wire;

/// Longest start-up packet (PostgreSQL's own bound).
const STARTUP_BYTES_MAX: usize = 10_000;
/// First size of a session's input buffer: thousands of idle sessions should cost the stand-in little.
const INPUT_BYTES: usize = 512;
/// Settings that drivers and poolers look at.
const SETTINGS: [(&str, &str); 10] = [
    ("server_version", "15.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "Etc/UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "off"),
    ("application_name", ""),
];

struct Session {
    /// `None` while a thread writes a large result.
    stream: Option<TcpStream>,
    input: Vec<u8>,
    out: Vec<u8>,
    statements: Vec<(Vec<u8>, Arc<Reply>)>,
    portals: Vec<(Vec<u8>, Arc<Reply>)>,
    /// An error came: everything up to Sync is passed over.
    failed: bool,
}

/// Serves one session to its end.
pub async fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    let mut session = Session {
        stream: Some(stream),
        input: Vec::with_capacity(INPUT_BYTES),
        out: Vec::new(),
        statements: Vec::new(),
        portals: Vec::new(),
        failed: false,
    };
    if !session.log_in(shared).await? {
        return Ok(());
    }
    loop {
        while let Some((tag, body)) = session.frame()? {
            if tag == b'X' {
                return Ok(());
            }
            session.answer(tag, &body, shared).await?;
        }
        session.flush().await?;
        if !session.read().await? {
            return Ok(());
        }
    }
}

impl Session {
    fn stream(&mut self) -> Result<&mut TcpStream> {
        self.stream.as_mut().context("the socket is away")
    }

    /// False at the end of the input.
    async fn read(&mut self) -> Result<bool> {
        let Session { stream, input, .. } = self;
        let stream = stream.as_mut().context("the socket is away")?;
        Ok(stream.read_buf(input).await? > 0)
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.stream()?.write_all(&out).await?;
            self.out = out;
            self.out.clear();
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let Some((tag, len)) = wire::header(&self.input)? else {
            return Ok(None);
        };
        if self.input.len() < len {
            return Ok(None);
        }
        let body = self.input[wire::HEADER_BYTES..len].to_vec();
        self.input.drain(..len);
        Ok(Some((tag, body)))
    }

    /// False when the peer wanted no session.
    async fn log_in(&mut self, shared: &Shared) -> Result<bool> {
        loop {
            let Some(packet) = self.startup_packet().await? else {
                return Ok(false);
            };
            match packet.first_chunk::<4>().map(|code| i32::from_be_bytes(*code)) {
                Some(wire::TLS_REQUEST | wire::GSS_REQUEST) => self.stream()?.write_all(b"N").await?,
                Some(wire::CANCEL_REQUEST) => return Ok(false),
                Some(_) => break,
                None => bail!("a start-up packet without a version"),
            }
        }
        if let Some(verifier) = &shared.verifier {
            self.prove(verifier).await?;
        }
        authentication(&mut self.out, 0, b"");
        for (name, value) in SETTINGS {
            wire::message(&mut self.out, b'S', |out| {
                wire::text(out, name);
                wire::text(out, value);
            });
        }
        wire::message(&mut self.out, b'K', |out| {
            out.extend_from_slice(&[0, 0, 1, 0, 1, 2, 3, 4])
        });
        self.ready();
        self.flush().await?;
        Ok(true)
    }

    async fn startup_packet(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = self.input.first_chunk::<4>().map(|length| i32::from_be_bytes(*length)) {
                let length = usize::try_from(length).unwrap_or(0);
                if !(8..=STARTUP_BYTES_MAX).contains(&length) {
                    bail!("a start-up packet of {length} bytes");
                }
                if self.input.len() >= length {
                    let packet = self.input[4..length].to_vec();
                    self.input.drain(..length);
                    return Ok(Some(packet));
                }
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn prove(&mut self, verifier: &Verifier) -> Result<()> {
        authentication(&mut self.out, 10, b"SCRAM-SHA-256\0\0");
        self.flush().await?;
        let initial = self.password().await?;
        let at = initial.iter().position(|byte| *byte == 0).context("no mechanism")?;
        let (challenge, first) = verifier.challenge(initial.get(at + 5..).context("no first message")?)?;
        authentication(&mut self.out, 11, first.as_bytes());
        self.flush().await?;
        let answer = self.password().await?;
        let proved = challenge.finish(&answer)?;
        authentication(&mut self.out, 12, proved.as_bytes());
        Ok(())
    }

    async fn password(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.frame()? {
                Some((b'p', body)) => return Ok(body),
                Some((tag, _)) => bail!("a message '{}' instead of a proof", char::from(tag)),
                None if self.read().await? => {}
                None => bail!("gone during the login"),
            }
        }
    }

    async fn answer(&mut self, tag: u8, body: &[u8], shared: &Shared) -> Result<()> {
        match tag {
            b'S' => {
                self.failed = false;
                self.ready();
            }
            _ if self.failed => {}
            b'Q' => {
                let text = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body)).into_owned();
                self.run(&classify(&text, &shared.tables), true).await?;
                self.failed = false;
                self.ready();
            }
            b'P' => {
                let mut parts = body.splitn(3, |byte| *byte == 0);
                let (name, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let reply = classify(&String::from_utf8_lossy(text), &shared.tables);
                if matches!(reply, Reply::Unknown) {
                    self.refuse(&String::from_utf8_lossy(text));
                } else {
                    keep(&mut self.statements, name, Arc::new(reply));
                    wire::message(&mut self.out, b'1', |_| {});
                }
            }
            b'B' => self.bind(body),
            b'D' => self.describe(body),
            b'E' => {
                let name = body.split(|byte| *byte == 0).next().unwrap_or_default();
                match found(&self.portals, name) {
                    Some(reply) => self.run(&reply, false).await?,
                    None => self.refuse("no such portal"),
                }
            }
            b'C' => wire::message(&mut self.out, b'3', |_| {}),
            b'H' => self.flush().await?,
            other => bail!("a message '{}' that is not replayed", char::from(other)),
        }
        Ok(())
    }

    fn bind(&mut self, body: &[u8]) {
        let mut parts = body.splitn(3, |byte| *byte == 0);
        let (portal, statement) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match found(&self.statements, statement) {
            Some(reply) => {
                keep(&mut self.portals, portal, reply);
                wire::message(&mut self.out, b'2', |_| {});
            }
            None => self.refuse("no such statement"),
        }
    }

    fn describe(&mut self, body: &[u8]) {
        let is_statement = body.first() == Some(&b'S');
        let name = body
            .get(1..)
            .unwrap_or_default()
            .strip_suffix(b"\0")
            .unwrap_or_default();
        let reply = match is_statement {
            true => found(&self.statements, name),
            false => found(&self.portals, name),
        };
        let Some(reply) = reply else {
            return self.refuse("nothing to describe");
        };
        let parameters = match &*reply {
            Reply::Small { parameters, .. } => *parameters,
            _ => &[],
        };
        if is_statement {
            wire::message(&mut self.out, b't', |out| {
                out.extend_from_slice(&(parameters.len() as i16).to_be_bytes());
                parameters
                    .iter()
                    .for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
            });
        }
        match &*reply {
            Reply::Small { description, .. } => self.out.extend_from_slice(description),
            Reply::Large(table) if table.head.first() == Some(&b'T') => self.out.extend_from_slice(&table.head),
            _ => wire::message(&mut self.out, b'n', |_| {}),
        }
    }

    /// Runs a statement; `simple` wants its description too.
    async fn run(&mut self, reply: &Reply, simple: bool) -> Result<()> {
        match reply {
            Reply::Small { description, rows, .. } => {
                if simple {
                    self.out.extend_from_slice(description);
                }
                self.out.extend_from_slice(rows);
                wire::message(&mut self.out, b'C', |out| wire::text(out, "SELECT 1"));
            }
            Reply::Large(table) => {
                if simple || table.head.first() == Some(&b'H') {
                    self.out.extend_from_slice(&table.head);
                }
                self.flush().await?;
                self.stream_rows(table.clone()).await?;
                self.out.extend_from_slice(&table.tail);
            }
            Reply::Done(tag) => wire::message(&mut self.out, b'C', |out| wire::text(out, tag)),
            Reply::Empty => wire::message(&mut self.out, b'I', |_| {}),
            Reply::Unknown => self.refuse("this text"),
        }
        Ok(())
    }

    /// Writes a large result from a thread of its own, so that small sessions are not in its way.
    async fn stream_rows(&mut self, table: Arc<Table>) -> Result<()> {
        let stream = self.stream.take().context("the socket is away")?.into_std()?;
        let written = tokio::task::spawn_blocking(move || -> std::io::Result<std::net::TcpStream> {
            stream.set_nonblocking(false)?;
            for _ in 0..table.repeats {
                (&stream).write_all(&table.block.bytes)?;
            }
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        self.stream = Some(TcpStream::from_std(written.await??)?);
        Ok(())
    }

    fn ready(&mut self) {
        wire::message(&mut self.out, b'Z', |out| out.push(b'I'));
    }

    fn refuse(&mut self, what: &str) {
        self.failed = true;
        wire::message(&mut self.out, b'E', |out| {
            wire::text(out, "SERROR");
            wire::text(out, "C0A000");
            wire::text(out, &format!("Mthe replayed server has no answer: {what}"));
            out.push(0);
        });
    }
}

fn authentication(out: &mut Vec<u8>, code: i32, data: &[u8]) {
    wire::message(out, b'R', |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
    });
}

fn keep(list: &mut Vec<(Vec<u8>, Arc<Reply>)>, name: &[u8], reply: Arc<Reply>) {
    match list.iter_mut().find(|(known, _)| known == name) {
        Some(known) => known.1 = reply,
        None => list.push((name.to_vec(), reply)),
    }
}

fn found(list: &[(Vec<u8>, Arc<Reply>)], name: &[u8]) -> Option<Arc<Reply>> {
    list.iter()
        .find(|(known, _)| known == name)
        .map(|(_, reply)| reply.clone())
}
