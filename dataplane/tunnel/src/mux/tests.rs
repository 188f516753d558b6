//! Two ends of a link against each other in virtual time.

use super::*;
use crate::{
    FloodLimits, VecPayload,
    limits::Bucket,
    open::{HELLO_PATH, SESSION_PATH},
};
use proptest::prelude::*;

mod hostile;

const SECOND: Duration = Duration::from_secs(1);
const BUDGET: usize = 64 * 1024;

type End = Mux<VecPayload>;
type Events = Vec<Event<VecPayload>>;

fn wire(mux: &mut End, budget: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let wanted = mux.wants_write();
    mux.poll_transmit(&mut |piece: VecPayload| bytes.extend(piece.0), budget);
    assert!(wanted || bytes.is_empty(), "something left that nobody was told of");
    bytes
}

fn drain_wire(mux: &mut End) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = wire(mux, BUDGET);
        if more.is_empty() {
            return bytes;
        }
        bytes.extend(more);
    }
}

fn events(mux: &mut End) -> Events {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

/// A client and a server, and the wire between them.
struct Pair {
    client: End,
    server: End,
    now: Duration,
    /// Size of the pieces in which bytes arrive; 0: as they come.
    cut: usize,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self {
            client: Mux::client(limits.clone()),
            server: Mux::server(limits),
            now: SECOND,
            cut: 0,
        }
    }

    fn deliver(to: &mut End, bytes: Vec<u8>, cut: usize, now: Duration) {
        let cut = if cut == 0 { bytes.len().max(1) } else { cut };
        for piece in bytes.chunks(cut) {
            // An end that is over takes nothing more; what it says about that is in its events.
            let _ = to.feed(VecPayload(piece.to_vec()), now);
        }
    }

    /// Until both have nothing more to say. Events stay where they are.
    fn pump(&mut self) {
        loop {
            let up = drain_wire(&mut self.client);
            let down = drain_wire(&mut self.server);
            if up.is_empty() && down.is_empty() {
                return;
            }
            Self::deliver(&mut self.server, up, self.cut, self.now);
            Self::deliver(&mut self.client, down, self.cut, self.now);
        }
    }

    fn session(&mut self) -> StreamId {
        let stream = self.client.open(SESSION_PATH, &[]).unwrap();
        self.pump();
        stream
    }
}

/// The payload of all `Data` events of a stream.
fn data_of(events: &Events, id: StreamId) -> Vec<u8> {
    let mut all = Vec::new();
    for e in events {
        if let Event::Data { stream, data } = e
            && *stream == id
        {
            all.extend_from_slice(&data.0);
        }
    }
    all
}

/// Events with neighbouring pieces of data of a stream joined: what must not depend on cuts.
fn joined(events: Events) -> Events {
    let mut out: Events = Vec::new();
    for e in events {
        match (out.last_mut(), e) {
            (Some(Event::Data { stream: s, data: have }), Event::Data { stream, data }) if *s == stream => {
                have.0.extend(data.0);
            }
            (_, e) => out.push(e),
        }
    }
    out
}

#[test]
fn a_call_from_open_to_trailers() {
    for cut in [0, 1, 2, 3, 7] {
        let mut p = Pair::new(Limits::default());
        p.cut = cut;
        let id = p.client.open(SESSION_PATH, &[("x-session", "7")]).unwrap();
        p.client.send_message(id, &[0x12, 1, 9]);
        assert_eq!(p.client.send_data(id, VecPayload(b"select 1".to_vec())), 8);
        p.pump();
        let metadata = vec![("x-session".to_owned(), "7".to_owned())];
        assert_eq!(
            joined(events(&mut p.server)),
            [
                Event::Opened {
                    stream: id,
                    path: SESSION_PATH.to_owned(),
                    metadata
                },
                Event::Message {
                    stream: id,
                    message: vec![0x12, 1, 9]
                },
                Event::Data {
                    stream: id,
                    data: VecPayload(b"select 1".to_vec())
                },
            ]
        );
        p.server.send_data(id, VecPayload(vec![7; 100_000]));
        p.client.finish(id, GrpcStatus::Ok, "");
        p.pump();
        assert_eq!(events(&mut p.server), [Event::Half { stream: id }]);
        p.server.finish(id, GrpcStatus::NotFound, "no, 100% größer\n");
        p.pump();
        let got = joined(events(&mut p.client));
        let message = "no, 100% größer\n".to_owned();
        let closed = Event::Closed {
            stream: id,
            status: GrpcStatus::NotFound,
            message,
        };
        assert_eq!(
            got,
            [
                Event::Data {
                    stream: id,
                    data: VecPayload(vec![7; 100_000])
                },
                closed
            ]
        );
        assert_eq!((p.client.streams(), p.server.streams()), (0, 0));
        assert!(!p.client.is_closed() && !p.server.is_closed());
    }
}

#[test]
fn messages_of_other_methods_come_whole_and_bounded() {
    let mut p = Pair::new(Limits {
        message_bytes_max: 50_000,
        ..Limits::default()
    });
    let id = p.client.open(HELLO_PATH, &[]).unwrap();
    // Begins like the payload of a session frame, but is none on this method.
    let message = [&[0x0a, 3][..], &[1; 40_000]].concat();
    p.client.send_message(id, &message);
    p.client.send_message(id, &[]);
    p.pump();
    let got = events(&mut p.server);
    assert_eq!(
        got[1..],
        [
            Event::Message { stream: id, message },
            Event::Message {
                stream: id,
                message: vec![]
            }
        ]
    );
    p.client.send_message(id, &[0; 50_001]);
    p.pump();
    assert!(matches!(
        &events(&mut p.server)[..],
        [Event::Closed {
            status: GrpcStatus::ResourceExhausted,
            ..
        }]
    ));
    assert!(matches!(&events(&mut p.client)[..], [Event::Closed { .. }]));
}

#[test]
fn server_may_end_first_and_without_a_message() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    p.server.finish(id, GrpcStatus::PermissionDenied, "no");
    p.pump();
    let message = "no".to_owned();
    assert_eq!(
        events(&mut p.client),
        [Event::Closed {
            stream: id,
            status: GrpcStatus::PermissionDenied,
            message
        }]
    );
    assert_eq!((p.client.streams(), p.server.streams()), (0, 0));
    // The link goes on.
    let id = p.session();
    p.client.send_data(id, VecPayload(vec![1]));
    p.pump();
    assert_eq!(data_of(&events(&mut p.server), id), [1]);
}

#[test]
fn resets_reach_the_other_end() {
    let mut p = Pair::new(Limits::default());
    let (a, b) = (p.session(), p.session());
    events(&mut p.server);
    p.client.send_data(a, VecPayload(vec![0; 1000]));
    p.client.reset(a, ErrorCode::CANCEL);
    p.server.reset(b, ErrorCode::REFUSED_STREAM);
    p.pump();
    assert!(
        matches!(&events(&mut p.server)[..], [Event::Closed { status: GrpcStatus::Cancelled, stream, .. }] if *stream == a)
    );
    assert!(
        matches!(&events(&mut p.client)[..], [Event::Closed { status: GrpcStatus::Unavailable, stream, .. }] if *stream == b)
    );
    assert_eq!(p.client.queued, 0);
}

#[test]
fn a_stalled_stream_stops_only_itself() {
    let mut p = Pair::new(Limits::default());
    let (stalled, free) = (p.session(), p.session());
    events(&mut p.server);
    let mut sent = 0;
    let mut received_free = 0;
    for _ in 0..200 {
        for id in [stalled, free] {
            let n = p.client.capacity(id).min(32 * 1024);
            sent += if n > 0 {
                p.client.send_data(id, VecPayload(vec![3; n]))
            } else {
                0
            };
        }
        p.pump();
        let got = events(&mut p.server);
        let n = data_of(&got, free).len();
        received_free += n;
        p.server.release(free, n);
        assert!(p.client.queued <= 1024);
    }
    p.pump();
    assert_eq!(p.client.capacity(stalled), 0);
    assert!(received_free > 5_000_000);
    assert!(
        sent - received_free <= 256 * 1024,
        "{} bytes held for the stalled one",
        sent - received_free
    );
    // Taking what it held wakes it up again.
    assert!(!events(&mut p.client).contains(&Event::Writable { stream: stalled }));
    p.server.release(stalled, usize::MAX);
    p.pump();
    assert!(events(&mut p.client).contains(&Event::Writable { stream: stalled }));
    assert!(p.client.capacity(stalled) > 200_000);
}

#[test]
fn whoever_waits_for_the_connection_window_is_told() {
    let mut p = Pair::new(Limits {
        connection_window_bytes: 65_535,
        ..Limits::default()
    });
    let (a, b) = (p.session(), p.session());
    let n = p.client.capacity(a);
    assert!(n < 65_535, "the connection has less than the stream");
    p.client.send_data(a, VecPayload(vec![1; n]));
    assert_eq!((p.client.capacity(a), p.client.capacity(b)), (0, 0));
    p.pump();
    let got = events(&mut p.client);
    assert!(got.contains(&Event::Writable { stream: a }) && got.contains(&Event::Writable { stream: b }));
    // The same when it is a queue that is given up.
    let n = p.client.capacity(a);
    p.client.send_data(a, VecPayload(vec![1; n]));
    assert_eq!(p.client.capacity(b), 0);
    p.client.reset(a, ErrorCode::CANCEL);
    assert_eq!(events(&mut p.client), [Event::Writable { stream: b }]);
}

#[test]
fn a_stream_that_is_over_leaves_nothing_behind() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    p.client.send_data(id, VecPayload(vec![1; 200_000]));
    p.pump();
    events(&mut p.server);
    p.server.release(id, 200_000);
    p.client.send_data(id, VecPayload(vec![1; 1000]));
    p.client.reset(id, ErrorCode::CANCEL);
    p.server.reset(id, ErrorCode::CANCEL);
    assert_eq!(
        (p.client.sched.front(), p.client.queued, p.server.updates.len()),
        (None, 0, 0)
    );
}

#[cfg(feature = "bytes")]
#[test]
fn a_small_piece_does_not_pin_its_chunk() {
    use bytes::BytesMut;
    let mut client: Mux<BytesMut> = Mux::client(Limits::default());
    let mut server: Mux<BytesMut> = Mux::server(Limits::default());
    let ids: Vec<StreamId> = (0..20).map(|_| client.open(SESSION_PATH, &[]).unwrap()).collect();
    for id in &ids {
        client.send_data(*id, BytesMut::from(&[7; 500][..]));
    }
    client.send_data(ids[0], BytesMut::from(&[8; 20_000][..]));
    let mut wire = BytesMut::new();
    while client.poll_transmit(&mut |piece: BytesMut| wire.extend_from_slice(&piece), BUDGET) {}
    let all = wire.as_ptr_range();
    let small = wire.len() / crate::limits::SLICE_SHARE_MIN;
    server.feed(wire, SECOND).unwrap();
    let mut sizes = Vec::new();
    while let Some(event) = server.poll_event() {
        if let Event::Data { data, .. } = event {
            let sliced = all.contains(&data.as_ptr());
            assert_eq!(sliced, data.len() >= small, "{} of {} bytes", data.len(), small);
            sizes.push(data.len());
        }
    }
    assert_eq!(sizes.iter().sum::<usize>(), 30_000);
}

#[test]
fn a_caller_that_ignores_capacity_loses_the_stream_not_the_memory() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    let mut taken = 0;
    while let n @ 1.. = p.client.send_data(id, VecPayload(vec![0; 10_000])) {
        taken += n;
    }
    assert!(taken <= p.client.limits.stream_queue_bytes_max);
    assert!(matches!(
        &events(&mut p.client)[..],
        [Event::Closed {
            status: GrpcStatus::ResourceExhausted,
            ..
        }]
    ));
    assert_eq!(p.client.queued, 0);
}

#[test]
fn window_updates_are_batched() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    p.client.send_data(id, VecPayload(vec![0; 100_000]));
    p.pump();
    events(&mut p.server);
    p.server.release(id, 100_000);
    assert!(
        drain_wire(&mut p.server).is_empty(),
        "less than half a window is not worth a frame"
    );
    p.client.send_data(id, VecPayload(vec![0; 100_000]));
    p.pump();
    p.server.release(id, 40_000);
    assert_eq!(drain_wire(&mut p.server).len(), 13);
}

#[test]
fn interactive_goes_before_bulk_and_bulk_is_shared() {
    let mut p = Pair::new(Limits::default());
    let bulk: Vec<StreamId> = (0..4).map(|_| p.session()).collect();
    let quick = p.session();
    events(&mut p.server);
    for id in &bulk {
        p.client.send_data(*id, VecPayload(vec![1; 200_000]));
    }
    // Use up the credit of the quiet, so that they are bulk.
    let first = wire(&mut p.client, 80 * 1024);
    Pair::deliver(&mut p.server, first, 0, p.now);
    events(&mut p.server);
    p.client.send_data(quick, VecPayload(b"ping".to_vec()));
    let next = wire(&mut p.client, 100);
    Pair::deliver(&mut p.server, next, 0, p.now);
    assert_eq!(
        data_of(&events(&mut p.server), quick),
        b"ping",
        "before 700 kB of others"
    );
    let next = wire(&mut p.client, 400_000);
    Pair::deliver(&mut p.server, next, 0, p.now);
    let got = events(&mut p.server);
    let shares: Vec<usize> = bulk.iter().map(|id| data_of(&got, *id).len()).collect();
    let (min, max) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(max - min <= 64 * 1024, "{shares:?}");
}

#[test]
fn a_flood_of_small_streams_does_not_starve_bulk() {
    let mut p = Pair::new(Limits::default());
    let bulk = p.session();
    let small: Vec<StreamId> = (0..20).map(|_| p.session()).collect();
    events(&mut p.server);
    p.client.send_data(bulk, VecPayload(vec![1; 250_000]));
    let mut got = 0;
    for _ in 0..40 {
        for id in &small {
            if p.client.streams.get(&id.0).unwrap().queued() == 0 {
                p.client.send_data(*id, VecPayload(vec![2; 2000]));
            }
        }
        let bytes = wire(&mut p.client, 20_000);
        Pair::deliver(&mut p.server, bytes, 0, p.now);
        let seen = events(&mut p.server);
        got += data_of(&seen, bulk).len();
        for id in &small {
            p.server.release(*id, data_of(&seen, *id).len());
        }
        let back = drain_wire(&mut p.server);
        Pair::deliver(&mut p.client, back, 0, p.now);
    }
    assert!(got > 150_000, "{got}");
}

#[test]
fn a_silent_peer_is_pinged_then_given_up() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    events(&mut p.client);
    assert_eq!(p.client.poll_timeout(), Some(11 * SECOND));
    p.client.handle_timeout(11 * SECOND);
    let ping = drain_wire(&mut p.client);
    assert_eq!(ping.len(), 17);
    // Answered in time, all is well.
    p.now = 12 * SECOND;
    Pair::deliver(&mut p.server, ping, 0, p.now);
    p.pump();
    assert_eq!(p.client.poll_timeout(), Some(22 * SECOND));
    p.client.handle_timeout(22 * SECOND);
    assert_eq!(p.client.poll_timeout(), Some(27 * SECOND));
    p.client.handle_timeout(27 * SECOND);
    let got = events(&mut p.client);
    assert!(matches!(&got[0], Event::Closed { stream, status: GrpcStatus::Unavailable, .. } if *stream == id));
    assert_eq!(
        got[1],
        Event::LinkClosed {
            error: LinkError::KeepAlive
        }
    );
    assert_eq!(p.client.poll_timeout(), None);
    assert_eq!(p.client.open(SESSION_PATH, &[]), Err(OpenError::Closed));
}

#[test]
fn server_drain_lets_running_streams_end() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    events(&mut p.server);
    p.server.drain();
    // Opened before the news arrived: still taken.
    let crossing = p.client.open(SESSION_PATH, &[]).unwrap();
    p.pump();
    assert!(matches!(&events(&mut p.server)[..], [Event::Opened { stream, .. }] if *stream == crossing));
    assert_eq!(events(&mut p.client), [Event::Draining]);
    assert_eq!(p.client.open(SESSION_PATH, &[]), Err(OpenError::Draining));
    p.client.send_data(id, VecPayload(vec![5]));
    p.pump();
    assert_eq!(data_of(&events(&mut p.server), id), [5]);
    p.server.finish(id, GrpcStatus::Ok, "");
    p.server.finish(crossing, GrpcStatus::Ok, "");
    p.pump();
    assert_eq!(
        events(&mut p.server).last(),
        Some(&Event::LinkClosed {
            error: LinkError::Drained
        })
    );
    assert_eq!(
        events(&mut p.client).last(),
        Some(&Event::LinkClosed {
            error: LinkError::Drained
        })
    );
}

#[test]
fn client_drain_is_told_to_the_server() {
    let mut p = Pair::new(Limits::default());
    let id = p.session();
    events(&mut p.server);
    p.client.drain();
    p.pump();
    assert_eq!(events(&mut p.server), [Event::Draining]);
    p.client.finish(id, GrpcStatus::Ok, "");
    p.pump();
    p.server.finish(id, GrpcStatus::Ok, "");
    p.pump();
    let end = Event::LinkClosed {
        error: LinkError::Drained,
    };
    assert_eq!(
        (events(&mut p.client).last(), events(&mut p.server).last()),
        (Some(&end), Some(&end))
    );
}

#[test]
fn as_many_streams_as_the_peer_allows() {
    let mut p = Pair::new(Limits::default());
    p.server = Mux::server(Limits {
        streams_max: 2,
        ..Limits::default()
    });
    p.pump();
    p.session();
    p.session();
    assert!(!p.client.can_open());
    assert_eq!(p.client.open(SESSION_PATH, &[]), Err(OpenError::TooManyStreams));
    // Before the settings are known a client may try, and is refused.
    let mut eager = Pair::new(Limits::default());
    eager.server = Mux::server(Limits {
        streams_max: 2,
        ..Limits::default()
    });
    for _ in 0..3 {
        eager.client.open(SESSION_PATH, &[]).unwrap();
    }
    eager.pump();
    assert!(matches!(
        &events(&mut eager.client)[..],
        [Event::Closed {
            status: GrpcStatus::Unavailable,
            ..
        }]
    ));
    assert_eq!(eager.server.open(SESSION_PATH, &[]), Err(OpenError::ServerRole));
}

#[test]
fn everything_is_over_when_the_link_is() {
    let mut p = Pair::new(Limits::default());
    let ids: Vec<StreamId> = (0..3).map(|_| p.session()).collect();
    assert!(p.client.feed(VecPayload(vec![0xff; 9]), p.now).is_err());
    let got = events(&mut p.client);
    assert_eq!(got.len(), 4);
    for (e, id) in got.iter().zip(&ids) {
        assert!(matches!(e, Event::Closed { stream, status: GrpcStatus::Unavailable, .. } if stream == id));
    }
    assert_eq!(p.client.send_data(ids[0], VecPayload(vec![1])), 0);
    p.client.send_message(ids[0], &[1]);
    p.client.release(ids[0], 5);
    p.client.finish(ids[0], GrpcStatus::Ok, "");
    p.client.reset(ids[0], ErrorCode::CANCEL);
    let last = drain_wire(&mut p.client);
    assert_eq!(last.get(3), Some(&7), "only GOAWAY is left");
    assert!(p.client.feed(VecPayload(vec![0]), p.now).is_err());
}

/// One conversation, its bytes from client to server in one piece.
fn conversation() -> Vec<u8> {
    let mut p = Pair::new(Limits::default());
    let mut all = Vec::new();
    let mut step = |p: &mut Pair| {
        let up = drain_wire(&mut p.client);
        all.extend_from_slice(&up);
        Pair::deliver(&mut p.server, up, 0, p.now);
        let down = drain_wire(&mut p.server);
        Pair::deliver(&mut p.client, down, 0, p.now);
    };
    let ids: Vec<StreamId> = (0..3)
        .map(|_| p.client.open(SESSION_PATH, &[("a", "b")]).unwrap())
        .collect();
    let hello = p.client.open(HELLO_PATH, &[]).unwrap();
    p.client.send_message(hello, &[8, 1]);
    step(&mut p);
    for n in [1usize, 127, 128, 300, 20_000, 70_000] {
        for id in &ids {
            p.client.send_message(*id, &[0x2a, 0]);
            p.client.send_data(*id, VecPayload((0..n).map(|i| i as u8).collect()));
        }
        step(&mut p);
        for id in &ids {
            p.server.release(*id, n);
        }
    }
    p.client.finish(ids[0], GrpcStatus::Ok, "");
    p.client.reset(ids[1], ErrorCode::CANCEL);
    p.client.drain();
    step(&mut p);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn events_do_not_depend_on_cuts(cuts in prop::collection::vec(1usize..5000, 1..200), small in prop::collection::vec(1usize..20, 1..50)) {
        let bytes = conversation();
        let mut whole: End = Mux::server(Limits::default());
        whole.feed(VecPayload(bytes.clone()), SECOND).unwrap();
        let mut cut: End = Mux::server(Limits::default());
        let mut rest = &bytes[..];
        for n in small.iter().chain(cuts.iter()).cycle() {
            let (piece, tail) = rest.split_at((*n).min(rest.len()));
            cut.feed(VecPayload(piece.to_vec()), SECOND).unwrap();
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(joined(events(&mut whole)), joined(events(&mut cut)));
        prop_assert_eq!(drain_wire(&mut whole), drain_wire(&mut cut));
    }

    #[test]
    fn whatever_is_sent_arrives(sizes in prop::collection::vec((0usize..4, 1usize..90_000), 1..40), budget in 1usize..70_000, cut in 0usize..3000) {
        let mut p = Pair::new(Limits::default());
        p.cut = cut;
        let ids: Vec<StreamId> = (0..4).map(|_| p.session()).collect();
        events(&mut p.server);
        let (mut sent, mut got) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
        let mut todo = sizes.into_iter();
        let mut next = todo.next();
        let mut quiet = 0;
        while quiet < 3 {
            if let Some((i, n)) = next
                && p.client.capacity(ids[i]) >= n
            {
                let data: Vec<u8> = (0..n).map(|k| (k * 7 + i + sent[i].len()) as u8).collect();
                sent[i].extend_from_slice(&data);
                prop_assert_eq!(p.client.send_data(ids[i], VecPayload(data)), n);
                next = todo.next();
                quiet = 0;
            }
            let up = wire(&mut p.client, budget);
            quiet += usize::from(up.is_empty());
            Pair::deliver(&mut p.server, up, p.cut, p.now);
            let seen = events(&mut p.server);
            for (i, id) in ids.iter().enumerate() {
                let data = data_of(&seen, *id);
                p.server.release(*id, data.len());
                got[i].extend(data);
            }
            let down = drain_wire(&mut p.server);
            Pair::deliver(&mut p.client, down, p.cut, p.now);
        }
        prop_assert!(next.is_none());
        prop_assert!(sent == got);
    }
}
