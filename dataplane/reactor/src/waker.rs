//! Wakers without memory: a task reference fits into the waker's data word, so clone and drop cost nothing.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::{PoisonError, RwLock};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::core::try_with_core;
use crate::executor::SharedInbox;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a task reference needs 64 bits");

/// Core (16 bits), generation (24 bits) and slot (24 bits) of a task. May be stale: waking it then does nothing, or
/// wakes a later task of the same slot once too often, which every future must bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskRef(u64);

impl TaskRef {
    pub(crate) const GENERATION_MASK: u32 = (1 << 24) - 1;

    pub(crate) fn new(core: u16, slot: u32, generation: u32) -> TaskRef {
        let generation = u64::from(generation & Self::GENERATION_MASK);
        TaskRef(u64::from(core) << 48 | generation << 24 | u64::from(slot & 0xff_ffff))
    }

    pub(crate) fn core(self) -> u16 {
        (self.0 >> 48) as u16
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 24) as u32 & Self::GENERATION_MASK
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }
}

/// Inboxes of the cores that exist, by core id.
static INBOXES: RwLock<Vec<Option<SharedInbox>>> = RwLock::new(Vec::new());

thread_local! {
    /// Id of the core that runs on this thread, if any.
    static HERE: Cell<Option<u16>> = const { Cell::new(None) };
}

/// Gives a new core its id, the lowest free one.
pub(crate) fn register(inbox: SharedInbox) -> io::Result<u16> {
    let mut inboxes = INBOXES.write().unwrap_or_else(PoisonError::into_inner);
    let free = inboxes.iter().position(Option::is_none);
    let id = free.unwrap_or(inboxes.len());
    let Ok(number) = u16::try_from(id) else {
        return Err(io::Error::other("more than 65536 cores in one process"));
    };
    if id == inboxes.len() {
        inboxes.push(None);
    }
    inboxes[id] = Some(inbox);
    Ok(number)
}

/// Frees a core's id.
pub(crate) fn unregister(core: u16) {
    let mut inboxes = INBOXES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(inbox) = inboxes.get_mut(usize::from(core)) {
        *inbox = None;
    }
}

/// Notes which core runs on this thread.
pub(crate) fn set_here(core: Option<u16>) {
    HERE.set(core);
}

/// A waker of the task. `Send + Sync`: on the task's own core it touches only that core's queue, elsewhere it goes
/// through the core's inbox.
pub(crate) fn waker(task: TaskRef) -> Waker {
    // SAFETY: the functions of the table ignore the pointer's target (it is a number, not an address), so clone,
    // wake and drop are sound from any thread, any number of times.
    unsafe { Waker::from_raw(raw(task.0)) }
}

fn raw(data: u64) -> RawWaker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| ());
    RawWaker::new(ptr::without_provenance(data as usize), &TABLE)
}

fn clone(data: *const ()) -> RawWaker {
    raw(data.addr() as u64)
}

fn wake(data: *const ()) {
    let task = TaskRef(data.addr() as u64);
    if HERE.try_with(Cell::get).ok().flatten() == Some(task.core()) {
        let woken = try_with_core(|core| {
            (core.executor.borrow_mut()).wake(task.slot(), task.generation());
        });
        if woken.is_some() {
            return;
        }
    }
    let inboxes = INBOXES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(Some(inbox)) = inboxes.get(usize::from(task.core())) {
        inbox.push(task);
    }
}
