//! Waiting for the GPU: blocking natively, awaiting the browser's callbacks on the web.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Gpu;
use super::memory::Readback;
use crate::error::{Error, Result};

/// How long a callback may lag behind the queue.
#[cfg(not(target_arch = "wasm32"))]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A value that a callback brings once.
struct Signal<T>(Arc<Mutex<Inbox<T>>>);

struct Inbox<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Signal<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Inbox { value: None, waker: None })))
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, value: T) {
        let mut inbox = self.inbox();
        inbox.value = Some(value);
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Future for Signal<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut inbox = self.inbox();
        match inbox.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                inbox.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Gpu {
    /// The device's loss or last reported error, if any.
    pub(super) fn check(&self) -> Result<()> {
        self.health.check("device memory", 0)
    }

    /// Sends pending writes off; natively waits until they are done, for until then they hold staging memory.
    pub(super) fn flush(&self) {
        self.queue.submit([]);
        #[cfg(not(target_arch = "wasm32"))]
        self.block(None);
    }

    /// Returns when everything submitted so far has run.
    pub(super) async fn finished(&self) -> Result<()> {
        let signal = Signal::new();
        let sender = signal.clone();
        self.queue.on_submitted_work_done(move || sender.send(()));
        self.arrival(signal, None).await
    }

    /// Reads the first `bytes` of a buffer once everything submitted so far (or up to `after`) has run, and gives them to
    /// `use_bytes`.
    pub(super) async fn read(
        &self,
        readback: &Readback,
        bytes: u64,
        after: Option<wgpu::SubmissionIndex>,
        use_bytes: impl FnOnce(&[u8]),
    ) -> Result<()> {
        let buffer = &readback.buffer;
        readback.pending.set(true);
        let signal = Signal::new();
        let sender = signal.clone();
        let slice = buffer.slice(..bytes);
        slice.map_async(wgpu::MapMode::Read, move |result| sender.send(result));
        let mapped = self.arrival(signal, after).await?;
        readback.pending.set(false);
        mapped.map_err(|e| self.failure(&format!("mapping the results: {e}")))?;
        let read = slice.get_mapped_range().map(|view| use_bytes(&view));
        buffer.unmap();
        read.map_err(|e| self.failure(&format!("reading the results: {e}")))?;
        self.check()
    }

    /// Why `what` failed: the device's own report, if there is one.
    fn failure(&self, what: &str) -> Error {
        self.check().err().unwrap_or_else(|| Error::Internal(what.into()))
    }

    #[cfg(target_arch = "wasm32")]
    async fn arrival<T>(&self, signal: Signal<T>, _: Option<wgpu::SubmissionIndex>) -> Result<T> {
        Ok(signal.await)
    }

    /// Another thread's poll may be the one that runs our callback, so an empty queue alone does not mean it has run.
    #[cfg(not(target_arch = "wasm32"))]
    async fn arrival<T>(&self, signal: Signal<T>, after: Option<wgpu::SubmissionIndex>) -> Result<T> {
        let start = std::time::Instant::now();
        loop {
            self.block(after.clone());
            let value = signal.inbox().value.take();
            if let Some(value) = value {
                return Ok(value);
            }
            self.check()?;
            if start.elapsed() > PATIENCE {
                return Err(Error::Internal("the GPU's queue is empty, but its answer never came".into()));
            }
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }

    /// Blocks until the queue has come to `after`, or is empty. wgpu panics if the device is lost meanwhile; that too is only a loss.
    #[cfg(not(target_arch = "wasm32"))]
    fn block(&self, after: Option<wgpu::SubmissionIndex>) {
        let until = wgpu::PollType::Wait { submission_index: after, timeout: None };
        let poll = || self.device.poll(until);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.health.lose(&error.to_string()),
            Err(_) => self.health.lose("it was lost while the GPU was working"),
        }
    }
}
