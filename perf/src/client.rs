//! A PostgreSQL client for benchmarks: logs in like any other, then hands its socket to a load generator.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::login::{Keys, MECHANISM};
use crate::wire;

/// Where to log in.
#[derive(Args, Clone)]
pub struct Target {
    #[arg(long)]
    pub address: SocketAddr,
    #[arg(long, default_value = "postgres")]
    pub user: String,
    #[arg(long, default_value = "")]
    pub password: String,
    #[arg(long, default_value = "bench")]
    pub database: String,
    /// Asks for TLS; the certificate is not looked at.
    #[arg(long)]
    pub tls: bool,
}

/// A socket, plain or under TLS.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

/// A session that is ready for queries.
pub struct Session {
    pub socket: Box<dyn Socket>,
    pub input: Vec<u8>,
}

/// What sessions of one load generator share.
pub struct Dialler {
    target: Target,
    startup: Vec<u8>,
    keys: Keys,
    tls: Option<TlsConnector>,
}

impl Dialler {
    pub fn new(target: &Target) -> Result<Self> {
        Ok(Self {
            startup: wire::startup(&target.user, &target.database),
            keys: Keys::new(&target.password),
            tls: target.tls.then(connector).transpose()?,
            target: target.clone(),
        })
    }

    /// Connects and logs in.
    pub async fn log_in(&self) -> Result<Session> {
        let mut stream = TcpStream::connect(self.target.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let socket: Box<dyn Socket> = match &self.tls {
            None => Box::new(stream),
            Some(connector) => {
                let mut request = 8i32.to_be_bytes().to_vec();
                request.extend_from_slice(&wire::TLS_REQUEST.to_be_bytes());
                stream.write_all(&request).await?;
                if stream.read_u8().await? != b'S' {
                    bail!("no TLS is offered");
                }
                let name = ServerName::try_from("localhost")?;
                Box::new(connector.connect(name, stream).await.context("TLS")?)
            }
        };
        let mut session = Session {
            socket,
            input: Vec::new(),
        };
        session.socket.write_all(&self.startup).await?;
        self.authenticate(&mut session).await.context("login")?;
        Ok(session)
    }

    async fn authenticate(&self, session: &mut Session) -> Result<()> {
        let mut exchange = None;
        loop {
            let (tag, body) = session.frame().await?;
            match tag {
                b'Z' => return Ok(()),
                b'E' => bail!("{}", wire::error_text(&body)),
                b'R' => {}
                _ => continue,
            }
            let code = body.first_chunk::<4>().map(|code| i32::from_be_bytes(*code));
            let data = body.get(4..).unwrap_or_default();
            let mut out = Vec::new();
            match code {
                Some(0) => {}
                Some(3) => wire::message(&mut out, b'p', |out| {
                    out.extend_from_slice(self.keys.password());
                    out.push(0);
                }),
                Some(10) => {
                    let (begun, first) = self.keys.begin()?;
                    exchange = Some(begun);
                    wire::message(&mut out, b'p', |out| {
                        wire::text(out, MECHANISM);
                        out.extend_from_slice(&(first.len() as i32).to_be_bytes());
                        out.extend_from_slice(first.as_bytes());
                    });
                }
                Some(11) => {
                    let answer = exchange.as_mut().context("no exchange")?.answer(data)?;
                    wire::message(&mut out, b'p', |out| out.extend_from_slice(answer.as_bytes()));
                }
                Some(12) => exchange.as_ref().context("no exchange")?.verify(data)?,
                other => bail!("authentication {other:?} is not spoken"),
            }
            session.socket.write_all(&out).await?;
        }
    }
}

impl Session {
    /// The next message.
    pub async fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((tag, len)) = wire::header(&self.input)?
                && self.input.len() >= len
            {
                let body = self.input[wire::HEADER_BYTES..len].to_vec();
                self.input.drain(..len);
                return Ok((tag, body));
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                bail!("the session was closed");
            }
        }
    }

    /// Reads up to the next ReadyForQuery; an error of the server is ours.
    pub async fn ready(&mut self) -> Result<()> {
        let mut error = None;
        loop {
            let (tag, body) = self.frame().await?;
            match tag {
                b'E' => error = Some(wire::error_text(&body)),
                b'Z' => return error.map_or(Ok(()), |error| bail!("{error}")),
                _ => {}
            }
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) -> Result<()> {
        let mut out = Vec::new();
        wire::message(&mut out, b'X', |_| {});
        self.socket.write_all(&out).await?;
        self.socket.shutdown().await?;
        Ok(())
    }
}

fn connector() -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes any certificate: the servers of a benchmark are our own.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
