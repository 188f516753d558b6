//! A control plane that only enrols.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use agent::link::{Incoming, Link, Opened, drive};
use bytes::BytesMut;
use prost::Message as _;
use proto::control::{EnrolReply, EnrolRequest, RenewRequest, Role};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tunnel::{GrpcStatus, Limits, Mux};

use super::authority::Authority;

pub const TOKEN: &str = "sle_one-time";

pub struct Control {
    pub port: u16,
    pub policy_key: Arc<proto::sign::SigningKey>,
    /// Paths that were called, in order.
    pub calls: Rc<RefCell<Vec<String>>>,
}

impl Control {
    pub async fn start(authority: Rc<Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let policy_key = Arc::new(proto::sign::SigningKey::generate().unwrap().0);
        let calls = Rc::new(RefCell::new(Vec::new()));
        let acceptor = TlsAcceptor::from(authority.server("controlplane.sluice.internal", false));
        let (public, seen) = (policy_key.public(), calls.clone());
        tokio::task::spawn_local(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let Ok(socket) = acceptor.accept(socket).await else {
                    continue;
                };
                let shown = socket.get_ref().1.peer_certificates().is_some();
                let (authority, public, seen) = (authority.clone(), public.clone(), seen.clone());
                tokio::task::spawn_local(async move {
                    let link = Link::new(Mux::<BytesMut>::server(Limits::default()));
                    let opened = |opened: Opened| {
                        seen.borrow_mut().push(opened.path.clone());
                        tokio::task::spawn_local(answer(authority.clone(), public.clone(), shown, opened));
                    };
                    drive(socket, &link, opened).await;
                });
            }
        });
        Self {
            port,
            policy_key,
            calls,
        }
    }

    pub fn credentials(&self, authority: &Authority, gateways: &[String]) -> String {
        format!(
            "url = \"https://127.0.0.1:{}\"\ntoken = \"{TOKEN}\"\nca_sha256 = \"{}\"\ngateways = {gateways:?}\npool = \"office\"\n",
            self.port,
            authority.sha256()
        )
    }
}

async fn answer(authority: Rc<Authority>, policy_public_key: Vec<u8>, mutual: bool, opened: Opened) {
    let Incoming::Message(message) = opened.stream.next().await else {
        return;
    };
    let csr_der = match opened.path.as_str() {
        proto::path::ENROL => {
            let request = EnrolRequest::decode(message.as_slice()).unwrap();
            if request.token != TOKEN {
                return opened
                    .stream
                    .finish(GrpcStatus::PermissionDenied, "the token is not known");
            }
            request.csr_der
        }
        proto::path::RENEW if mutual => RenewRequest::decode(message.as_slice()).unwrap().csr_der,
        _ => return opened.stream.finish(GrpcStatus::Unauthenticated, "no certificate"),
    };
    let reply = EnrolReply {
        id: "agent-1".to_owned(),
        role: Role::Agent as i32,
        pool: "office".to_owned(),
        certificate_der: authority.sign(&csr_der, "sluice://agent/office/agent-1").to_vec(),
        ca_der: authority.der.to_vec(),
        policy_public_key,
        expires_at_ms: 0,
    };
    opened.stream.send_message(&reply.encode_to_vec());
    opened.stream.finish(GrpcStatus::Ok, "");
}
