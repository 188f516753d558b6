//! Bodies of HTTP/1.1 messages: where the content lies in the bytes that arrive, and where it ends.

use super::super::fields::Fields;
use super::super::limits::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
use super::super::{BodyKind, Refused};
use super::head::parse_fields;

/// Reads one body. Feed it what arrives until it is done; content is told as a range of the input.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    /// Extensions of chunks are refused (of clients) or skipped (of targets).
    extensions: bool,
    trailers: Fields,
}

/// What became of the bytes of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// So many leading bytes were taken.
    pub consumed: usize,
    /// Content among them.
    pub content: std::ops::Range<usize>,
    /// The body is complete; bytes after `consumed` belong to the next message.
    pub done: bool,
}

#[derive(Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// Digits of a chunk's size: the value, how many digits, bytes of the line.
    Size {
        value: u64,
        digits: u8,
        line: usize,
    },
    Extension {
        value: u64,
        line: usize,
    },
    /// CR of the size line came.
    SizeEnd {
        value: u64,
    },
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    /// Trailer section, collected to its empty line.
    Trailers(Vec<u8>),
}

const SIZE: State = State::Size {
    value: 0,
    digits: 0,
    line: 0,
};

impl BodyReader {
    /// The body of a request.
    pub fn request(kind: BodyKind) -> BodyReader {
        BodyReader::new(kind, false)
    }

    /// The body of an answer.
    pub fn response(kind: BodyKind) -> BodyReader {
        BodyReader::new(kind, true)
    }

    fn new(kind: BodyKind, extensions: bool) -> BodyReader {
        BodyReader {
            state: match kind {
                BodyKind::Empty | BodyKind::Length(0) => State::Done,
                BodyKind::Length(length) => State::Length(length),
                BodyKind::Chunked => SIZE,
                BodyKind::UntilClose => State::UntilClose,
            },
            extensions,
            trailers: Fields::new(),
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the peer's close is the right end now.
    pub fn may_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Fields after the body; complete once the body is done.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Looks at bytes up to the end of the next piece of content, of the input, or of the body.
    ///
    /// # Errors
    /// A chunk that two readers could cut differently.
    pub fn read(&mut self, input: &[u8]) -> Result<Piece, Refused> {
        let mut at = 0;
        loop {
            let left = input.get(at..).unwrap_or_default();
            match &mut self.state {
                State::Done => return Ok(piece(at, at..at, true)),
                State::UntilClose => return Ok(piece(input.len(), at..input.len(), false)),
                State::Length(length) | State::Chunk(length) => {
                    if left.is_empty() {
                        return Ok(piece(at, at..at, false));
                    }
                    let taken = left.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
                    *length -= taken as u64;
                    if *length == 0 {
                        self.state = match self.state {
                            State::Chunk(_) => State::ChunkCr,
                            _ => State::Done,
                        };
                    }
                    return Ok(piece(at + taken, at..at + taken, self.is_done()));
                }
                _ if left.is_empty() => return Ok(piece(at, at..at, false)),
                State::Trailers(_) => at += self.trailer(left)?,
                _ => {
                    self.framing(*left.first().unwrap_or(&0))?;
                    at += 1;
                }
            }
        }
    }

    /// Whether the next bytes are framing, not content.
    pub fn is_between(&self) -> bool {
        !matches!(
            self.state,
            State::Done | State::Length(_) | State::Chunk(_) | State::UntilClose
        )
    }

    /// Takes framing bytes up to the next content, the end of the body, or the end of the input; returns how many.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub fn read_framing(&mut self, input: &[u8]) -> Result<usize, Refused> {
        let mut at = 0;
        while let Some(left) = input.get(at..).filter(|left| !left.is_empty() && self.is_between()) {
            at += match self.state {
                State::Trailers(_) => self.trailer(left)?,
                _ => {
                    self.framing(*left.first().unwrap_or(&0))?;
                    1
                }
            };
        }
        Ok(at)
    }

    /// One byte between chunks.
    fn framing(&mut self, byte: u8) -> Result<(), Refused> {
        const SIZE_LINE: Refused = Refused::bad("a chunk's size line is malformed");
        self.state = match (&self.state, byte) {
            (State::Size { value, digits, line }, byte) if byte.is_ascii_hexdigit() => {
                if *digits >= 15 {
                    return Err(SIZE_LINE);
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                State::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                    line: line + 1,
                }
            }
            (State::Size { value, digits: 1.., .. } | State::Extension { value, .. }, b'\r') => {
                State::SizeEnd { value: *value }
            }
            (
                State::Size {
                    value,
                    digits: 1..,
                    line,
                },
                b';' | b' ' | b'\t',
            ) if self.extensions => State::Extension {
                value: *value,
                line: line + 1,
            },
            (State::Extension { value, line }, byte)
                if *line < CHUNK_LINE_BYTES_MAX && super::head::is_value_byte(byte) =>
            {
                State::Extension {
                    value: *value,
                    line: line + 1,
                }
            }
            (State::SizeEnd { value: 0 }, b'\n') => State::Trailers(Vec::new()),
            (State::SizeEnd { value }, b'\n') => State::Chunk(*value),
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => SIZE,
            (State::ChunkCr | State::ChunkLf, _) => {
                return Err(Refused::bad("a chunk does not end where its size says"));
            }
            _ => return Err(SIZE_LINE),
        };
        Ok(())
    }

    fn trailer(&mut self, left: &[u8]) -> Result<usize, Refused> {
        let State::Trailers(held) = &mut self.state else {
            return Ok(0);
        };
        let mut taken = 0;
        for byte in left {
            held.push(*byte);
            taken += 1;
            if held.len() > TRAILER_BYTES_MAX {
                return Err(Refused::bad("the trailers are too large"));
            }
            if *byte == b'\n' {
                if !held.ends_with(b"\r\n") {
                    return Err(Refused::bad("a trailer line ends without CR"));
                }
                if held.len() == 2 || held.ends_with(b"\r\n\r\n") {
                    parse_fields(held, &mut self.trailers)?;
                    self.state = State::Done;
                    break;
                }
            }
        }
        Ok(taken)
    }
}

fn piece(consumed: usize, content: std::ops::Range<usize>, done: bool) -> Piece {
    Piece {
        consumed,
        content,
        done,
    }
}
