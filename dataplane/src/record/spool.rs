//! One core's segment while it is being written.
//!
//! Records gather in memory during a turn of the core's loop and are handed to the page cache before the sends of that turn
//! are submitted: the `ordered` mode. They go through a staging area, a mapped file that costs no system call per turn; what
//! is staged is appended to the segment every [`crate::limits::STAGE_INTERVAL`], and at the next start after a crash.
//!
//! ```text
//! collect -> pending --flush--> staged (page cache) --write--> segment (page cache) --sync--> disk
//! ```
//! A write that fails leaves the file as it was and the records where they were.

use super::{SpoolState, core_dir, segment_path, stage_path};
use crate::limits::{SEGMENT_BYTES_MAX, STAGE_BYTES};
use proto::segment::{Hash, Header, Kind, SegmentError, Writer};
use proto::sign::SigningKey;
use reactor::Stage;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Where a core's chain stands before this process writes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainEnd {
    /// Number of the next segment.
    pub next_segment: u64,
    /// Last hash of the segment before it.
    pub hash: Hash,
}

/// What all segments of a process have in common.
#[derive(Clone)]
pub struct Sealer {
    pub dataplane_id: String,
    pub key: Arc<SigningKey>,
}

/// The writer of one core.
pub struct Spool {
    dir: PathBuf,
    sealer: Sealer,
    state: Arc<SpoolState>,
    header: Header,
    writer: Writer,
    file: File,
    /// Bytes of the file that are whole records.
    written: u64,
    /// Records between `pending` and the file; `None` where the file system has no place for them.
    stage: Option<Stage>,
    pending: Vec<u8>,
    pending_events: u64,
    sealed_at_sequence: u64,
}

impl Spool {
    /// Starts the core's first segment of this process.
    pub fn open(
        spool: &Path,
        core: u32,
        end: ChainEnd,
        sealer: Sealer,
        state: Arc<SpoolState>,
        now_micros: u64,
    ) -> io::Result<Self> {
        let dir = core_dir(spool, core);
        std::fs::create_dir_all(&dir)?;
        let header = Header {
            dataplane_id: sealer.dataplane_id.clone(),
            core,
            segment: end.next_segment,
            created_at_micros: now_micros,
            previous_hash: end.hash,
            first_of_run: true,
        };
        let (file, writer, written) = start(&dir, &header)?;
        state.grown(written as usize);
        let stage = stage(&dir, header.segment, written);
        let mut spool = Self {
            dir,
            sealer,
            state,
            header,
            writer,
            file,
            written,
            stage,
            pending: Vec::new(),
            pending_events: 0,
            sealed_at_sequence: 0,
        };
        spool.seal(Kind::Seal)?;
        spool.write(now_micros)?;
        Ok(spool)
    }

    /// Takes length-delimited encoded events (protobuf's delimited form) as the session's tap gives them.
    pub fn collect(&mut self, mut delimited: &[u8]) -> Result<(), SegmentError> {
        while !delimited.is_empty() {
            let length = prost::decode_length_delimiter(&mut delimited).map_err(|_| SegmentError::NotASegment)?;
            let event = delimited.get(..length).ok_or(SegmentError::NotASegment)?;
            self.writer.event(event, &mut self.pending)?;
            self.pending_events += 1;
            delimited = &delimited[length..];
        }
        Ok(())
    }

    /// Hands everything that is pending to the page cache. After `Ok` it survives the end of the process.
    pub fn flush(&mut self, now_micros: u64) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // What could not be written once must be writable before more work is taken on.
        if self.state.is_failed() {
            self.write_staged()?;
        }
        if !self.stage.as_mut().is_some_and(|stage| stage.append(&self.pending)) {
            self.write_staged()?;
            self.append_pending()?;
        }
        self.state.grown(self.pending.len());
        self.state
            .events_written
            .fetch_add(self.pending_events, Ordering::Relaxed);
        self.pending.clear();
        self.pending_events = 0;
        if self.written + self.staged() as u64 >= SEGMENT_BYTES_MAX {
            self.rotate(now_micros)?;
        }
        Ok(())
    }

    /// Appends everything to the segment, from where it is made durable and shipped.
    pub fn write(&mut self, now_micros: u64) -> io::Result<()> {
        self.flush(now_micros)?;
        self.write_staged()
    }

    /// Whether a write has something to do.
    pub fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || self.staged() > 0
    }

    /// Whether a seal has something to do.
    pub fn is_sealed(&self) -> bool {
        self.writer.sequence() == self.sealed_at_sequence
    }

    fn staged(&self) -> usize {
        self.stage.as_ref().map_or(0, |stage| stage.bytes().len())
    }

    fn write_staged(&mut self) -> io::Result<()> {
        let Some(stage) = self.stage.as_mut().filter(|stage| !stage.bytes().is_empty()) else {
            return Ok(());
        };
        let staged = stage.bytes();
        if let Err(error) = self.file.write_all(staged) {
            self.undo(&error);
            return Err(error);
        }
        self.written += staged.len() as u64;
        stage.restart(self.header.segment, self.written);
        self.state.appended();
        Ok(())
    }

    fn append_pending(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.write_all(&self.pending) {
            self.undo(&error);
            return Err(error);
        }
        self.written += self.pending.len() as u64;
        if let Some(stage) = &mut self.stage {
            stage.restart(self.header.segment, self.written);
        }
        self.state.appended();
        Ok(())
    }

    /// Seals what was written since the last seal, if anything was. To be called every [`crate::limits::SEAL_INTERVAL`].
    pub fn seal_if_grown(&mut self, now_micros: u64) -> io::Result<()> {
        if self.is_sealed() {
            return Ok(());
        }
        self.seal(Kind::Seal)?;
        self.write(now_micros)
    }

    /// Ends the segment in order; nothing can be written afterwards.
    pub fn close(mut self, now_micros: u64) -> io::Result<()> {
        self.seal(Kind::End)?;
        self.write(now_micros)?;
        self.file.sync_data()
    }

    fn seal(&mut self, kind: Kind) -> io::Result<()> {
        self.writer
            .seal(kind, &self.sealer.key, &self.header, &mut self.pending)
            .map_err(io::Error::other)?;
        self.sealed_at_sequence = self.writer.sequence();
        Ok(())
    }

    fn rotate(&mut self, now_micros: u64) -> io::Result<()> {
        self.seal(Kind::End)?;
        self.write_staged()?;
        self.append_pending()?;
        self.state.grown(self.pending.len());
        self.pending.clear();
        let header = Header {
            segment: self.header.segment + 1,
            created_at_micros: now_micros,
            previous_hash: self.writer.hash(),
            first_of_run: false,
            ..self.header.clone()
        };
        let (file, writer, written) = start(&self.dir, &header)?;
        self.state.grown(written as usize);
        (self.file, self.writer, self.written, self.header) = (file, writer, written, header);
        if let Some(stage) = &mut self.stage {
            stage.restart(self.header.segment, self.written);
        }
        self.sealed_at_sequence = 0;
        Ok(())
    }

    /// Takes a partial write back, so that the records can be written again later.
    fn undo(&self, error: &io::Error) {
        self.state.set_failed();
        tracing::error!(%error, segment = self.header.segment, "the audit spool cannot be written: no work is taken on until it can");
        if let Err(error) = self.file.set_len(self.written) {
            tracing::error!(%error, "a partial record could not be taken back; it is skipped at recovery");
        }
    }
}

/// The staging area of a core. Without one every turn appends to the segment itself.
fn stage(dir: &Path, segment: u64, written: u64) -> Option<Stage> {
    match Stage::create(&stage_path(dir), STAGE_BYTES) {
        Ok(mut stage) => {
            stage.restart(segment, written);
            Some(stage)
        }
        Err(error) => {
            tracing::info!(%error, "audit records are not staged on this file system: each turn writes its own");
            None
        }
    }
}

fn start(dir: &Path, header: &Header) -> io::Result<(File, Writer, u64)> {
    let bytes = header.encode();
    let path = segment_path(dir, header.segment);
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    file.write_all(&bytes)?;
    Ok((file, Writer::new(&bytes), bytes.len() as u64))
}
