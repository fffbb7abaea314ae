//! How fast the GPU copies its own memory: the limit that token generation is measured against.

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

use super::Gpu;
use super::memory::{GpuBuffer, STORAGE};
use crate::error::Result;

/// Bytes of each of the two buffers, where the adapter allows it.
const BYTES: u64 = 256 << 20;
/// Long enough to be timed, and for clocks to rise; short enough for any watchdog.
const ENOUGH_S: f64 = 0.1;
/// Most copies in one submit.
const MOST: u32 = 1 << 12;

impl Gpu {
    /// Bytes read and written per second.
    pub(super) async fn copy_bandwidth(&self) -> Result<f64> {
        let bytes = BYTES.min(self.max_storage_bytes()) / 16 * 16;
        let (from, to) = (self.buffer("copied memory", bytes, STORAGE)?, self.buffer("copied memory", bytes, STORAGE)?);
        self.copy(&from, &to, bytes, 1).await?;
        let mut copies = 1;
        loop {
            let seconds = self.copy(&from, &to, bytes, copies).await?;
            if seconds >= ENOUGH_S || copies >= MOST {
                return Ok(2.0 * bytes as f64 * f64::from(copies) / seconds);
            }
            copies *= 2;
        }
    }

    /// Seconds of so many copies in one submit.
    async fn copy(&self, from: &GpuBuffer, to: &GpuBuffer, bytes: u64, copies: u32) -> Result<f64> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for _ in 0..copies {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
        }
        let start = Instant::now();
        self.queue.submit([encoder.finish()]);
        self.finished().await?;
        self.check()?;
        Ok(start.elapsed().as_secs_f64())
    }
}
