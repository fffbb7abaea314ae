//! What a driver remembers of compiling pipelines (Vulkan's pipeline cache), kept from process to process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::kept::Kept;
use crate::device::DeviceInfo;

/// A driver's cache and its file.
pub(super) struct DriverCache {
    cache: wgpu::PipelineCache,
    kept: Kept,
    /// Whether pipelines were compiled since it was written.
    news: AtomicBool,
}

impl DriverCache {
    /// With what an earlier process left; `None` where the device has no such cache.
    pub(super) fn open(device: &wgpu::Device, info: &DeviceInfo, folder: Option<&Path>) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let kept = Kept::new("pipelines", info, folder);
        let data = kept.read();
        let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
        // SAFETY: the file's checksum holds and its key names this version, adapter and driver, so these are the bytes that
        // `save` had from wgpu; wgpu and the driver look at their own headers and drop what is not theirs
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { cache, kept, news: AtomicBool::new(false) })
    }

    /// The cache, for a pipeline that is compiled now.
    pub(super) fn used(&self) -> &wgpu::PipelineCache {
        self.news.store(true, Ordering::Relaxed);
        &self.cache
    }

    /// Writes the file if there is something new, unless the driver gives nothing or the file is there already as it is.
    pub(super) fn save(&self) {
        if !self.news.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(data) = self.cache.get_data().filter(|data| self.kept.read().as_ref() != Some(data)) {
            self.kept.write(&data);
        }
    }
}
