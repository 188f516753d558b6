//! Tasks of one core: a slab, an intrusive ready queue, and wakers that are plain numbers.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use std::os::fd::{AsFd, OwnedFd};

use crate::core::{CoreState, with_core};
use crate::limits;
use crate::sys;
use crate::waker::{TaskRef, waker};

/// End of the ready queue and of the free list.
const NONE: u32 = u32::MAX;
/// Slot of the main future, which lives on the stack of `Core::run`.
pub(crate) const MAIN: u32 = 0;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Slot {
    generation: u32,
    future: Option<LocalFuture>,
    alive: bool,
    queued: bool,
    running: bool,
    aborted: bool,
    next: u32,
}

/// The slab of tasks and the queue of those that are ready.
pub(crate) struct Executor {
    slots: Vec<Slot>,
    free: u32,
    head: u32,
    tail: u32,
    alive: usize,
    pub(crate) polls: u64,
    pub(crate) panics: u64,
}

impl Executor {
    pub(crate) fn new() -> Executor {
        let main = Slot {
            alive: true,
            next: NONE,
            ..Slot::default()
        };
        Executor {
            slots: vec![main],
            free: NONE,
            head: NONE,
            tail: NONE,
            alive: 0,
            polls: 0,
            panics: 0,
        }
    }

    pub(crate) fn tasks(&self) -> usize {
        self.alive
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.head == NONE
    }

    fn insert(&mut self, future: LocalFuture) -> (u32, u32) {
        let slot = if self.free == NONE {
            assert!(self.slots.len() < limits::TASKS_MAX, "too many tasks");
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        } else {
            let slot = self.free;
            self.free = self.slots[slot as usize].next;
            slot
        };
        let entry = &mut self.slots[slot as usize];
        entry.future = Some(future);
        entry.alive = true;
        entry.aborted = false;
        entry.next = NONE;
        let generation = entry.generation;
        self.alive += 1;
        self.wake(slot, generation);
        (slot, generation)
    }

    /// Puts a task into the ready queue; stale references and tasks already queued are ignored.
    pub(crate) fn wake(&mut self, slot: u32, generation: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return;
        };
        if entry.generation != generation || !entry.alive || entry.queued {
            return;
        }
        entry.queued = true;
        entry.next = NONE;
        if self.tail == NONE {
            self.head = slot;
        } else {
            self.slots[self.tail as usize].next = slot;
        }
        self.tail = slot;
    }

    fn pop(&mut self) -> Option<u32> {
        if self.head == NONE {
            return None;
        }
        let slot = self.head;
        let entry = &mut self.slots[slot as usize];
        self.head = entry.next;
        entry.queued = false;
        if self.head == NONE {
            self.tail = NONE;
        }
        Some(slot)
    }

    /// Takes the future of a task that is about to be polled.
    fn start(&mut self, slot: u32) -> Option<(LocalFuture, u32)> {
        let entry = &mut self.slots[slot as usize];
        let future = entry.future.take()?;
        entry.running = true;
        self.polls += 1;
        Some((future, entry.generation))
    }

    /// Puts a pending future back; gives it back to be dropped when the task was aborted meanwhile.
    fn suspend(&mut self, slot: u32, future: LocalFuture) -> Option<LocalFuture> {
        let entry = &mut self.slots[slot as usize];
        entry.running = false;
        if entry.aborted {
            self.retire(slot);
            return Some(future);
        }
        entry.future = Some(future);
        None
    }

    /// Ends a task: its references become stale. A slot still in the ready queue is freed when it is popped.
    fn retire(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.generation = (entry.generation + 1) & TaskRef::GENERATION_MASK;
        entry.alive = false;
        entry.running = false;
        self.alive -= 1;
        if !entry.queued {
            entry.next = self.free;
            self.free = slot;
        }
    }

    /// Frees a retired slot that was still queued when its task ended.
    fn recycle(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        if !entry.alive {
            entry.next = self.free;
            self.free = slot;
        }
    }

    fn abort(&mut self, slot: u32, generation: u32) -> Option<LocalFuture> {
        let entry = self.slots.get_mut(slot as usize)?;
        if entry.generation != generation || !entry.alive {
            return None;
        }
        if entry.running {
            entry.aborted = true;
            return None;
        }
        let future = entry.future.take();
        self.retire(slot);
        future
    }

    fn is_alive(&self, slot: u32, generation: u32) -> bool {
        let entry = self.slots.get(slot as usize);
        entry.is_some_and(|entry| entry.alive && entry.generation == generation)
    }

    /// Takes every future out, for the end of the core.
    pub(crate) fn clear(&mut self) -> Vec<Box<dyn Any>> {
        let mut futures: Vec<Box<dyn Any>> = Vec::new();
        for slot in 1..self.slots.len() as u32 {
            if let Some(future) = self.slots[slot as usize].future.take() {
                futures.push(Box::new(future));
                self.retire(slot);
            }
        }
        futures
    }
}

/// Polls ready tasks until none is left or the turn's budget is spent. True when the main future is ready to be polled.
pub(crate) fn run_ready(core: &CoreState) -> bool {
    let mut main_ready = false;
    for _ in 0..limits::POLLS_PER_TURN_MAX {
        let started = {
            let mut executor = core.executor.borrow_mut();
            let Some(slot) = executor.pop() else { break };
            if slot == MAIN {
                main_ready = true;
                continue;
            }
            match executor.start(slot) {
                Some((future, generation)) => (slot, future, generation),
                None => {
                    executor.recycle(slot);
                    continue;
                }
            }
        };
        let (slot, future, generation) = started;
        poll_task(core, slot, future, generation);
    }
    main_ready
}

fn poll_task(core: &CoreState, slot: u32, mut future: LocalFuture, generation: u32) {
    let waker = waker(TaskRef::new(core.id, slot, generation));
    let mut cx = Context::from_waker(&waker);
    // A task that panics ends alone: nothing else of the core holds a reference into its future.
    let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
    let leftover = match polled {
        Ok(Poll::Pending) => core.executor.borrow_mut().suspend(slot, future),
        Ok(Poll::Ready(())) => {
            core.executor.borrow_mut().retire(slot);
            Some(future)
        }
        Err(_) => {
            let mut executor = core.executor.borrow_mut();
            executor.retire(slot);
            executor.panics += 1;
            Some(future)
        }
    };
    if let Some(future) = leftover {
        drop_future(core, future);
    }
}

/// Drops a future outside every borrow; a panic in a destructor ends only that destructor.
fn drop_future(core: &CoreState, future: LocalFuture) {
    if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
        core.executor.borrow_mut().panics += 1;
    }
}

/// A task of this core. Dropping it lets the task run on.
pub struct Task {
    core: u16,
    slot: u32,
    generation: u32,
}

impl Task {
    /// Drops the task's future now; a task that aborts itself ends at its next suspension. Not awaited: the
    /// operations it had in flight are cancelled and settle on their own.
    pub fn abort(&self) {
        with_core(|core| {
            if core.id != self.core {
                return;
            }
            let future = (core.executor.borrow_mut()).abort(self.slot, self.generation);
            if let Some(future) = future {
                drop_future(core, future);
            }
        });
    }

    /// Whether the task has ended, in any way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        with_core(|core| core.id != self.core || !core.executor.borrow().is_alive(self.slot, self.generation))
    }
}

/// Starts a task on this core; it is polled first in the current or the next turn.
///
/// # Panics
/// Outside a running core, and when the core has 2^24 tasks.
pub fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
    let future: LocalFuture = Box::pin(future);
    with_core(|core| {
        let (slot, generation) = core.executor.borrow_mut().insert(future);
        Task {
            core: core.id,
            slot,
            generation,
        }
    })
}

/// Lets every other ready task of the core run first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Where other threads leave the tasks they wake.
pub(crate) struct Inbox {
    woken: AtomicBool,
    tasks: Mutex<Vec<TaskRef>>,
    pub(crate) event: OwnedFd,
}

impl Inbox {
    pub(crate) fn new() -> std::io::Result<Inbox> {
        Ok(Inbox {
            woken: AtomicBool::new(false),
            tasks: Mutex::new(Vec::new()),
            event: sys::event_fd()?,
        })
    }

    /// Leaves a task and wakes the core, once until it has looked.
    pub(crate) fn push(&self, task: TaskRef) {
        (self.tasks.lock().unwrap_or_else(PoisonError::into_inner)).push(task);
        self.signal();
    }

    /// Wakes the core without a task.
    pub(crate) fn signal(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            sys::event_signal(self.event.as_fd());
        }
    }

    /// The tasks left since the last look; `None` when nothing was signalled.
    pub(crate) fn take(&self) -> Option<Vec<TaskRef>> {
        // The plain load keeps the usual case, nothing there, free of a locked instruction.
        if !self.woken.load(Ordering::Acquire) {
            return None;
        }
        // Cleared before the list is taken: a push after it signals again.
        self.woken.swap(false, Ordering::AcqRel);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut *tasks))
    }
}

/// A core's inbox as other threads see it.
pub(crate) type SharedInbox = Arc<Inbox>;
