//! `Runtime`: a device to load models on.

use std::sync::Arc;

use crate::device::{Device, DeviceInfo, DeviceLimits, Precision, cpu};
use crate::error::{Error, Result};

/// How to choose a device.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeOptions {
    /// `auto`: a hardware GPU, else the CPU. `cpu`. `gpu`: the best adapter, software ones last. Anything else: the first
    /// adapter whose name contains it, ignoring case (`llvmpipe`).
    pub device: String,
    /// Threads of the CPU device; `None` for one per core.
    pub threads: Option<usize>,
    /// Capability level of a GPU's kernels, by name: `base` (what every adapter has), `subgroup`, `texel`, `int8`, `f16`, `matrix`.
    /// `None`: the best that pays on the adapter, which on hardware is measured the first time, in browsers each time. For
    /// comparing; the CPU ignores it.
    pub level: Option<String>,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { device: "auto".into(), threads: None, level: None }
    }
}

/// A device with everything that models on it share. Cheap to clone; may be used from several threads.
#[derive(Clone)]
pub struct Runtime {
    device: Arc<dyn Device>,
}

impl Runtime {
    /// Opens a device.
    pub async fn new_async(options: &RuntimeOptions) -> Result<Self> {
        let device = match options.device.as_str() {
            "cpu" => cpu_device(options)?,
            "auto" => match hardware_gpu(options).await? {
                Some(gpu) => gpu,
                None => cpu_device(options)?,
            },
            name => gpu_device(name, options).await?,
        };
        Ok(Self { device })
    }

    /// Opens a device, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(options: &RuntimeOptions) -> Result<Self> {
        pollster::block_on(Self::new_async(options))
    }

    /// A runtime on a device made elsewhere, e.g. one that shares the host's wgpu device.
    pub fn from_device(device: Arc<dyn Device>) -> Self {
        Self { device }
    }

    /// The device's description.
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// The capability levels at which a GPU makes products of one row (generation) and of many (prompts); `None` on the CPU.
    pub fn levels(&self, exact: bool) -> Option<[&'static str; 2]> {
        self.device.levels(if exact { Precision::Exact } else { Precision::Fast })
    }

    /// What the device can hold.
    pub fn limits(&self) -> DeviceLimits {
        self.device.limits()
    }

    /// Measures how fast the device copies its own memory: bytes read and written per second. No model can generate more
    /// tokens a second than this divided by `Session::read_bytes`. Takes up to 512 MiB of memory and a second of time.
    pub async fn copy_bandwidth_async(&self) -> Result<f64> {
        self.device.copy_bandwidth().await
    }

    /// `copy_bandwidth_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn copy_bandwidth(&self) -> Result<f64> {
        pollster::block_on(self.copy_bandwidth_async())
    }

    pub(crate) fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Every device of this machine, the CPU first.
    pub async fn devices_async() -> Vec<DeviceInfo> {
        #[cfg(feature = "gpu")]
        let adapters = crate::device::gpu::Gpu::adapters().await;
        #[cfg(not(feature = "gpu"))]
        let adapters = [];
        let cpu = cpu_device(&RuntimeOptions::default());
        cpu.iter().map(|device| device.info().clone()).chain(adapters).collect()
    }

    /// Every device of this machine, the CPU first, waiting for the answer.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn devices() -> Vec<DeviceInfo> {
        pollster::block_on(Self::devices_async())
    }
}

fn cpu_device(options: &RuntimeOptions) -> Result<Arc<dyn Device>> {
    if options.threads.is_some_and(|n| n == 0 || n > 1024) {
        return Err(Error::InvalidArgument("threads must be in 1..=1024".into()));
    }
    Ok(cpu::Cpu::new(options.threads, cpu::Level::best())?)
}

#[cfg(feature = "gpu")]
fn gpu_options(options: &RuntimeOptions) -> Result<crate::device::gpu::GpuOptions> {
    use crate::device::gpu::{GpuOptions, Level};
    let named = |name: &String| {
        let names: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
        let unknown = || Error::InvalidArgument(format!("level '{name}' is none of {}", names.join(", ")));
        Level::from_name(name).ok_or_else(unknown)
    };
    Ok(GpuOptions { level: options.level.as_ref().map(named).transpose()?, ..GpuOptions::default() })
}

#[cfg(feature = "gpu")]
async fn hardware_gpu(options: &RuntimeOptions) -> Result<Option<Arc<dyn Device>>> {
    match crate::device::gpu::Gpu::with_options(&gpu_options(options)?).await {
        Ok(gpu) => Ok(Some(gpu)),
        Err(error) => {
            log::info!("no hardware GPU: {error}");
            Ok(None)
        }
    }
}

#[cfg(feature = "gpu")]
async fn gpu_device(name: &str, options: &RuntimeOptions) -> Result<Arc<dyn Device>> {
    let name_filter = (name != "gpu").then(|| name.to_owned());
    let options = crate::device::gpu::GpuOptions { name_filter, allow_software: true, ..gpu_options(options)? };
    Ok(crate::device::gpu::Gpu::with_options(&options).await?)
}

#[cfg(not(feature = "gpu"))]
async fn hardware_gpu(_: &RuntimeOptions) -> Result<Option<Arc<dyn Device>>> {
    Ok(None)
}

#[cfg(not(feature = "gpu"))]
async fn gpu_device(name: &str, _: &RuntimeOptions) -> Result<Arc<dyn Device>> {
    Err(Error::Device(format!("'{name}': this build has no GPU support (feature `gpu`); use cpu")))
}
