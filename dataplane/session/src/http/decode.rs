//! Content codings of answers that have to be read (RFC 9110 section 8.4.1): undone as they stream by, a window at a time.
//!
//! A coding can turn a few bytes into any number, so nothing here grows with what comes out: the caller lends the room for
//! it. What a decoder remembers is its window, which is bounded ([`ZSTD_WINDOW_BYTES_MAX`]; 16 MiB for brotli, RFC 7932
//! section 9.1; 32 KiB for the others), and what comes out may be [`DECODED_RATIO_MAX`] times what went in, not more.

use std::io::Read as _;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc as Alloc};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use codecs::http::Fields;

use super::body::Unreadable;
use super::limits::{
    DECODED_FREE_BYTES, DECODED_RATIO_MAX, DECODED_STEP_BYTES, ZSTD_BLOCK_BYTES_MAX, ZSTD_WINDOW_BYTES_MAX,
};

/// How a message's body is encoded.
#[derive(Debug)]
pub enum Coded {
    Plain,
    By(Decoder),
    /// By something else, or by several codings.
    Unknown,
}

impl Coded {
    /// From all the fields of a head.
    pub fn of(fields: &Fields) -> Coded {
        let mut coded = Coded::Plain;
        let listed = fields
            .values("content-encoding")
            .flat_map(|value| value.split(|b| *b == b','));
        for item in listed.map(<[u8]>::trim_ascii) {
            if item.is_empty() || item.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let decoder = std::str::from_utf8(item).ok().and_then(Decoder::of);
            coded = match (coded, decoder) {
                (Coded::Plain, Some(decoder)) => Coded::By(decoder),
                _ => Coded::Unknown,
            };
        }
        coded
    }
}

/// Undoes one coding.
pub struct Decoder {
    coding: Coding,
    read: u64,
    written: u64,
}

enum Coding {
    Gzip {
        inflate: Box<Decompress>,
        /// Between members, where a body may end (RFC 1952 section 2.2).
        between: bool,
    },
    Deflate {
        /// Made when the first byte shows whether there is a wrapper (RFC 1950), which some senders leave out.
        inflate: Option<Box<Decompress>>,
        done: bool,
    },
    Brotli {
        state: Box<BrotliState<Alloc, Alloc, Alloc>>,
        done: bool,
    },
    Zstd(Box<Zstd>),
}

const BROKEN: Unreadable = Unreadable("the body is not in the encoding that it claims");
const AFTER_END: Unreadable = Unreadable("bytes follow the end of the encoded body");
const BOMB: Unreadable = Unreadable("the encoded body grows beyond every measure");

impl Decoder {
    /// For the name of a coding; `None`: not one that can be undone.
    pub fn of(coding: &str) -> Option<Decoder> {
        let coding = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip {
                inflate: Box::new(Decompress::new_gzip(WINDOW_BITS)),
                between: true,
            },
            "deflate" => Coding::Deflate {
                inflate: None,
                done: false,
            },
            "br" => Coding::Brotli {
                // Strict: without the large windows that no browser takes.
                state: Box::new(BrotliState::new_strict(
                    Alloc::default(),
                    Alloc::default(),
                    Alloc::default(),
                )),
                done: false,
            },
            "zstd" => Coding::Zstd(Box::default()),
            _ => return None,
        };
        Some(Decoder {
            coding,
            read: 0,
            written: 0,
        })
    }

    /// Decodes from `input`, which is advanced, into `out`; returns how much was written. As long as `out` comes back full there
    /// may be more; else all of `input` was taken.
    ///
    /// # Errors
    /// [`Unreadable`]: broken, or a bomb.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Unreadable> {
        let mut written = 0;
        while written < out.len() {
            let before = input.len();
            let room = out.get_mut(written..).unwrap_or_default();
            let step = match &mut self.coding {
                Coding::Gzip { inflate, between } => gzip(inflate, between, input, room)?,
                Coding::Deflate { inflate, done } => deflate(inflate, done, input, room)?,
                Coding::Brotli { state, done } => brotli(state, done, input, room)?,
                Coding::Zstd(zstd) => zstd.step(input, room)?,
            };
            written += step;
            self.read += (before - input.len()) as u64;
            self.written += step as u64;
            if self.written > DECODED_FREE_BYTES && self.written / DECODED_RATIO_MAX > self.read {
                return Err(BOMB);
            }
            if step == 0 && input.len() == before {
                break;
            }
        }
        Ok(written)
    }

    /// Decodes the next part into `room`. True: that is all there is of `input`, and, where it is the `last` of the body, it ended well.
    ///
    /// # Errors
    /// [`Unreadable`]: broken, cut off, something follows its end, or a bomb.
    pub fn step(&mut self, input: &mut &[u8], last: bool, room: &mut Vec<u8>) -> Result<bool, Unreadable> {
        room.resize(DECODED_STEP_BYTES, 0);
        let written = self.decode(input, room)?;
        let over = written < room.len();
        room.truncate(written);
        if over && !input.is_empty() {
            return Err(AFTER_END);
        }
        if over && last {
            self.finish()?;
        }
        Ok(over)
    }

    /// Called when the body has ended and nothing more comes out.
    ///
    /// # Errors
    /// The encoded body is cut off. An empty body is one of every coding: it has no first byte to be wrong.
    pub fn finish(&self) -> Result<(), Unreadable> {
        let whole = match &self.coding {
            Coding::Gzip { between, .. } => *between,
            Coding::Deflate { done, .. } | Coding::Brotli { done, .. } => *done,
            Coding::Zstd(zstd) => zstd.is_between(),
        };
        if whole || self.read == 0 {
            return Ok(());
        }
        Err(Unreadable("the encoded body is cut off"))
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.coding {
            Coding::Gzip { .. } => "gzip",
            Coding::Deflate { .. } => "deflate",
            Coding::Brotli { .. } => "br",
            Coding::Zstd(_) => "zstd",
        };
        write!(f, "Decoder({name}, {} -> {})", self.read, self.written)
    }
}

/// 32 KiB, the largest window of DEFLATE.
const WINDOW_BITS: u8 = 15;

fn gzip(inflate: &mut Decompress, between: &mut bool, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Unreadable> {
    if input.is_empty() && *between {
        return Ok(0);
    }
    if *between {
        // A member after another; the first finds a decoder that is new.
        if inflate.total_in() > 0 {
            *inflate = Decompress::new_gzip(WINDOW_BITS);
        }
        *between = false;
    }
    let (written, ended) = inflated(inflate, input, out)?;
    *between = ended;
    Ok(written)
}

fn deflate(
    inflate: &mut Option<Box<Decompress>>,
    done: &mut bool,
    input: &mut &[u8],
    out: &mut [u8],
) -> Result<usize, Unreadable> {
    let Some(first) = input.first() else {
        // What the window still holds comes out without more input.
        return match inflate {
            Some(inflate) if !*done => Ok(inflated(inflate, input, out).map(|(written, ended)| {
                *done = ended;
                written
            })?),
            _ => Ok(0),
        };
    };
    if *done {
        return Err(AFTER_END);
    }
    // RFC 1950 section 2.2: the method is 8 and the window at most 32 KiB.
    let wrapped = first & 0x0f == 8 && first >> 4 <= 7;
    let inflate = inflate.get_or_insert_with(|| Box::new(Decompress::new(wrapped)));
    let (written, ended) = inflated(inflate, input, out)?;
    *done = ended;
    Ok(written)
}

fn inflated(inflate: &mut Decompress, input: &mut &[u8], out: &mut [u8]) -> Result<(usize, bool), Unreadable> {
    let (read_before, written_before) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, out, FlushDecompress::None);
    let read = (inflate.total_in() - read_before) as usize;
    *input = input.get(read..).unwrap_or_default();
    let written = (inflate.total_out() - written_before) as usize;
    match status {
        Ok(Status::StreamEnd) => Ok((written, true)),
        Ok(Status::Ok | Status::BufError) => Ok((written, false)),
        Err(_) => Err(BROKEN),
    }
}

fn brotli(
    state: &mut BrotliState<Alloc, Alloc, Alloc>,
    done: &mut bool,
    input: &mut &[u8],
    out: &mut [u8],
) -> Result<usize, Unreadable> {
    if *done {
        return if input.is_empty() { Ok(0) } else { Err(AFTER_END) };
    }
    let (mut available, mut read) = (input.len(), 0);
    let (mut room, mut written, mut total) = (out.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut available,
        &mut read,
        input,
        &mut room,
        &mut written,
        out,
        &mut total,
        state,
    );
    *input = input.get(read..).unwrap_or_default();
    match result {
        BrotliResult::ResultFailure => return Err(BROKEN),
        BrotliResult::ResultSuccess => *done = true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
    }
    Ok(written)
}

/// Frames of Zstandard (RFC 8878), block by block: one block becomes at most 128 KiB, so what waits to be fetched is bounded.
#[derive(Default)]
struct Zstd {
    decoder: Option<FrameDecoder>,
    /// A header or a block that is not complete.
    held: Vec<u8>,
    /// Bytes of a skippable frame that are still to be skipped.
    skip: u64,
    checksummed: bool,
}

const MAGIC: u32 = 0xfd2f_b528;
/// The last four bits are anything (RFC 8878 section 3.1.2).
const MAGIC_SKIPPABLE: u32 = 0x184d_2a50;
const BLOCK_HEADER_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 4;

impl Zstd {
    fn is_between(&self) -> bool {
        self.decoder.is_none() && self.held.is_empty() && self.skip == 0
    }

    /// One step: output that waits, else a header, a block, or bytes to skip. (0 and no input taken: nothing more can be done.)
    fn step(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Unreadable> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                let written = decoder.read(out).map_err(|_| BROKEN)?;
                if written > 0 {
                    return Ok(written);
                }
                if decoder.is_finished() {
                    if self.checksummed && decoder.get_checksum_from_data() != decoder.get_calculated_checksum() {
                        return Err(BROKEN);
                    }
                    self.decoder = None;
                }
            }
            if self.skip > 0 {
                let skipped = input.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                *input = input.get(skipped..).unwrap_or_default();
                self.skip -= skipped as u64;
                if self.skip > 0 {
                    return Ok(0);
                }
            }
            let advanced = match self.decoder {
                Some(_) => self.block(input)?,
                None => self.header(input)?,
            };
            if !advanced {
                return Ok(0);
            }
        }
    }

    /// Takes input until `bytes` are held. False: there are not so many yet.
    fn hold(&mut self, bytes: usize, input: &mut &[u8]) -> bool {
        let wanted = bytes.saturating_sub(self.held.len()).min(input.len());
        let (taken, rest) = input.split_at(wanted);
        self.held.extend_from_slice(taken);
        *input = rest;
        self.held.len() >= bytes
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<bool, Unreadable> {
        if !self.hold(4, input) {
            return Ok(false);
        }
        let magic = self.held.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if magic & !0xf == MAGIC_SKIPPABLE {
            if !self.hold(8, input) {
                return Ok(false);
            }
            let size = self.held.get(4..8).and_then(|bytes| bytes.first_chunk());
            self.skip = size.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
            self.held.clear();
            return Ok(true);
        }
        if magic != MAGIC {
            return Err(BROKEN);
        }
        if !self.hold(5, input) {
            return Ok(false);
        }
        let descriptor = self.held.get(4).copied().unwrap_or_default();
        if !self.hold(header_bytes(descriptor), input) {
            return Ok(false);
        }
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        decoder
            .reset(self.held.as_slice())
            .map_err(|_| Unreadable("a frame of the encoded body is malformed, or its window is too large"))?;
        self.checksummed = descriptor & 4 != 0;
        self.decoder = Some(decoder);
        self.held.clear();
        Ok(true)
    }

    fn block(&mut self, input: &mut &[u8]) -> Result<bool, Unreadable> {
        if !self.hold(BLOCK_HEADER_BYTES, input) {
            return Ok(false);
        }
        let header = match self.held.as_slice() {
            [a, b, c, ..] => u32::from_le_bytes([*a, *b, *c, 0]),
            _ => return Ok(false),
        };
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        if size > ZSTD_BLOCK_BYTES_MAX {
            return Err(BROKEN);
        }
        // A run is one byte, however long it becomes (RFC 8878 section 3.1.1.2.2).
        let content = if kind == 1 { 1 } else { size };
        let checksum = if last && self.checksummed { CHECKSUM_BYTES } else { 0 };
        if !self.hold(BLOCK_HEADER_BYTES + content + checksum, input) {
            return Ok(false);
        }
        let Some(decoder) = &mut self.decoder else {
            return Err(BROKEN);
        };
        decoder
            .decode_blocks(self.held.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| BROKEN)?;
        self.held.clear();
        Ok(true)
    }
}

/// Bytes of a frame's header, by its descriptor (RFC 8878 section 3.1.1.1).
fn header_bytes(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    let size = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    5 + window + dictionary + size
}
