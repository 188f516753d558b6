//! A data plane reduced to its end of the links.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use agent::link::{Incoming, Link, Stream, drive};
use bytes::BytesMut;
use prost::Message as _;
use proto::policy::{SignedGrant, TargetGrant};
use proto::tunnel::session_frame::Kind;
use proto::tunnel::{Accept, Cancel, End, HelloReply, HelloRequest, Open, Refuse, SessionFrame};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tunnel::{GrpcStatus, Limits, Mux};

use super::authority::Authority;

pub struct Gateway {
    pub port: u16,
    pub links: Rc<RefCell<Vec<Rc<Link>>>>,
    pub hellos: Rc<RefCell<Vec<HelloReply>>>,
    tasks: Rc<RefCell<Vec<tokio::task::AbortHandle>>>,
}

impl Gateway {
    /// Listens, and greets every link with this number of cores. `mutual = false` and `name` let it be wrong on purpose.
    pub async fn start(authority: &Authority, name: &str, cores: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Self {
            port: listener.local_addr().unwrap().port(),
            links: Rc::default(),
            hellos: Rc::default(),
            tasks: Rc::default(),
        };
        let acceptor = TlsAcceptor::from(authority.server(name, true));
        let (links, hellos, tasks) = (gateway.links.clone(), gateway.hellos.clone(), gateway.tasks.clone());
        let accepting = tokio::task::spawn_local(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let Ok(socket) = acceptor.accept(socket).await else {
                    continue;
                };
                let link = Link::new(Mux::<BytesMut>::client(Limits::default()));
                let task = tokio::task::spawn_local({
                    let (link, links) = (link.clone(), links.clone());
                    async move {
                        drive(socket, &link, |_| ()).await;
                        links.borrow_mut().retain(|other| !Rc::ptr_eq(other, &link));
                    }
                });
                tasks.borrow_mut().push(task.abort_handle());
                let hello = greet(&link, cores).await;
                hellos.borrow_mut().push(hello);
                links.borrow_mut().push(link);
            }
        });
        gateway.tasks.borrow_mut().push(accepting.abort_handle());
        gateway
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub async fn linked(&self, count: usize) {
        eventually("links", || self.links.borrow().len() == count).await;
    }

    pub fn link(&self) -> Rc<Link> {
        self.links.borrow().first().unwrap().clone()
    }

    /// Cuts every link without a word.
    pub fn cut(&self) {
        self.links.borrow_mut().clear();
        for task in self.tasks.borrow_mut().drain(1..) {
            task.abort();
        }
    }
}

async fn greet(link: &Rc<Link>, cores: u32) -> HelloReply {
    let stream = link.open(proto::path::AGENT_HELLO).unwrap();
    let hello = HelloRequest {
        protocol_version: proto::PROTOCOL_VERSION,
        cores,
        ..HelloRequest::default()
    };
    stream.send_message(&hello.encode_to_vec());
    stream.finish(GrpcStatus::Ok, "");
    let Incoming::Message(reply) = stream.next().await else {
        panic!("no answer to the hello")
    };
    HelloReply::decode(reply.as_slice()).unwrap()
}

/// A session's stream as the data plane sees it.
pub struct Session {
    pub stream: Stream,
    received: BytesMut,
}

impl Session {
    pub fn open(link: &Rc<Link>, id: u8, grant: SignedGrant, change: impl FnOnce(&mut Open)) -> Self {
        let mut open = Open {
            session_id: vec![id; 16],
            grant: Some(grant),
            ..Open::default()
        };
        change(&mut open);
        let stream = link.open(proto::path::AGENT_SESSION).unwrap();
        stream.send(Kind::Open(open));
        Self {
            stream,
            received: BytesMut::new(),
        }
    }

    async fn answer(&self) -> Kind {
        match within(self.stream.next()).await {
            Incoming::Message(message) => SessionFrame::decode(message.as_slice()).unwrap().kind.unwrap(),
            other => panic!("{other:?} instead of an answer"),
        }
    }

    pub async fn accepted(&self) -> Accept {
        match self.answer().await {
            Kind::Accept(accept) => accept,
            other => panic!("{other:?} instead of accept"),
        }
    }

    pub async fn refused(&self) -> Refuse {
        match self.answer().await {
            Kind::Refuse(refuse) => refuse,
            other => panic!("{other:?} instead of refuse"),
        }
    }

    pub async fn send(&self, bytes: &[u8]) {
        let mut rest = BytesMut::from(bytes);
        while !rest.is_empty() {
            let credit = within(self.stream.capacity()).await.unwrap();
            let piece = rest.split_to(credit.min(rest.len()));
            self.stream.send_data(piece).unwrap();
        }
    }

    /// Sends a simple query.
    pub async fn query(&self, text: &str) {
        let mut frame = vec![b'Q'];
        frame.extend((text.len() as u32 + 5).to_be_bytes());
        frame.extend(text.as_bytes());
        frame.push(0);
        self.send(&frame).await;
    }

    /// The next frame of the target: tag and body; `Err` is the session's end.
    pub async fn frame(&mut self) -> Result<(u8, Vec<u8>), Option<End>> {
        loop {
            if self.received.len() >= 5 {
                let length = u32::from_be_bytes(self.received[1..5].try_into().unwrap()) as usize + 1;
                if self.received.len() >= length {
                    let frame = self.received.split_to(length);
                    return Ok((frame[0], frame[5..].to_vec()));
                }
            }
            match within(self.stream.next()).await {
                Incoming::Data(data) => {
                    self.stream.release(data.len());
                    self.received.extend_from_slice(&data);
                }
                Incoming::Message(message) => {
                    let Some(Kind::End(end)) = SessionFrame::decode(message.as_slice()).unwrap().kind else {
                        panic!("a message other than end")
                    };
                    return Err(Some(end));
                }
                Incoming::Half => {}
                Incoming::Closed { .. } => return Err(None),
            }
        }
    }

    /// All frames up to ReadyForQuery.
    pub async fn frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await.unwrap();
            let last = frame.0 == b'Z';
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }
}

/// Asks the agent to cancel; gives the call's status.
pub async fn cancel(link: &Rc<Link>, id: u8) -> GrpcStatus {
    let stream = link.open(proto::path::AGENT_SESSION).unwrap();
    stream.send(Kind::Cancel(Cancel {
        session_id: vec![id; 16],
    }));
    stream.finish(GrpcStatus::Ok, "");
    loop {
        if let Incoming::Closed { status, .. } = within(stream.next()).await {
            return status;
        }
    }
}

pub fn grant(port: u16) -> TargetGrant {
    TargetGrant {
        connection_id: "c".to_owned(),
        connection: "orders".to_owned(),
        protocol: "postgres".to_owned(),
        pool: "office".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: port.into(),
        database: "postgres".to_owned(),
        username: "literal:app".to_owned(),
        password: "literal:app-password".to_owned(),
        expires_at_ms: agent::identity::now_ms() + 60_000,
        ..TargetGrant::default()
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("nothing happened within 20 s")
}

pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within 10 s: {what}");
}
