//! The thread that writes and syncs files for the epoll back end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::executor::SharedInbox;
use crate::limits;
use crate::port::{Completion, Token};
use crate::sys;

struct Job {
    token: Token,
    /// A descriptor of its own, so that the job never meets a number that was closed and used again.
    file: OwnedFd,
    /// Bytes to append; none to make the file's data durable.
    bytes: Option<Vec<u8>>,
}

type Results = Arc<Mutex<Vec<(Token, i32)>>>;

/// Runs jobs in order. Ends when the back end that owns it is dropped.
pub(super) struct FileThread {
    jobs: SyncSender<Job>,
    results: Results,
}

impl FileThread {
    pub(super) fn start(inbox: SharedInbox) -> FileThread {
        let (jobs, queue) = sync_channel::<Job>(limits::FILE_JOBS_MAX);
        let results = Results::default();
        let theirs = results.clone();
        let named = thread::Builder::new().name("reactor-files".into());
        // If no thread can be made the queue's receiver is dropped, and every job runs in place.
        let _ = named.spawn(move || {
            for job in queue {
                let result = run(&job);
                let mut results = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                results.push((job.token, result));
                drop(results);
                inbox.signal();
            }
        });
        FileThread { jobs, results }
    }

    /// Hands a job over. `Some` is the result of a job that ran in place because no thread could be made.
    ///
    /// # Errors
    /// When too many jobs wait, or the process has no descriptor left for the job.
    pub(super) fn submit(&self, token: Token, file: BorrowedFd<'_>, bytes: Option<Vec<u8>>) -> io::Result<Option<i32>> {
        let file = file.try_clone_to_owned()?;
        match self.jobs.try_send(Job { token, file, bytes }) {
            Ok(()) => Ok(None),
            Err(TrySendError::Disconnected(job)) => Ok(Some(run(&job))),
            Err(TrySendError::Full(_)) => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
        }
    }

    pub(super) fn collect(&self, out: &mut Vec<Completion>) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        for (token, result) in results.drain(..) {
            out.push(super::finished(token, result));
        }
    }
}

/// Bytes written or 0, or a negative error number.
fn run(job: &Job) -> i32 {
    let result = match &job.bytes {
        Some(bytes) => sys::append(job.file.as_fd(), bytes),
        None => sys::sync_data(job.file.as_fd()).map(|()| 0),
    };
    match result {
        Ok(n) => n.min(i32::MAX as usize) as i32,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}
