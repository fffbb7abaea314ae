//! The devices that model tests run on: every CPU level that this machine has, and a software GPU adapter.

use gabion::Runtime;
use gabion::device::cpu::{Cpu, Level};
#[cfg(feature = "gpu")]
use gabion::device::gpu::{Gpu, GpuOptions, Level as GpuLevel};
#[cfg(feature = "gpu")]
use gabion::{
    Error,
    device::{Device, Precision},
};

/// A CPU runtime of a level. Its number of threads changes no result.
pub fn cpu(level: Level, threads: Option<usize>) -> Runtime {
    Runtime::from_device(Cpu::new(threads, level).expect("the level is available"))
}

/// Every level that this machine has, plainest first. `$LEVEL` chooses some by a part of their name: in an emulator, the scalar
/// code would take longer than the rest.
pub fn levels() -> impl DoubleEndedIterator<Item = Level> {
    let named = std::env::var("LEVEL").unwrap_or_default();
    let chosen = |level: &Level| level.is_available() && level.name().contains(&named);
    let levels: Vec<Level> = Level::ALL.iter().copied().filter(chosen).collect();
    assert!(!levels.is_empty(), "this machine has no level that is named like '{named}'");
    levels.into_iter()
}

/// A software GPU adapter (lavapipe; `GABION_ADAPTER` names another by a part of its name). `None`, with a message, where
/// there is none; `GABION_REQUIRE_GPU=1` makes that a failure.
#[cfg(feature = "gpu")]
pub fn gpu(options: GpuOptions) -> Option<std::sync::Arc<Gpu>> {
    let name = std::env::var("GABION_ADAPTER").unwrap_or_else(|_| "llvmpipe".into());
    let options = GpuOptions { name_filter: Some(name), allow_software: true, ..options };
    match pollster::block_on(Gpu::with_options(&options)) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("GABION_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// The adapter at this level, unless it lacks what the level needs: then `None`, with a message.
#[cfg(feature = "gpu")]
pub fn gpu_at(level: GpuLevel, options: GpuOptions) -> Option<std::sync::Arc<Gpu>> {
    let base = gpu(GpuOptions { level: Some(GpuLevel::Base), ..options.clone() })?;
    let name = Some(base.info().name.clone());
    let wanted = GpuOptions { level: Some(level), name_filter: name, allow_software: true, ..options };
    match pollster::block_on(Gpu::with_options(&wanted)) {
        Ok(gpu) => {
            assert_eq!(gpu.levels(Precision::Fast), [level; 2]);
            Some(gpu)
        }
        Err(Error::Device(text)) if text.contains("does not offer") => {
            eprintln!("skipped: {text}");
            None
        }
        Err(error) => panic!("level {}: {error}", level.name()),
    }
}

/// The same as a runtime, at the adapter's own limits.
#[cfg(feature = "gpu")]
pub fn gpu_runtime() -> Option<Runtime> {
    gpu(GpuOptions::default()).map(|gpu| Runtime::from_device(gpu))
}

/// None: these tests were built without GPUs.
#[cfg(not(feature = "gpu"))]
pub fn gpu_runtime() -> Option<Runtime> {
    None
}
