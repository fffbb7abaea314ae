//! The GPU device: runs plans on any wgpu adapter (Vulkan, Metal, DX12, browser WebGPU) with the kernels of
//! `gabion-shaders`.
//!
//! Weights are repacked into aligned planes while they load (`planes`, `loader`); a session's buffers, bind groups and
//! dispatches are made once (`program`, `state`), so that a token costs one small write, one compute pass and one submit.
//! Everything works at WebGPU's default limits; a tensor over the binding limit is split by rows (`placement`).

mod adapter;
mod bandwidth;
#[cfg(target_arch = "wasm32")]
mod browser;
mod calls;
#[cfg(not(target_arch = "wasm32"))]
mod driver_cache;
mod free;
mod fuse;
mod health;
#[cfg(not(target_arch = "wasm32"))]
mod kept;
mod level;
mod loader;
mod memory;
mod pick;
mod pipeline;
mod placement;
mod plane;
mod planes;
mod products;
mod program;
mod rope;
mod saved;
mod state;
mod tune;
#[cfg(not(target_arch = "wasm32"))]
mod tuned;
mod wait;
#[cfg(not(target_arch = "wasm32"))]
mod warming;

use std::sync::Arc;

pub use adapter::GpuOptions;
pub use level::Level;
use products::Products;

use super::{Device, DeviceInfo, DeviceKind, DeviceLimits, Loader, LocalFuture, Precision, StateBytes, StateOptions};
use crate::error::{Error, Result};
use crate::graph::Plan;

/// One adapter with its queue and compiled pipelines.
#[derive(Clone)]
pub struct Gpu {
    info: DeviceInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    health: Arc<health::Health>,
    pipelines: Arc<pipeline::Cache>,
    tuning: Tuning,
    /// How products are made where precision may be traded for speed.
    products: Products,
    /// Invocations of the smallest subgroup.
    subgroup: u32,
    /// What it was opened for.
    levels: Vec<Level>,
}

/// Numbers that differ between hardware and software adapters.
#[derive(Clone, Copy)]
struct Tuning {
    /// Whether the adapter computes on the CPU.
    software: bool,
    /// How products are made at the base level.
    products: Products,
    /// Invocations per workgroup of norm and of rope_store.
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
        software: false,
        products: Products::new(16, 1, 16),
        norm_width: 256,
        rope_width: 64,
        span: 256,
        first_rows: 64,
        max_rows: 512,
    };
    /// A software adapter runs few invocations at a time on a few threads: more of them only cost.
    const SOFTWARE: Tuning = Tuning {
        software: true,
        products: Products::new(1, 1, 1),
        norm_width: 8,
        rope_width: 8,
        span: 1024,
        first_rows: 8,
        max_rows: 128,
    };
    /// Its loads cost most, one lane after another, so an input is loaded for more rows at once.
    const LLVMPIPE: Tuning = Tuning { products: Products::new(1, 2, 1), ..Self::SOFTWARE };

    fn of(info: &DeviceInfo) -> Self {
        match info.kind {
            DeviceKind::Software if info.name.contains("llvmpipe") => Self::LLVMPIPE,
            DeviceKind::Software => Self::SOFTWARE,
            _ => Self::HARDWARE,
        }
    }

    /// Invocations per workgroup of decode_attention, for heads of `pairs` pairs of elements.
    fn attention_width(&self, pairs: u32) -> u32 {
        if self.software { self.rope_width } else { pairs.next_power_of_two().clamp(32, 128) }
    }
}

impl Gpu {
    /// The best adapter that `options` admits. Software adapters are chosen only where they are allowed. In a browser there
    /// is one adapter, the browser's choice.
    pub async fn with_options(options: &GpuOptions) -> Result<Arc<Self>> {
        let gpu = Self::open(options).await?;
        let chosen = match options.level {
            Some(level) => gpu.at(level).await?,
            None => gpu.best(options).await,
        };
        if chosen.check().is_ok() || options.level.is_some() {
            return Ok(chosen);
        }
        log::warn!("'{}' was lost when levels were tried: level 'base' is taken", gpu.info.name);
        Self::open(&GpuOptions { level: Some(Level::Base), ..options.clone() }).await
    }

    /// At the base level, but with whatever features other levels may need.
    async fn open(options: &GpuOptions) -> Result<Arc<Self>> {
        let adapter::Opened { info, device, queue, subgroup, levels } = adapter::open(options).await?;
        Ok(Self::wrap(info, device, queue, options, (subgroup, levels)))
    }

    /// The same device at the level asked for; an error if it computes wrongly there.
    async fn at(&self, level: Level) -> Result<Arc<Self>> {
        let gpu = self.with_products(self.tuning.products.at(level));
        if level == Level::Base || level::self_test(gpu.clone()).await? {
            return Ok(gpu);
        }
        Err(Error::Device(format!("'{}' computes wrongly at level '{}'", self.info.name, level.name())))
    }

    /// The same device at what pays: of software adapters that is known, of others it is measured.
    async fn best(self: &Arc<Self>, options: &GpuOptions) -> Arc<Self> {
        if options.tune.unwrap_or(self.info.kind == DeviceKind::Gpu) {
            return self.with_products(tune::choose(self, options).await);
        }
        // lanes that load for one another pay where a load costs each lane of a software adapter; on what browsers have they pay
        // less than their self-test takes
        let pays = self.info.kind == DeviceKind::Software && !cfg!(target_arch = "wasm32");
        for level in [Level::Texel, Level::Subgroup].into_iter().filter(|&level| pays && self.offers(level)) {
            match self.at(level).await {
                Ok(gpu) => return gpu,
                Err(error) => log::warn!("{error}: a plainer one is taken"),
            }
        }
        self.clone()
    }

    /// The levels at which products of one row and of many are made.
    pub fn levels(&self, precision: Precision) -> [Level; 2] {
        let products = self.products(precision);
        [products.one.level, products.many.level]
    }

    /// Every adapter of this machine, software ones included.
    pub async fn adapters() -> Vec<DeviceInfo> {
        adapter::list().await.iter().map(|adapter| adapter::describe(&adapter.get_info())).collect()
    }

    /// A host's own device and queue, at the base level. Its uncaptured-error and device-lost callbacks are replaced by
    /// gabion's, which turn such events into errors of the calls that follow.
    pub fn from_wgpu(adapter: &wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue) -> Arc<Self> {
        let levels = (adapter.subgroup_min_size, vec![Level::Base]);
        Self::wrap(adapter::describe(adapter), device, queue, &GpuOptions::default(), levels)
    }

    /// The wgpu device, for hosts that share it.
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.device
    }

    /// How products are made.
    fn products(&self, precision: Precision) -> Products {
        match precision {
            Precision::Fast => self.products,
            Precision::Exact => self.products.exact(),
        }
    }

    /// Whether it was opened with what the level needs.
    fn offers(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }

    fn wrap(
        info: DeviceInfo,
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: &GpuOptions,
        (subgroup, levels): (u32, Vec<Level>),
    ) -> Arc<Self> {
        let health = health::Health::watch(&device);
        let tuning = if options.hardware_shapes { Tuning::HARDWARE } else { Tuning::of(&info) };
        let info = DeviceInfo { preferred_batch: tuning.max_rows, ..info };
        let mut limits = device.limits();
        limits.max_buffer_size = limits.max_buffer_size.min(options.max_buffer_bytes.unwrap_or(u64::MAX));
        let products = tuning.products;
        let pipelines = Arc::new(pipeline::Cache {
            made: Default::default(),
            #[cfg(not(target_arch = "wasm32"))]
            driver: driver_cache::DriverCache::open(&device, &info, options.cache_folder.as_deref()),
        });
        Arc::new(Self { info, device, queue, limits, health, pipelines, tuning, products, subgroup, levels })
    }

    /// Keeps what the driver compiled for later processes.
    fn keep_pipelines(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        self.pipelines.driver.iter().for_each(driver_cache::DriverCache::save);
    }

    /// The same device with products made in another way.
    fn with_products(&self, products: Products) -> Arc<Self> {
        Arc::new(Self { products, ..self.clone() })
    }
}

impl Device for Gpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn loader(self: Arc<Self>, plan: Arc<Plan>, precision: Precision) -> Result<Box<dyn Loader>> {
        Ok(Box::new(loader::GpuLoader::new(self, plan, precision)?))
    }

    fn levels(&self, precision: Precision) -> Option<[&'static str; 2]> {
        Some(Gpu::levels(self, precision).map(Level::name))
    }

    fn limits(&self) -> DeviceLimits {
        DeviceLimits { memory: free::memory(&self.device), buffer: Some(self.max_storage_bytes()) }
    }

    fn weight_bytes(&self, plan: &Plan) -> Result<u64> {
        loader::weight_bytes(self, plan)
    }

    fn state_bytes(
        self: Arc<Self>,
        plan: Arc<Plan>,
        precision: Precision,
        options: &StateOptions,
    ) -> Result<StateBytes> {
        state::bytes(&self, &plan, precision, options)
    }

    fn copy_bandwidth(&self) -> LocalFuture<'_, Result<f64>> {
        Box::pin(Gpu::copy_bandwidth(self))
    }
}
