//! The op cases on a software GPU adapter (lavapipe), at the adapter's own limits and at WebGPU's default limits.
//!
//! Without such an adapter these tests say so and pass, unless `GABION_REQUIRE_GPU=1`. `GABION_ADAPTER` names another
//! adapter (part of its name).

use std::sync::Arc;

use gabion::device::gpu::{Gpu, GpuOptions};
use gabion::device::{Device, Precision};
use gabion_tests::ops;

fn adapter(default_limits: bool) -> Option<Arc<Gpu>> {
    let name = std::env::var("GABION_ADAPTER").unwrap_or_else(|_| "llvmpipe".into());
    let options = GpuOptions { name_filter: Some(name), allow_software: true, default_limits };
    match pollster::block_on(Gpu::with_options(&options)) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("GABION_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

#[test]
fn op_cases() {
    if let Some(gpu) = adapter(false) {
        let device: Arc<dyn Device> = gpu;
        ops::run_all(&device, Precision::Exact); // Fast takes the same kernels
    }
}

#[test]
fn op_cases_at_default_limits() {
    if let Some(gpu) = adapter(true) {
        let device: Arc<dyn Device> = gpu;
        ops::run_all(&device, Precision::Exact);
    }
}
