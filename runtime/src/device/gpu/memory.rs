//! Buffers that say how many bytes were wanted when there is no room for them, and free their memory when dropped.

use std::cell::Cell;
use std::ops::Deref;

use wgpu::BufferUsages;

use super::Gpu;
use crate::error::{Error, Result};

/// A buffer whose memory is freed on drop. (In a browser a dropped handle alone waits for the garbage collector.)
pub(super) struct GpuBuffer(wgpu::Buffer);

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

impl Deref for GpuBuffer {
    type Target = wgpu::Buffer;
    fn deref(&self) -> &wgpu::Buffer {
        &self.0
    }
}

/// A storage buffer that kernels read and write and the host fills.
pub(super) const STORAGE: BufferUsages =
    BufferUsages::STORAGE.union(BufferUsages::COPY_DST).union(BufferUsages::COPY_SRC);
/// The uniform fields of a program.
pub(super) const UNIFORM: BufferUsages = BufferUsages::UNIFORM.union(BufferUsages::COPY_DST);
/// What the host reads results from.
const READBACK: BufferUsages = BufferUsages::MAP_READ.union(BufferUsages::COPY_DST);

/// A buffer that the host reads results from.
pub(super) struct Readback<B = GpuBuffer> {
    pub(super) buffer: B,
    /// Whether it was asked to be mapped and not read yet: in a browser a future may be dropped while it waits.
    pub(super) pending: Cell<bool>,
}

impl<B> Readback<B> {
    /// A buffer to read at most `bytes` bytes from at a time.
    pub(super) fn new(make: Make<'_, B>, what: &str, bytes: usize) -> Result<Self> {
        Ok(Self { buffer: make(what, bytes as u64, READBACK)?, pending: Cell::new(false) })
    }
}

impl Readback {
    /// Makes it usable again after a read that was never ended.
    pub(super) fn release(&self) {
        if self.pending.take() && cfg!(target_arch = "wasm32") {
            self.buffer.unmap();
        }
    }
}

/// Makes a buffer from its name, its bytes and its uses: `Gpu::buffer`, or what only counts them.
pub(super) type Make<'a, B> = &'a mut dyn FnMut(&str, u64, BufferUsages) -> Result<B>;

/// Bytes that a buffer of at least `bytes` bytes really has.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.max(16).saturating_add(15) / 16 * 16
}

impl Gpu {
    /// Most bytes of one storage buffer.
    pub(super) fn max_storage_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// A zeroed buffer of at least `bytes` bytes.
    pub(super) fn buffer(&self, what: &str, bytes: u64, usage: BufferUsages) -> Result<GpuBuffer> {
        let size = padded(bytes);
        let storage = usage.contains(BufferUsages::STORAGE);
        let limit = if storage { self.max_storage_bytes() } else { self.limits.max_buffer_size };
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
        self.allocate(what, bytes, size <= limit, || GpuBuffer(self.device.create_buffer(&descriptor)))
    }

    /// What `make` makes of the device's memory; an error where it does not fit its limits or what is left.
    pub(super) fn allocate<T>(&self, what: &str, bytes: u64, fits: bool, make: impl FnOnce() -> T) -> Result<T> {
        let refused = || Error::OutOfMemory { what: what.into(), bytes };
        if !fits {
            return Err(refused());
        }
        self.check()?;
        let made = self.scoped(make).ok_or_else(refused)?;
        self.health.check(what, bytes)?;
        Ok(made)
    }

    /// Browsers answer an error scope later; there the uncaptured-error callback reports, and the next run returns it.
    #[cfg(target_arch = "wasm32")]
    fn scoped<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        Some(make())
    }

    /// `None` where memory is short. Natively a scope's answer is there at once.
    #[cfg(not(target_arch = "wasm32"))]
    fn scoped<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        use std::future::Future as _;
        use std::task::{Context, Poll, Waker};
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        let answer = std::pin::pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop()));
        if matches!(answer, Poll::Ready(None)) { Some(made) } else { None }
    }
}
