//! The CPU device: a scalar reference for each op, in a file named like its shader, and kernels for vector instructions
//! over it.
//!
//! Weights stay as they are in the file. Work is split over threads by rows and heads, never inside a sum, so any number
//! of threads gives the same result.

mod activate;
mod attention;
mod bandwidth;
mod cache;
mod conv;
mod delta_rule;
mod embed;
mod free;
mod gate;
mod kernels;
mod lerp;
mod level;
mod mat_mul;
mod memory;
mod norm;
mod pool;
mod ring_records;
mod rope_store;
mod scale;
mod scan;
mod simd;
mod state;
mod take;
mod weights;
mod wkv;

use std::sync::Arc;

pub use level::Level;

use super::{
    Device, DeviceInfo, DeviceKind, DeviceLimits, Loader, LocalFuture, Precision, StateBytes, StateOptions, check,
};
use crate::error::{Error, Result};
use crate::graph::Plan;
use pool::Pool;

/// More threads than this only wait for each other.
const MAX_THREADS: usize = 1024;

/// A set of threads that run plans.
pub struct Cpu {
    info: DeviceInfo,
    level: Level,
    pool: Pool,
}

impl Cpu {
    /// A device with `threads` threads (default: one per core the process may use) and the kernels of `level`, usually
    /// `Level::best()`. Fails if this machine has not that level, or gives no threads.
    pub fn new(threads: Option<usize>, level: Level) -> Result<Arc<Self>> {
        if !level.is_available() {
            return Err(Error::Device(format!("this CPU has no {}", level.name())));
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(cores).clamp(1, MAX_THREADS);
        let pool = Pool::new(threads).map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))?;
        let plural = if threads == 1 { "" } else { "s" };
        let info = DeviceInfo {
            kind: DeviceKind::Cpu,
            name: format!("CPU ({}, {threads} thread{plural})", level.name()),
            backend: "cpu".into(),
            driver: String::new(),
            threads,
            preferred_batch: 128,
        };
        Ok(Arc::new(Self { info, level, pool }))
    }
}

impl Cpu {
    fn check(&self, plan: &Plan) -> Result<()> {
        check::check(plan, |ty| crate::quant::format(ty).is_some())
    }
}

impl Device for Cpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }
    fn loader(self: Arc<Self>, plan: Arc<Plan>, precision: Precision) -> Result<Box<dyn Loader>> {
        self.check(&plan)?;
        Ok(Box::new(weights::CpuLoader::new(self, plan, precision)))
    }
    fn limits(&self) -> DeviceLimits {
        DeviceLimits { memory: free::memory(), buffer: None }
    }
    fn weight_bytes(&self, plan: &Plan) -> Result<u64> {
        self.check(plan)?;
        Ok(weights::weight_bytes(plan))
    }
    fn state_bytes(self: Arc<Self>, plan: Arc<Plan>, _: Precision, options: &StateOptions) -> Result<StateBytes> {
        weights::state_bytes(self, plan, options)
    }
    fn copy_bandwidth(&self) -> LocalFuture<'_, Result<f64>> {
        Box::pin(async { bandwidth::copy(&self.pool) })
    }
}
