//! Reads a core's segments behind its writer, in batches for the control plane, and removes what is stored there.

use super::syncer::Durable;
use super::{SpoolState, core_dir, segment_path, segments};
use proto::limits::AUDIT_BATCH_BYTES_MAX;
use proto::segment::{Header, Kind, Records, SegmentError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const READ_BYTES: usize = AUDIT_BATCH_BYTES_MAX + proto::limits::RECORD_BYTES_MAX;

/// Consecutive whole records of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub core: u32,
    pub segment: u64,
    /// Encoded header of the segment.
    pub header: Vec<u8>,
    pub first_sequence: u64,
    pub records: Vec<u8>,
    /// How many of the records are events.
    pub events: u64,
    /// Sequence after the last record.
    pub next_sequence: u64,
}

struct Open {
    segment: u64,
    file: File,
    header: Vec<u8>,
    offset: u64,
    sequence: u64,
    ended: bool,
}

/// The reader of one core's segments.
pub struct Tail {
    dir: PathBuf,
    core: u32,
    open: Option<Open>,
    /// The next segment must have at least this number.
    next_segment: u64,
}

impl Tail {
    /// Starts at the oldest segment that is there.
    pub fn new(spool: &Path, core: u32) -> Self {
        Self {
            dir: core_dir(spool, core),
            core,
            open: None,
            next_segment: 0,
        }
    }

    /// The next batch of what is durable; `None` when there is nothing new.
    pub fn next_batch(&mut self, durable: Durable) -> io::Result<Option<Batch>> {
        loop {
            let Some(open) = &mut self.open else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            if let Some(batch) = read_batch(open, self.core, durable)? {
                return Ok(Some(batch));
            }
            if !open.ended {
                return Ok(None);
            }
            self.next_segment = open.segment + 1;
            self.open = None;
        }
    }

    /// Everything below `next_sequence` of `segment` is stored: earlier segments are removed. The newest one stays, since
    /// the chain goes on from it.
    pub fn stored(&self, segment: u64, state: &SpoolState) -> io::Result<()> {
        for number in segments(&self.dir)? {
            if number >= segment {
                break;
            }
            let path = segment_path(&self.dir, number);
            let bytes = std::fs::metadata(&path)?.len();
            std::fs::remove_file(&path)?;
            state.shrunk(bytes);
        }
        Ok(())
    }

    fn open_next(&mut self) -> io::Result<bool> {
        let numbers = match segments(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let Some(number) = numbers.into_iter().find(|number| *number >= self.next_segment) else {
            return Ok(false);
        };
        let file = File::open(segment_path(&self.dir, number))?;
        let start = read_at_most(&file, 0, 64 * 1024)?;
        let Ok((_, length)) = Header::decode(&start) else {
            return Ok(false);
        };
        self.open = Some(Open {
            segment: number,
            file,
            header: start[..length].to_vec(),
            offset: length as u64,
            sequence: 0,
            ended: false,
        });
        Ok(true)
    }
}

/// Checksums and sequences are checked here; the chain is checked by who stores the records.
fn read_batch(open: &mut Open, core: u32, durable: Durable) -> io::Result<Option<Batch>> {
    let on_disk = durable.bytes_of(open.segment).saturating_sub(open.offset);
    let bytes_max = usize::try_from(on_disk).unwrap_or(usize::MAX).min(READ_BYTES);
    let mut bytes = read_at_most(&open.file, open.offset, bytes_max)?;
    let mut reader = Records::new(&bytes, open.sequence);
    let mut events = 0;
    while reader.position() < AUDIT_BATCH_BYTES_MAX {
        match reader.next_record() {
            Ok(Some(record)) => {
                events += u64::from(record.kind == Kind::Event);
                open.ended |= record.kind == Kind::End;
            }
            Ok(None) | Err(SegmentError::Torn(_)) => break,
            Err(error) => {
                return Err(io::Error::other(format!("segment {}: {error}", open.segment)));
            }
        }
    }
    let (length, next_sequence) = (reader.position(), reader.sequence());
    if length == 0 {
        return Ok(None);
    }
    bytes.truncate(length);
    let batch = Batch {
        core,
        segment: open.segment,
        header: open.header.clone(),
        first_sequence: open.sequence,
        records: bytes,
        events,
        next_sequence,
    };
    open.sequence = next_sequence;
    open.offset += length as u64;
    Ok(Some(batch))
}

fn read_at_most(file: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let available = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; available.min(bytes_max)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
