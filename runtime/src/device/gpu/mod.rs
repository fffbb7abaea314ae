//! The GPU device: runs plans on any wgpu adapter (Vulkan, Metal, DX12, browser WebGPU) with the kernels of
//! `gabion-shaders`.
//!
//! Weights are repacked into aligned planes while they load (`planes`, `loader`); a session's buffers, bind groups and
//! dispatches are made once (`program`, `state`), so that a token costs one small write, one compute pass and one submit.
//! Everything works at WebGPU's default limits; a tensor over the binding limit is split by rows (`placement`).

mod adapter;
mod bandwidth;
mod calls;
mod fuse;
mod health;
mod level;
mod loader;
mod memory;
mod pipeline;
mod placement;
mod planes;
mod program;
mod rope;
mod state;
mod wait;

use std::sync::Arc;

pub use adapter::GpuOptions;
pub use level::Level;

use super::{Device, DeviceInfo, DeviceKind, Loader, LocalFuture, Precision};
use crate::error::{Error, Result};
use crate::graph::Plan;

/// One adapter with its queue and compiled pipelines.
pub struct Gpu {
    info: DeviceInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    health: Arc<health::Health>,
    pipelines: pipeline::Cache,
    tuning: Tuning,
    lanes: level::Lanes,
}

/// Numbers that differ between hardware and software adapters.
#[derive(Clone, Copy)]
struct Tuning {
    /// Slices that mat_vec cuts the columns into, and tiles that its workgroups make.
    split: u32,
    tiles: u32,
    /// Groups of tokens (one or two quads each) per workgroup of mat_mat.
    groups: u32,
    /// Invocations per workgroup of rms_norm and of rope_store.
    norm_width: u32,
    rope_width: u32,
    /// Cached keys that a workgroup of decode_attention attends to; more take several workgroups.
    span: u32,
    /// Rows of the first submit of a long batch; later ones follow the measured time.
    first_rows: usize,
    /// Most rows of one submit.
    max_rows: usize,
}

impl Tuning {
    const HARDWARE: Tuning = Tuning {
        split: 16,
        tiles: 1,
        groups: 16,
        norm_width: 256,
        rope_width: 64,
        span: 256,
        first_rows: 64,
        max_rows: 512,
    };
    /// A software adapter runs few invocations at a time on a few threads: more of them only cost.
    const SOFTWARE: Tuning = Tuning {
        split: 1,
        tiles: 1,
        groups: 1,
        norm_width: 8,
        rope_width: 8,
        span: 1024,
        first_rows: 8,
        max_rows: 128,
    };
    /// Its loads cost most, one lane after another, so an input is loaded for more rows at once.
    const LLVMPIPE: Tuning = Tuning { tiles: 2, ..Self::SOFTWARE };

    fn of(info: &DeviceInfo) -> Self {
        match info.kind {
            DeviceKind::Software if info.name.contains("llvmpipe") => Self::LLVMPIPE,
            DeviceKind::Software => Self::SOFTWARE,
            _ => Self::HARDWARE,
        }
    }

    /// Invocations per workgroup of decode_attention, for heads of `pairs` pairs of elements.
    fn attention_width(&self, pairs: u32) -> u32 {
        if self.split == 1 { self.rope_width } else { pairs.next_power_of_two().clamp(32, 128) }
    }
}

impl Gpu {
    /// The best adapter that `options` admits. Software adapters are chosen only where they are allowed. In a browser there
    /// is one adapter, the browser's choice.
    pub async fn with_options(options: &GpuOptions) -> Result<Arc<Self>> {
        let adapter::Opened { info, device, queue, lanes } = adapter::open(options).await?;
        let gpu = Self::wrap(info, device, queue, options, lanes);
        if gpu.level() == Level::Base || level::self_test(gpu.clone()).await? {
            return Ok(gpu);
        }
        let (name, level) = (&gpu.info.name, gpu.level().name());
        let problem = format!("'{name}' computes wrongly at level '{level}'");
        if options.level.is_some() {
            return Err(Error::Device(problem));
        }
        log::warn!("{problem}: level 'base' is taken");
        let (info, device, queue) = (gpu.info.clone(), gpu.device.clone(), gpu.queue.clone());
        Ok(Self::wrap(info, device, queue, options, gpu.lanes.at(Level::Base)))
    }

    /// The level its kernels run at.
    pub fn level(&self) -> Level {
        self.lanes.level
    }

    /// Every adapter of this machine, software ones included.
    pub async fn adapters() -> Vec<DeviceInfo> {
        adapter::list().await.iter().map(|adapter| adapter::describe(&adapter.get_info())).collect()
    }

    /// A host's own device and queue, at the base level. Its uncaptured-error and device-lost callbacks are replaced by
    /// gabion's, which turn such events into errors of the calls that follow.
    pub fn from_wgpu(adapter: &wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue) -> Arc<Self> {
        let lanes = level::Lanes::new(Level::Base, adapter);
        Self::wrap(adapter::describe(adapter), device, queue, &GpuOptions::default(), lanes)
    }

    /// The wgpu device, for hosts that share it.
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Quads of tokens that an invocation of mat_mat makes. Two are faster where lanes share their loads (a sixth on lavapipe),
    /// and no faster where each lane loads all inputs of its tokens by itself.
    fn quads(&self) -> u32 {
        if self.tuning.groups == 1 && self.level() >= Level::Subgroup { 2 } else { 1 }
    }

    /// Whether a norm is cheaper made by every workgroup of the product that follows than in a dispatch of its own: not where
    /// every lane would load its weights by itself, one after another.
    fn fuses_norms(&self) -> bool {
        self.tuning.split > 1 || self.level() >= Level::Subgroup
    }

    fn wrap(
        info: DeviceInfo,
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: &GpuOptions,
        lanes: level::Lanes,
    ) -> Arc<Self> {
        let health = health::Health::watch(&device);
        let tuning = if options.hardware_shapes { Tuning::HARDWARE } else { Tuning::of(&info) };
        let info = DeviceInfo { preferred_batch: tuning.max_rows, ..info };
        let mut limits = device.limits();
        limits.max_buffer_size = limits.max_buffer_size.min(options.max_buffer_bytes.unwrap_or(u64::MAX));
        Arc::new(Self { info, device, queue, limits, health, pipelines: pipeline::Cache::default(), tuning, lanes })
    }
}

impl Device for Gpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Both precisions compute with f32 activations.
    fn loader(self: Arc<Self>, plan: Arc<Plan>, _: Precision) -> Result<Box<dyn Loader>> {
        Ok(Box::new(loader::GpuLoader::new(self, plan)?))
    }

    fn copy_bandwidth(&self) -> LocalFuture<'_, Result<f64>> {
        Box::pin(Gpu::copy_bandwidth(self))
    }
}
