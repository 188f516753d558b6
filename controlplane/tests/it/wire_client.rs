//! A data plane or agent for tests: enrols, renews, and speaks gRPC over HTTP/2 as a real one does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use proto::control::{EnrolReply, EnrolRequest};
use proto::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::mpsc;

use crate::plane::Plane;

/// An enrolled peer.
pub struct Peer {
    pub id: String,
    pub key_der: Vec<u8>,
    pub reply: EnrolReply,
    pub seal_key: SigningKey,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: u16,
    pub message: String,
}

/// The body of a request, fed by a channel.
pub struct Feed(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Feed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|b| Ok(Frame::data(b))))
    }
}

/// One call.
pub struct Call {
    sender: Option<mpsc::UnboundedSender<Bytes>>,
    body: Incoming,
    held: Vec<u8>,
    pub ended: Option<Ended>,
}

impl Call {
    /// Sends a message.
    pub fn send(&self, message: &impl Message) {
        let _ = self.sender.as_ref().unwrap().send(framed(message));
    }

    /// The next message, None at the end.
    pub async fn next<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            let length = self
                .held
                .get(1..5)
                .map(|l| u32::from_be_bytes(l.try_into().unwrap()) as usize);
            if let Some(length) = length.filter(|length| self.held.len() >= 5 + length) {
                let message = M::decode(&self.held[5..5 + length]).unwrap();
                self.held.drain(..5 + length);
                return Some(message);
            }
            let frame = self.body.frame().await?.ok()?;
            match frame.into_data() {
                Ok(data) => self.held.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap();
                    let text = |name: &str| {
                        trailers
                            .get(name)
                            .map(|v| v.to_str().unwrap().to_owned())
                            .unwrap_or_default()
                    };
                    self.ended = Some(Ended {
                        code: text("grpc-status").parse().unwrap(),
                        message: text("grpc-message"),
                    });
                }
            }
        }
    }

    /// Waits for the end.
    pub async fn end(&mut self) -> &Ended {
        while self.ended.is_none() {
            assert!(
                self.next::<proto::control::AuditAck>().await.is_none(),
                "a message before the end"
            );
            assert!(self.ended.is_some(), "the stream broke");
        }
        self.ended.as_ref().unwrap()
    }
}

/// A connection to the control listener.
pub struct Client(SendRequest<Feed>);

impl Client {
    /// Connects, with a certificate when there is a peer.
    pub async fn connect(plane: &Plane, peer: Option<&Peer>) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(plane.running.app.pki.ca_der().clone()).unwrap();
        let builder =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_root_certificates(roots);
        let mut config = match peer {
            None => builder.with_no_client_auth(),
            Some(peer) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from(peer.reply.certificate_der.clone())],
                    PrivateKeyDer::try_from(peer.key_der.clone()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let socket = tokio::net::TcpStream::connect(plane.running.control).await.unwrap();
        let name = ServerName::try_from("controlplane.sluice.internal").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await
            .unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(chain.last().unwrap(), plane.running.app.pki.ca_der());
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    /// Begins a call.
    pub async fn call(&mut self, path: &str) -> Call {
        let (sender, receiver) = mpsc::unbounded_channel();
        let request = Request::post(format!("https://controlplane.sluice.internal{path}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(Feed(receiver))
            .unwrap();
        let response: Response<Incoming> = self.0.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Call {
            sender: Some(sender),
            body: response.into_body(),
            held: Vec::new(),
            ended: None,
        }
    }

    /// One request, one answer.
    pub async fn unary<M: Message + Default>(&mut self, path: &str, request: &impl Message) -> Result<M, Ended> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let _ = sender.send(framed(request));
        drop(sender);
        let request = Request::post(format!("https://controlplane.sluice.internal{path}"))
            .body(Feed(receiver))
            .unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let mut call = Call {
            sender: None,
            body: response.into_body(),
            held: Vec::new(),
            ended: None,
        };
        let message = call.next().await;
        let rest: Option<M> = match message {
            Some(_) => call.next().await,
            None => None,
        };
        assert!(rest.is_none());
        match (message, call.ended.unwrap()) {
            (Some(message), Ended { code: 0, .. }) => Ok(message),
            (_, ended) => Err(ended),
        }
    }
}

/// A certificate request for a new key.
pub fn csr() -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    (request.der().to_vec(), key.serialize_der())
}

/// Enrols with a token.
pub async fn enrol(plane: &Plane, token: &str) -> Result<Peer, Ended> {
    let (csr_der, key_der) = csr();
    let (seal_key, _) = SigningKey::generate().unwrap();
    let request = EnrolRequest {
        protocol_version: proto::PROTOCOL_VERSION,
        token: token.to_owned(),
        csr_der,
        name: "tester".to_owned(),
        version: "1".to_owned(),
        audit_public_key: seal_key.public(),
    };
    let mut client = Client::connect(plane, None).await;
    let reply: EnrolReply = client.unary(proto::path::ENROL, &request).await?;
    Ok(Peer {
        id: reply.id.clone(),
        key_der,
        reply,
        seal_key,
    })
}

/// A data plane with a fresh certificate.
pub async fn dataplane(plane: &Plane) -> Peer {
    let made = plane.admin("POST", "/api/dataplanes/keys", None).await.expect(201);
    enrol(plane, made["token"].as_str().unwrap()).await.unwrap()
}

/// An agent with a fresh certificate.
pub async fn agent(plane: &Plane, pool: &str) -> Peer {
    let made = plane
        .admin("POST", &format!("/api/pools/{pool}/keys"), None)
        .await
        .expect(201);
    enrol(plane, made["token"].as_str().unwrap()).await.unwrap()
}

fn framed(message: &impl Message) -> Bytes {
    let payload = message.encode_to_vec();
    let mut out = vec![0];
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&payload);
    out.into()
}
