//! Both roles against an independent HTTP/2 implementation, over an in-memory pipe.

use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tunnel::{ErrorCode, Event, GrpcStatus, Limits, LinkError, Mux, StreamId, VecPayload, open};

type End = Mux<VecPayload>;

/// A mux on one end of a pipe, driven until it says what the test waits for.
struct Driver {
    mux: End,
    pipe: DuplexStream,
    started: tokio::time::Instant,
}

impl Driver {
    fn new(mux: End, pipe: DuplexStream) -> Self {
        Self {
            mux,
            pipe,
            started: tokio::time::Instant::now(),
        }
    }

    async fn flush(&mut self) {
        let mut out = Vec::new();
        while self
            .mux
            .poll_transmit(&mut |piece: VecPayload| out.extend(piece.0), 1 << 16)
        {}
        if !out.is_empty() {
            self.pipe.write_all(&out).await.unwrap();
        }
    }

    async fn event(&mut self) -> Event<VecPayload> {
        loop {
            if let Some(event) = self.mux.poll_event() {
                return event;
            }
            self.flush().await;
            let mut chunk = vec![0; 4000];
            let n = self.pipe.read(&mut chunk).await.unwrap();
            assert!(n > 0, "peer hung up");
            chunk.truncate(n);
            let now = self.started.elapsed() + Duration::from_secs(1);
            if let Err(e) = self.mux.feed(VecPayload(chunk), now) {
                assert!(!matches!(e, LinkError::Protocol { .. }), "{e}");
            }
        }
    }

    /// Sends `left` bytes as the windows allow, handling what comes in between.
    async fn send_all(&mut self, stream: StreamId, mut left: usize) {
        while left > 0 {
            let n = self.mux.capacity(stream).min(left).min(30_000);
            if n > 0 {
                assert_eq!(self.mux.send_data(stream, VecPayload(vec![7; n])), n);
                left -= n;
                self.flush().await;
            } else {
                assert_eq!(self.event().await, Event::Writable { stream });
            }
        }
    }
}

fn grpc(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

fn session_data(payload: &[u8]) -> Bytes {
    use prost::Message;
    use proto::tunnel::{SessionFrame, session_frame::Kind};
    grpc(
        &SessionFrame {
            kind: Some(Kind::Data(payload.to_vec())),
        }
        .encode_to_vec(),
    )
}

/// The payload bytes in a stream of session frames.
fn payload_of(mut bytes: &[u8]) -> Vec<u8> {
    use prost::Message;
    use proto::tunnel::{SessionFrame, session_frame::Kind};
    let mut all = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0);
        let len = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        match SessionFrame::decode(&bytes[5..5 + len]).unwrap().kind {
            Some(Kind::Data(data)) => all.extend(data),
            other => panic!("{other:?}"),
        }
        bytes = &bytes[5 + len..];
    }
    all
}

async fn read_body(body: &mut h2::RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        all.extend_from_slice(&chunk);
    }
    all
}

async fn send_body(body: &mut h2::SendStream<Bytes>, mut bytes: Bytes, end: bool) {
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let n = std::future::poll_fn(|cx| body.poll_capacity(cx))
            .await
            .unwrap()
            .unwrap();
        let last = n >= bytes.len();
        body.send_data(bytes.split_to(n.min(bytes.len())), end && last).unwrap();
    }
}

#[tokio::test]
async fn client_role_against_h2_server() {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let server = tokio::spawn(async move {
        let mut link = h2::server::handshake(theirs).await.unwrap();
        let (request, mut respond) = link.accept().await.unwrap().unwrap();
        let driver = tokio::spawn(async move { while link.accept().await.is_some() {} });
        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(request.uri().path(), open::SESSION_PATH);
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        assert_eq!(request.headers()["x-session"], "42");
        let body = read_body(&mut request.into_body()).await;
        assert_eq!(payload_of(&body).len(), 500_000);
        let head = http::Response::builder()
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let mut answer = respond.send_response(head, false).unwrap();
        send_body(&mut answer, session_data(&[3; 300_000]), false).await;
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "9".parse().unwrap());
        trailers.insert("grpc-message", "not%20now".parse().unwrap());
        answer.send_trailers(trailers).unwrap();
        driver.await.unwrap();
    });
    let mut link = Driver::new(Mux::client(Limits::default()), ours);
    let id = link.mux.open(open::SESSION_PATH, &[("x-session", "42")]).unwrap();
    link.send_all(id, 500_000).await;
    link.mux.finish(id, GrpcStatus::Ok, "");
    let mut got = 0;
    loop {
        match link.event().await {
            Event::Data { data, .. } => {
                assert!(data.0.iter().all(|b| *b == 3));
                got += data.0.len();
                link.mux.release(id, data.0.len());
            }
            Event::Writable { .. } => {}
            Event::Closed { status, message, .. } => {
                assert_eq!(
                    (got, status, &*message),
                    (300_000, GrpcStatus::FailedPrecondition, "not now")
                );
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    link.mux.drain();
    link.flush().await;
    drop(link);
    server.await.unwrap();
}

#[tokio::test]
async fn server_role_against_h2_client() {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let client = tokio::spawn(async move {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(100_000)
            .max_frame_size(20_000)
            .header_table_size(100);
        let (mut send, link) = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        let link = tokio::spawn(link);
        for round in 0..3 {
            send = send.ready().await.unwrap();
            let request = http::Request::builder()
                .method("POST")
                .uri(format!("https://agent{}", open::SESSION_PATH))
                .header("te", "trailers")
                .header("content-type", "application/grpc+proto")
                .header("x-round", round.to_string())
                .body(())
                .unwrap();
            let (answer, mut body) = send.send_request(request, false).unwrap();
            send_body(&mut body, session_data(&[5; 700_000]), true).await;
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            let mut body = answer.into_body();
            let bytes = read_body(&mut body).await;
            assert_eq!(payload_of(&bytes), vec![7; 400_000]);
            let trailers = body.trailers().await.unwrap().unwrap();
            assert_eq!(trailers["grpc-status"], "0");
        }
        drop(send);
        link.await.unwrap().unwrap();
    });
    let mut link = Driver::new(Mux::server(Limits::default()), ours);
    for round in 0..3 {
        let Event::Opened { stream, path, metadata } = link.event().await else {
            panic!()
        };
        assert_eq!(path, open::SESSION_PATH);
        assert_eq!(metadata, [("x-round".to_owned(), round.to_string())]);
        let mut got = 0;
        loop {
            match link.event().await {
                Event::Data { data, .. } => {
                    assert!(data.0.iter().all(|b| *b == 5));
                    got += data.0.len();
                    link.mux.release(stream, data.0.len());
                }
                Event::Half { .. } => break,
                Event::Writable { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, 700_000);
        link.send_all(stream, 400_000).await;
        link.mux.finish(stream, GrpcStatus::Ok, "");
        link.flush().await;
    }
    assert_eq!(link.event().await, Event::Draining);
    client.await.unwrap();
}

#[tokio::test]
async fn trailers_only_and_early_end_reach_an_h2_client() {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let client = tokio::spawn(async move {
        let (send, link) = h2::client::handshake(theirs).await.unwrap();
        tokio::spawn(link);
        let mut send = send.ready().await.unwrap();
        let request = || {
            let request = http::Request::post(format!("https://a{}", open::HELLO_PATH));
            request.header("content-type", "application/grpc").body(()).unwrap()
        };
        // The body is never ended: the server says that it needs no more.
        let (answer, _body): (_, h2::SendStream<Bytes>) = send.send_request(request(), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "7");
        assert_eq!(answer.headers()["grpc-message"], "n%C3%B6");
        let (answer, _body) = send.send_request(request(), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), grpc(b"hello"));
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        let (answer, _body) = send.send_request(request(), false).unwrap();
        let error = answer.await.unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::REFUSED_STREAM));
    });
    let mut link = Driver::new(Mux::server(Limits::default()), ours);
    let Event::Opened { stream, .. } = link.event().await else {
        panic!()
    };
    link.mux.finish(stream, GrpcStatus::PermissionDenied, "nö");
    let Event::Opened { stream, .. } = link.event().await else {
        panic!()
    };
    link.mux.send_message(stream, b"hello");
    link.mux.finish(stream, GrpcStatus::Ok, "");
    let Event::Opened { stream, .. } = link.event().await else {
        panic!()
    };
    link.mux.reset(stream, ErrorCode::REFUSED_STREAM);
    link.flush().await;
    client.await.unwrap();
}

#[tokio::test]
async fn drain_of_an_h2_server_is_understood() {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let server = tokio::spawn(async move {
        let mut link = h2::server::handshake(theirs).await.unwrap();
        let (request, mut respond) = link.accept().await.unwrap().unwrap();
        link.graceful_shutdown();
        let driver = tokio::spawn(async move { while link.accept().await.is_some() {} });
        read_body(&mut request.into_body()).await;
        let head = http::Response::builder().header("grpc-status", "0").body(()).unwrap();
        respond.send_response(head, true).unwrap();
        driver.await.unwrap();
    });
    let mut link = Driver::new(Mux::client(Limits::default()), ours);
    let stream = link.mux.open(open::HELLO_PATH, &[]).unwrap();
    assert_eq!(link.event().await, Event::Draining);
    assert!(link.mux.open(open::HELLO_PATH, &[]).is_err());
    link.mux.finish(stream, GrpcStatus::Ok, "");
    let message = String::new();
    assert_eq!(
        link.event().await,
        Event::Closed {
            stream,
            status: GrpcStatus::Ok,
            message
        }
    );
    assert_eq!(
        link.event().await,
        Event::LinkClosed {
            error: LinkError::Drained
        }
    );
    link.flush().await;
    drop(link);
    server.await.unwrap();
}
