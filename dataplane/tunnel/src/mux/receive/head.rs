//! Header blocks: calls that the peer opens, the heads and trailers of answers.

use super::{Block, Done};
use crate::{
    ErrorCode, GrpcStatus, LinkError, Payload, StreamId,
    drain::Drain,
    frame::{self, FLAG_END_HEADERS, FLAG_END_STREAM, Header, headers_fragment},
    headers::Fields,
    limits::FRAME_BYTES_DEFAULT,
    mux::{Event, Mux, Role},
    stream::Local,
};

impl<B: Payload> Mux<B> {
    pub(super) fn headers_frame(&mut self, header: &Header, payload: &[u8]) -> Done {
        let fragment = headers_fragment(header, payload)?;
        let end = header.has(FLAG_END_STREAM);
        if header.has(FLAG_END_HEADERS) {
            return self.block_complete(header.stream, fragment, end);
        }
        self.block = Some(Block {
            stream: header.stream,
            end,
            bytes: fragment.to_vec(),
            continuations: 0,
        });
        Ok(())
    }

    pub(super) fn continuation(&mut self, header: &Header, payload: &[u8]) -> Done {
        let Some(mut block) = self.block.take() else {
            return Ok(());
        };
        block.bytes.extend_from_slice(payload);
        block.continuations += 1;
        if header.has(FLAG_END_HEADERS) {
            return self.block_complete(block.stream, &block.bytes, block.end);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Every block is decoded, whatever becomes of its stream, because the tables of both ends must stay the same.
    fn block_complete(&mut self, id: u32, block: &[u8], end: bool) -> Done {
        let mut fields = Fields::default();
        let list_bytes_max = self.limits.header_list_bytes_max as usize;
        self.hpack_in
            .decode(block, |name, value| fields.take(name, value, list_bytes_max))
            .map_err(|bad| LinkError::Protocol {
                code: ErrorCode::COMPRESSION_ERROR,
                what: bad.0,
            })?;
        if fields.too_large {
            fields.malformed = Some("header list too large");
        }
        match self.role {
            Role::Server => self.request_head(id, fields, end),
            Role::Client => self.answer_head(id, fields, end),
        }
    }

    fn request_head(&mut self, id: u32, mut fields: Fields, end: bool) -> Done {
        if let Some(s) = self.streams.get(&id) {
            if s.remote_done || !end || fields.malformed.is_some() {
                let what = fields.malformed.unwrap_or("HEADERS inside a call");
                return self.stream_error(id, ErrorCode::PROTOCOL_ERROR, GrpcStatus::Internal, what);
            }
            return self.remote_end(id);
        }
        if id.is_multiple_of(2) {
            return Err(LinkError::protocol("client opened an even stream"));
        }
        if id <= self.stream_id {
            return self.empty_frame();
        }
        if self.drain == Drain::Final {
            // Beyond what our GOAWAY named: the client knows that it is not handled.
            return self.empty_frame();
        }
        self.stream_id = id;
        fields.check_request();
        if fields.malformed.is_some() || !fields.method_post {
            return self.refuse(id, ErrorCode::PROTOCOL_ERROR);
        }
        if self.streams.len() >= self.limits.streams_max as usize {
            return self.refuse(id, ErrorCode::REFUSED_STREAM);
        }
        if !fields.grpc_content {
            return self.refuse_content(id, end);
        }
        let path = fields.path.unwrap_or_default();
        self.insert(id, &path, Local::Silent);
        let metadata = fields.metadata;
        self.events.push_back(Event::Opened {
            stream: StreamId(id),
            path,
            metadata,
        });
        if end { self.remote_end(id) } else { Ok(()) }
    }

    fn refuse(&mut self, id: u32, code: ErrorCode) -> Done {
        frame::put_rst_stream(&mut self.control, id, code);
        self.count_reset()
    }

    /// "If Content-Type does not begin with application/grpc, gRPC servers SHOULD respond with HTTP status of 415."
    fn refuse_content(&mut self, id: u32, end: bool) -> Done {
        let block = self.hpack_out.encode([(&b":status"[..], &b"415"[..])]);
        frame::put_headers(&mut self.control, id, &block, true, FRAME_BYTES_DEFAULT as usize);
        if end {
            self.count_reset()
        } else {
            self.refuse(id, ErrorCode::NO_ERROR)
        }
    }

    fn answer_head(&mut self, id: u32, mut fields: Fields, end: bool) -> Done {
        let Some(s) = self.streams.get_mut(&id) else {
            if self.is_idle(id) {
                return Err(LinkError::protocol("HEADERS on an idle stream"));
            }
            return self.empty_frame();
        };
        let head = !s.head_seen;
        fields.check_answer(head);
        if let Some(what) = fields.malformed {
            return self.stream_error(id, ErrorCode::PROTOCOL_ERROR, GrpcStatus::Internal, what);
        }
        if !head {
            return self.trailers(id, fields, end);
        }
        match fields.status {
            Some(100..=199) if !end => self.empty_frame(),
            Some(200) if fields.grpc_status.is_some() && end => self.trailers(id, fields, end),
            Some(200) if fields.grpc_content && !end => {
                s.head_seen = true;
                Ok(())
            }
            Some(200) => self.stream_error(id, ErrorCode::PROTOCOL_ERROR, GrpcStatus::Unknown, "answer is not gRPC"),
            status => {
                let status = status.unwrap_or(0);
                if !end {
                    frame::put_rst_stream(&mut self.control, id, ErrorCode::CANCEL);
                    self.gone(id, http_status(status), format!("HTTP status {status}"));
                } else {
                    self.answered(id, http_status(status), format!("HTTP status {status}"));
                }
                Ok(())
            }
        }
    }

    fn trailers(&mut self, id: u32, fields: Fields, end: bool) -> Done {
        if !end {
            let what = "HEADERS inside an answer";
            return self.stream_error(id, ErrorCode::PROTOCOL_ERROR, GrpcStatus::Internal, what);
        }
        let cut = self.streams.get(&id).is_some_and(|s| !s.decoder.at_boundary());
        let (status, message) = match fields.grpc_status {
            Some(GrpcStatus::Ok) if cut => (GrpcStatus::Internal, "answer ends inside a message".to_owned()),
            Some(status) => (status, fields.grpc_message),
            None => (GrpcStatus::Unknown, "trailers without grpc-status".to_owned()),
        };
        self.answered(id, status, message);
        Ok(())
    }
}

/// What an answer that is not gRPC means (gRPC, "HTTP to gRPC Status Code Mapping").
fn http_status(status: u16) -> GrpcStatus {
    match status {
        400 => GrpcStatus::Internal,
        401 => GrpcStatus::Unauthenticated,
        403 => GrpcStatus::PermissionDenied,
        404 => GrpcStatus::Unimplemented,
        429 | 502..=504 => GrpcStatus::Unavailable,
        _ => GrpcStatus::Unknown,
    }
}
