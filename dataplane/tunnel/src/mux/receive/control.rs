//! Frames that steer the link or a stream: SETTINGS, PING, WINDOW_UPDATE, RST_STREAM, GOAWAY.

use super::Done;
use crate::{
    ErrorCode, GrpcStatus, LinkError, Payload, StreamId,
    drain::{DRAIN_PING, Drain},
    frame::{self, FLAG_ACK, Header, Kind, Setting},
    grpc::DATA_PREFIX_BYTES_MAX,
    limits::FRAME_BYTES_SENT_MAX,
    mux::{Event, Mux, Role},
};

impl<B: Payload> Mux<B> {
    /// A whole frame other than DATA.
    pub(super) fn frame(&mut self, header: &Header, payload: &[u8]) -> Done {
        match header.kind {
            Kind::Headers => self.headers_frame(header, payload),
            Kind::Continuation => self.continuation(header, payload),
            Kind::Settings => self.settings_frame(header, payload),
            Kind::WindowUpdate => self.window_update(header.stream, frame::u31(payload)),
            Kind::RstStream => self.rst_stream(header.stream, ErrorCode(frame::u32_at(payload, 0))),
            Kind::Ping => self.ping(header, payload),
            Kind::GoAway => self.goaway(frame::u31(payload), ErrorCode(frame::u32_at(payload, 4))),
            Kind::Priority => self.empty_frame(),
            Kind::Data | Kind::PushPromise | Kind::Unknown => Ok(()),
        }
    }

    fn settings_frame(&mut self, header: &Header, payload: &[u8]) -> Done {
        if header.has(FLAG_ACK) {
            return Ok(());
        }
        self.settings_seen = true;
        if !self.floods.settings.take(self.now) {
            return Err(LinkError::calm("flood of SETTINGS"));
        }
        for setting in frame::settings(payload) {
            match setting? {
                Setting::HeaderTableSize(n) => self.hpack_out.resize(n),
                Setting::EnablePush(true) if self.role == Role::Client => {
                    return Err(LinkError::protocol("server offers push"));
                }
                Setting::MaxConcurrentStreams(n) => self.peer.streams_max = n,
                Setting::InitialWindowSize(n) => self.resize_windows(n)?,
                Setting::MaxFrameSize(n) => self.peer.frame_bytes_max = n.min(FRAME_BYTES_SENT_MAX),
                Setting::MaxHeaderListSize(n) => self.peer.header_list_bytes_max = n,
                Setting::EnablePush(_) | Setting::Unknown => {}
            }
        }
        frame::put_settings_ack(&mut self.control);
        Ok(())
    }

    /// SETTINGS_INITIAL_WINDOW_SIZE also changes the windows of the streams that are open (RFC 9113, 6.9.2).
    fn resize_windows(&mut self, size: u32) -> Done {
        let by = i64::from(size) - i64::from(self.peer.window_bytes_initial);
        self.peer.window_bytes_initial = size;
        let mut ids: Vec<u32> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(s) = self.streams.get_mut(&id) else {
                continue;
            };
            if !s.send.grow(by) {
                return Err(window_error());
            }
            if by < 0 {
                s.starved |= s.room() <= DATA_PREFIX_BYTES_MAX;
            } else {
                self.stream_window_grew(id);
            }
        }
        Ok(())
    }

    fn window_update(&mut self, id: u32, by: u32) -> Done {
        if id == 0 {
            return match by {
                0 => Err(LinkError::protocol("WINDOW_UPDATE of 0")),
                _ if !self.send.grow(i64::from(by)) => Err(window_error()),
                _ => {
                    self.connection_window_grew();
                    Ok(())
                }
            };
        }
        let Some(s) = self.streams.get_mut(&id) else {
            // On a stream that is over it is normal: it crossed its end on the way.
            let idle = self.is_idle(id);
            return if idle {
                Err(LinkError::protocol("WINDOW_UPDATE on an idle stream"))
            } else {
                Ok(())
            };
        };
        if by == 0 {
            return self.stream_error(
                id,
                ErrorCode::PROTOCOL_ERROR,
                GrpcStatus::Internal,
                "WINDOW_UPDATE of 0",
            );
        }
        if !s.send.grow(i64::from(by)) {
            return self.stream_error(
                id,
                ErrorCode::FLOW_CONTROL_ERROR,
                GrpcStatus::Internal,
                "window too large",
            );
        }
        self.stream_window_grew(id);
        Ok(())
    }

    fn stream_window_grew(&mut self, id: u32) {
        let Some(s) = self.streams.get_mut(&id) else {
            return;
        };
        if s.queued() > 0 && s.send.available() > 0 {
            self.sched.ready(id, &mut s.share);
        }
        let connection_room = self.send.available().saturating_sub(self.queued);
        if s.starved && s.sendable() && s.room() > DATA_PREFIX_BYTES_MAX && connection_room > DATA_PREFIX_BYTES_MAX {
            s.starved = false;
            self.events.push_back(Event::Writable { stream: StreamId(id) });
        }
    }

    fn rst_stream(&mut self, id: u32, code: ErrorCode) -> Done {
        if !self.streams.contains_key(&id) {
            let idle = self.is_idle(id);
            return if idle {
                Err(LinkError::protocol("RST_STREAM on an idle stream"))
            } else {
                self.empty_frame()
            };
        }
        self.gone(id, reset_status(code), format!("reset by peer: {code}"));
        // A server's resets cost us nothing that we did not ask for.
        if self.role == Role::Server {
            self.count_reset()
        } else {
            Ok(())
        }
    }

    fn ping(&mut self, header: &Header, payload: &[u8]) -> Done {
        let opaque = payload.first_chunk::<8>().copied().unwrap_or_default();
        if !header.has(FLAG_ACK) {
            if !self.floods.pings.take(self.now) {
                return Err(LinkError::calm("flood of PING"));
            }
            frame::put_ping(&mut self.control, true, opaque);
        } else if opaque == DRAIN_PING && self.drain == Drain::Announced {
            frame::put_goaway(&mut self.control, self.stream_id, ErrorCode::NO_ERROR, "draining");
            self.drain = Drain::Final;
            self.check_drained();
        }
        Ok(())
    }

    /// RFC 9113, 6.8: streams above the last one that the peer names are not handled; those below go on.
    fn goaway(&mut self, last: u32, code: ErrorCode) -> Done {
        if code != ErrorCode::NO_ERROR {
            return Err(LinkError::Peer { code });
        }
        if !self.peer_draining {
            self.peer_draining = true;
            self.events.push_back(Event::Draining);
        }
        if self.role == Role::Client {
            let mut ids: Vec<u32> = self.streams.keys().copied().filter(|id| *id > last).collect();
            ids.sort_unstable();
            for id in ids {
                self.gone(id, GrpcStatus::Unavailable, "not handled: peer is draining".to_owned());
            }
        }
        self.check_drained();
        Ok(())
    }
}

fn window_error() -> LinkError {
    LinkError::Protocol {
        code: ErrorCode::FLOW_CONTROL_ERROR,
        what: "window larger than 2^31-1",
    }
}

/// What a reset means for a call (gRPC over HTTP/2, "Errors").
fn reset_status(code: ErrorCode) -> GrpcStatus {
    match code {
        ErrorCode::REFUSED_STREAM => GrpcStatus::Unavailable,
        ErrorCode::CANCEL => GrpcStatus::Cancelled,
        ErrorCode::ENHANCE_YOUR_CALM => GrpcStatus::ResourceExhausted,
        _ => GrpcStatus::Internal,
    }
}
