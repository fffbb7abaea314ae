//! Finds adapters, chooses one and opens it.

use std::path::PathBuf;

#[cfg(target_arch = "wasm32")]
use super::browser;
use super::level::Level;
use crate::device::{DeviceInfo, DeviceKind};
use crate::error::{Error, Result};

/// How to choose and open an adapter.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Part of the adapter's name, driver or backend, in any case.
    pub name_filter: Option<String>,
    /// Whether an adapter that computes on the CPU may be chosen.
    pub allow_software: bool,
    /// Asks for no more than WebGPU's default limits, to test what every adapter must be able to do.
    pub default_limits: bool,
    /// Most bytes of one buffer, if less than the adapter allows: tensors above it are split by rows.
    pub max_buffer_bytes: Option<u64>,
    /// The level of products; `None` for the best that pays and passes its self-test.
    pub level: Option<Level>,
    /// Whether levels and shapes of products are chosen by timing them (at most about 300 ms; once, but in browsers each time).
    /// `None`: on hardware, where no level is asked for.
    pub tune: Option<bool>,
    /// Where the choice, and what the driver compiled, are kept; `None` for gabion's folder among the user's caches. Browsers
    /// keep nothing.
    pub cache_folder: Option<PathBuf>,
    /// Runs kernels in the shapes that hardware gets even on a software adapter, to test these.
    pub hardware_shapes: bool,
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle())
}

/// All adapters; in a browser, the one it offers.
pub(super) async fn list() -> Vec<wgpu::Adapter> {
    let instance = instance();
    if cfg!(target_arch = "wasm32") {
        let power_preference = wgpu::PowerPreference::HighPerformance;
        let options = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
        return instance.request_adapter(&options).await.into_iter().collect();
    }
    instance.enumerate_adapters(wgpu::Backends::all()).await
}

pub(super) fn describe(info: &wgpu::AdapterInfo) -> DeviceInfo {
    let name = if info.name.is_empty() { "WebGPU adapter" } else { &info.name };
    let known = ["llvmpipe", "swiftshader", "basic render driver"];
    let software =
        info.device_type == wgpu::DeviceType::Cpu || known.iter().any(|part| name.to_lowercase().contains(part));
    DeviceInfo {
        kind: if software { DeviceKind::Software } else { DeviceKind::Gpu },
        name: name.into(),
        backend: backend(info.backend).into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
        threads: 0,
        preferred_batch: 0,
    }
}

fn backend(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::Noop => "noop",
    }
}

/// Discrete before integrated before the rest.
fn rank(info: &wgpu::AdapterInfo) -> u32 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// An adapter ready for use.
pub(super) struct Opened {
    pub(super) info: DeviceInfo,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Invocations of the smallest subgroup.
    pub(super) subgroup: u32,
    /// What it can run: the level asked for, or all that it offers.
    pub(super) levels: Vec<Level>,
}

/// Opens the best adapter that `options` admits.
pub(super) async fn open(options: &GpuOptions) -> Result<Opened> {
    let mut adapters = list().await;
    adapters.sort_by_key(|adapter| rank(&adapter.get_info()));
    let admitted = |adapter: &&wgpu::Adapter| admits(options, &describe(&adapter.get_info()));
    let Some(adapter) = adapters.iter().find(admitted) else { return Err(none(options, &adapters)) };
    let info = describe(&adapter.get_info());
    let mut levels = wanted(options.level, adapter);
    let features = levels.iter().fold(wgpu::Features::empty(), |all, level| all | level.features());
    let required_features = features | helpful(adapter);
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("gabion"),
        required_features,
        experimental_features: experiments(required_features),
        required_limits: limits(options, &adapter.limits()),
        ..Default::default()
    };
    let request = || adapter.request_device(&descriptor);
    #[cfg(target_arch = "wasm32")]
    let request = || if levels.contains(&Level::Subgroup) { browser::with_subgroups(request) } else { request() };
    let (device, queue) =
        request().await.map_err(|e| Error::Device(format!("'{}' cannot be opened: {e}", info.name)))?;
    levels.retain(|level| level.is_open(&device));
    if let (Some(level), []) = (options.level, levels.as_slice()) {
        let text = format!("'{}' does not offer what level '{}' needs", info.name, level.name());
        return Err(Error::Device(text));
    }
    Ok(Opened { info, device, queue, subgroup: adapter.get_info().subgroup_min_size, levels })
}

/// The level asked for, or all, if the adapter offers them.
fn wanted(level: Option<Level>, adapter: &wgpu::Adapter) -> Vec<Level> {
    let asked = |&each: &Level| level.is_none_or(|level| level == each);
    Level::ALL.iter().copied().filter(asked).filter(|level| level.is_offered(adapter)).collect()
}

/// Features that change no result.
fn helpful(adapter: &wgpu::Adapter) -> wgpu::Features {
    adapter.features() & wgpu::Features::PIPELINE_CACHE
}

/// wgpu's leave to use what it calls experimental, where that is asked for.
fn experiments(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.intersects(wgpu::Features::all_experimental_mask()) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: wgpu warns of bugs in cooperative matrices. Only `mat_mat_matrix` uses them, on adapters that report its shape;
    // it reads and writes inside its buffers, and is dropped where the self-test finds it wrong.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

fn admits(options: &GpuOptions, info: &DeviceInfo) -> bool {
    let text = format!("{} {} {}", info.name, info.driver, info.backend).to_lowercase();
    let named = options.name_filter.as_ref().is_none_or(|part| text.contains(&part.to_lowercase()));
    named && (options.allow_software || info.kind == DeviceKind::Gpu)
}

fn none(options: &GpuOptions, adapters: &[wgpu::Adapter]) -> Error {
    let kind = if options.allow_software { "GPU" } else { "hardware GPU" };
    let wanted = options.name_filter.as_ref().map_or(String::new(), |part| format!(" matching '{part}'"));
    let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let found = if names.is_empty() { "none was found".into() } else { format!("found: {}", names.join(", ")) };
    Error::Device(format!("no {kind}{wanted}; {found}"))
}

/// WebGPU's defaults, with whatever larger buffers the adapter offers.
fn limits(options: &GpuOptions, adapter: &wgpu::Limits) -> wgpu::Limits {
    let defaults = wgpu::Limits::default();
    if options.default_limits {
        return defaults;
    }
    let max_storage_buffer_binding_size = adapter.max_storage_buffer_binding_size;
    wgpu::Limits { max_storage_buffer_binding_size, max_buffer_size: adapter.max_buffer_size, ..defaults }
}
