//! Threads that share one operation at a time.
//!
//! An operation is a number of independent items; the caller and the workers take them one by one from a counter. The
//! caller never waits for a worker that has not begun: on a busy machine it does all the work itself. Which thread does an
//! item never matters to its result.

use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How often a worker looks for the next operation before it sleeps: some tens of microseconds, longer than the gap
/// between two operations of a batch.
const SPINS: usize = 2000;

/// One item of work: called with the thread's index and the item's.
type Work<'a> = dyn Fn(usize, usize) + Sync + 'a;

struct Job {
    work: *const Work<'static>,
    items: usize,
}

struct Shared {
    /// Written only by the caller, and only while `state` is 0.
    job: UnsafeCell<Job>,
    /// Bit 0: workers may enter. The rest: twice the number of workers inside.
    state: AtomicUsize,
    /// The next item to take.
    next: AtomicUsize,
    /// Counts operations, to wake workers.
    epoch: AtomicUsize,
    sleepers: AtomicUsize,
    quit: AtomicBool,
    panicked: AtomicBool,
    mutex: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only while no worker is inside (`state` == 0) and read only inside; `state`'s acquire and
// release order the two. The pointer's target is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer's target outlives every entry, since `Pool::run` waits for all workers to leave.
unsafe impl Send for Shared {}

/// The caller's thread and `threads - 1` workers.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose operation it is.
    turn: Mutex<()>,
}

impl Pool {
    /// A pool of `threads` threads, the caller's included.
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let nothing: &'static Work<'static> = &|_, _| {};
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(Job { work: nothing, items: 0 }),
            state: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            epoch: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            mutex: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut pool = Self { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for thread in 1..threads {
            let shared = pool.shared.clone();
            let worker = std::thread::Builder::new().name(format!("gabion-{thread}"));
            pool.workers.push(worker.spawn(move || shared.work(thread))?);
        }
        Ok(pool)
    }

    /// Threads that take part, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(thread, item)` for every item in 0..items, each once, and returns when all are done. Items given to
    /// one thread run one after another.
    pub(super) fn run(&self, items: usize, work: &Work<'_>) {
        if items < 2 || self.workers.is_empty() {
            return (0..items).for_each(|item| work(0, item));
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only the lifetime changes; `Open` closes the job and waits for workers before `work` goes away.
        let work: *const Work<'static> = unsafe { std::mem::transmute(work) };
        let shared = &*self.shared;
        // SAFETY: this caller has the turn, and the last one waited until `state` was 0.
        unsafe { *shared.job.get() = Job { work, items } };
        shared.next.store(0, Ordering::Relaxed);
        let open = Open::new(shared);
        shared.take_items(0);
        drop(open);
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a worker thread panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        self.shared.announce();
        for worker in self.workers.drain(..) {
            let _ = worker.join(); // a worker's panic was reported by `run`
        }
    }
}

/// A job that workers may enter. Dropped (also by a panic), it lets no more in and waits until all have left.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.state.store(1, Ordering::Release);
        shared.announce();
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_and(!1, Ordering::Relaxed);
        let mut spins = 0;
        while self.0.state.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Shared {
    /// Wakes workers for a new operation (or to quit).
    fn announce(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_all();
        }
    }

    /// A worker's life.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait(seen);
            if self.quit.load(Ordering::SeqCst) {
                return;
            }
            if self.enter() {
                let inside = Inside(self);
                self.take_items(thread);
                drop(inside);
            }
        }
    }

    /// Waits until `epoch` is not `seen`: awake at first, then asleep.
    fn wait(&self, seen: usize) -> usize {
        for _ in 0..SPINS {
            let now = self.epoch.load(Ordering::SeqCst);
            if now != seen {
                return now;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.epoch.load(Ordering::SeqCst) == seen {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        self.epoch.load(Ordering::SeqCst)
    }

    /// Enters the current job unless it is closed.
    fn enter(&self) -> bool {
        let open = |state| (state & 1 == 1).then_some(state + 2);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, open).is_ok()
    }

    /// Does items until none are left. Only for the caller and for workers that have entered.
    fn take_items(&self, thread: usize) {
        // SAFETY: the job is not written while anyone is inside, and its closure lives until all have left.
        let (work, items) = unsafe {
            let job = &*self.job.get();
            (&*job.work, job.items)
        };
        loop {
            let item = self.next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                return;
            }
            work(thread, item);
        }
    }
}

/// A worker's presence in a job, ended also by a panic.
struct Inside<'a>(&'a Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
        }
        self.0.state.fetch_sub(2, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_runs_once() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).unwrap();
            for items in (0..200).chain([5000]) {
                let counts: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.run(items, &|thread, item| {
                    assert!(thread < threads);
                    counts[item].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn callers_take_turns() {
        let pool = Pool::new(3).unwrap();
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        pool.run(7, &|_, item| {
                            total.fetch_add(item, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 500 * 21);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let pool = Pool::new(2).unwrap();
        let run = || pool.run(64, &|_, item| assert!(item != 40, "expected in this test"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}
