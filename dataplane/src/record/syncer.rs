//! Makes a core's segments durable behind its writer, off the core: the `ordered` mode's 50 ms.

use super::{core_dir, segment_path, segments};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// How far a core's records are on disk: every segment before `segment`, and so many bytes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable {
    pub segment: u64,
    pub bytes: u64,
}

impl Durable {
    /// Everything that is there: nobody writes to it any more.
    pub const ALL: Self = Self {
        segment: u64::MAX,
        bytes: u64::MAX,
    };

    /// Bytes of a segment that are on disk.
    pub fn bytes_of(self, segment: u64) -> u64 {
        match segment.cmp(&self.segment) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.bytes,
            std::cmp::Ordering::Greater => 0,
        }
    }
}

/// Follows the newest segment of one core.
pub struct Syncer {
    dir: PathBuf,
    open: Option<Open>,
    durable: Durable,
}

struct Open {
    segment: u64,
    file: File,
    synced_bytes: u64,
}

impl Syncer {
    pub fn new(spool: &Path, core: u32) -> Self {
        Self {
            dir: core_dir(spool, core),
            open: None,
            durable: Durable::default(),
        }
    }

    /// Makes everything durable that was written before the call, and says how far that is.
    pub fn sync(&mut self) -> io::Result<Durable> {
        if let Some(open) = &mut self.open {
            open.sync()?;
        }
        let is_new = |number: &u64| self.open.as_ref().is_none_or(|open| *number > open.segment);
        let new: Vec<u64> = segments(&self.dir)?.into_iter().filter(is_new).collect();
        for segment in &new {
            // Written between the sync above and the start of its successor: none is left half on disk.
            if let Some(open) = &mut self.open {
                open.sync()?;
            }
            let mut open = Open::new(&self.dir, *segment)?;
            open.sync()?;
            self.open = Some(open);
        }
        if !new.is_empty() {
            // A new file is only there after a crash if its directory is durable too.
            File::open(&self.dir)?.sync_all()?;
        }
        if let Some(open) = &self.open {
            self.durable = Durable {
                segment: open.segment,
                bytes: open.synced_bytes,
            };
        }
        Ok(self.durable)
    }
}

impl Open {
    fn new(dir: &Path, segment: u64) -> io::Result<Self> {
        Ok(Self {
            segment,
            file: File::open(segment_path(dir, segment))?,
            synced_bytes: 0,
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        if bytes != self.synced_bytes {
            self.file.sync_data()?;
            self.synced_bytes = bytes;
        }
        Ok(())
    }
}
