//! Pipelines are compiled on a thread of their own while weights stream: those of a session with default options. Whatever
//! else a session wants it compiles itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::loader::GpuWeights;
use super::{Gpu, program};
use crate::device::{Precision, StateOptions};
use crate::error::{Error, Result};

/// A context that is long enough for every kernel.
const N_CTX: usize = 4096;

/// The thread. Dropped, it stops after the pipeline at hand.
pub(super) struct Warming {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Warming {
    pub(super) fn start(weights: &GpuWeights, precision: Precision) -> Result<Self> {
        let gpu = weights.gpu.clone();
        let options = StateOptions { n_ctx: N_CTX, max_batch: gpu.tuning.max_rows, max_outputs: 1, kv: precision.kv() };
        let wanted = program::pipelines(weights, &options)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || compile(&gpu, &wanted, &stopped);
        // without a thread the first session compiles
        let thread = std::thread::Builder::new().name("gabion pipelines".into()).spawn(run).ok();
        Ok(Self { stop, thread })
    }

    /// Waits until all are compiled. Errors that the device reported meanwhile may have come here.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::Internal("compiling pipelines panicked".into())),
        }
    }
}

impl Drop for Warming {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn compile(gpu: &Gpu, wanted: &BTreeSet<program::Compiled>, stop: &AtomicBool) -> Result<()> {
    for (shader, constants) in wanted {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        gpu.pipeline(shader, constants)?;
    }
    gpu.keep_pipelines();
    Ok(())
}
