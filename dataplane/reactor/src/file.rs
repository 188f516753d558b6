//! Files that only grow: asynchronous appends and syncs, and a plain append for the pre-submit hook.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use crate::core::with_core;
use crate::plain::PlainOp;
use crate::sys::{self, LateFd};

pub(crate) struct FileState {
    pub(crate) fd: LateFd,
}

/// A file opened for appending.
pub struct File {
    state: Rc<FileState>,
}

impl File {
    /// Makes a new file that only its owner may read and write.
    ///
    /// # Errors
    /// When it exists already, or cannot be made.
    pub fn create_append(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        File::from_fd(options.open(path)?.into())
    }

    /// Opens a file that exists.
    ///
    /// # Errors
    /// When it does not exist or may not be written.
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        File::from_fd(OpenOptions::new().append(true).open(path)?.into())
    }

    fn from_fd(fd: OwnedFd) -> io::Result<File> {
        let core = with_core(|core| core.id);
        Ok(File {
            state: Rc::new(FileState {
                fd: LateFd::new(fd, core),
            }),
        })
    }

    /// Appends all bytes and gives the vector back, cleared. Await one append before the next: two at once may
    /// land in either order. Dropping the future does not take the append back.
    ///
    /// # Errors
    /// When the disk is full or fails; part of the bytes may have been written.
    pub async fn append(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let token = with_core(|core| core.with_driver(|d| d.start_write(&self.state, bytes)));
        let (result, mut bytes) = PlainOp::new(token).await;
        result?;
        bytes.clear();
        Ok(bytes)
    }

    /// Makes what was appended durable (`fdatasync`).
    ///
    /// # Errors
    /// When the disk fails; the bytes must be taken as lost.
    pub async fn sync_data(&self) -> io::Result<()> {
        let token = with_core(|core| core.with_driver(|driver| driver.start_sync(&self.state)));
        PlainOp::new(token).await.0
    }

    /// Appends with plain `write(2)`, into the page cache: for the pre-submit hook, which must be done when it returns.
    ///
    /// # Errors
    /// When the disk is full or fails; part of the bytes may have been written.
    pub fn append_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match sys::append(self.state.fd.as_fd(), rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
