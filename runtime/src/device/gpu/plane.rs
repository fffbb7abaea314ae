//! A plane of weights: a buffer or, where kernels load texels faster than words, a texture.

use bytemuck::NoUninit;
use wgpu::{TextureFormat, TextureUsages};

use super::Gpu;
use super::memory::{GpuBuffer, STORAGE, padded};
use super::pipeline::Slice;
use crate::error::Result;

/// Bytes of a texture's row, as `shaders/wgsl/shared/planes.wgsl` and `scales.wgsl` have it.
const ROW_BYTES: usize = 16 << 10;
/// Bytes of four rows: textures are that many at a time, as lavapipe allocates them, so that what they take is known.
const ROWS_BYTES: u64 = 4 * ROW_BYTES as u64;

/// A list of texels: words or quadruples of them.
pub(super) enum Plane {
    Buffer(GpuBuffer),
    /// They go row after row.
    Texture(GpuTexture),
}

/// A texture whose memory is freed on drop.
pub(super) struct GpuTexture(wgpu::Texture);

impl Drop for GpuTexture {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

/// Bytes that a plane of at least `bytes` bytes really has.
pub(super) fn plane_bytes(bytes: u64, texture: bool) -> u64 {
    if texture { bytes.max(1).div_ceil(ROWS_BYTES).saturating_mul(ROWS_BYTES) } else { padded(bytes) }
}

/// Most bytes of one texture.
pub(super) fn max_texture_bytes(limits: &wgpu::Limits) -> u64 {
    ROW_BYTES as u64 * u64::from(limits.max_texture_dimension_2d)
}

/// The format of texels of one word or of four.
pub(super) fn texel_format(words: usize) -> TextureFormat {
    if words == 4 { TextureFormat::Rgba32Uint } else { TextureFormat::R32Uint }
}

impl Plane {
    /// Zeroes, at least `bytes` bytes of texels of type `T`.
    pub(super) fn new<T: NoUninit>(gpu: &Gpu, what: &str, bytes: u64, texture: bool) -> Result<Self> {
        if !texture {
            return Ok(Self::Buffer(gpu.buffer(what, bytes, STORAGE)?));
        }
        let size = plane_bytes(bytes, true);
        let width = (ROW_BYTES / size_of::<T>()) as u32;
        let height = (size / ROW_BYTES as u64) as u32;
        let descriptor = wgpu::TextureDescriptor {
            label: Some(what),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: texel_format(size_of::<T>() / 4),
            usage: TextureUsages::STORAGE_BINDING | TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let fits = size <= max_texture_bytes(&gpu.limits);
        let texture = gpu.allocate(what, bytes, fits, || GpuTexture(gpu.device.create_texture(&descriptor)))?;
        Ok(Self::Texture(texture))
    }

    /// Bytes of all its texels, padding included.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Buffer(buffer) => buffer.size(),
            Self::Texture(texture) => u64::from(texture.0.height()) * ROW_BYTES as u64,
        }
    }

    /// What kernels are bound to.
    pub(super) fn slice(&self) -> Slice {
        match self {
            Self::Buffer(buffer) => Slice::whole(buffer),
            Self::Texture(texture) => Slice::Texture(texture.0.create_view(&Default::default())),
        }
    }

    /// Writes texels `first..`.
    pub(super) fn write<T: NoUninit>(&self, queue: &wgpu::Queue, first: usize, texels: &[T]) {
        match self {
            Self::Buffer(buffer) => {
                queue.write_buffer(buffer, (first * size_of::<T>()) as u64, bytemuck::cast_slice(texels));
            }
            Self::Texture(texture) => texture.write(queue, first, texels),
        }
    }
}

impl GpuTexture {
    fn write<T: NoUninit>(&self, queue: &wgpu::Queue, first: usize, texels: &[T]) {
        let mut rest = texels;
        for Rectangle { x, y, width, height } in rectangles(first, texels.len(), ROW_BYTES / size_of::<T>()) {
            let (part, others) = rest.split_at(width * height);
            rest = others;
            let origin = wgpu::Origin3d { x: x as u32, y: y as u32, z: 0 };
            let to = wgpu::TexelCopyTextureInfo { origin, ..self.0.as_image_copy() };
            let bytes_per_row = Some((width * size_of::<T>()) as u32);
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None };
            let size = wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 };
            queue.write_texture(to, bytemuck::cast_slice(part), layout, size);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Rectangle {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// What texels `first..first + n` fill in rows of `row`: the rest of a row, whole rows, the start of a last one.
fn rectangles(first: usize, n: usize, row: usize) -> impl Iterator<Item = Rectangle> {
    let (mut at, end) = (first, first + n);
    std::iter::from_fn(move || {
        let (x, y, left) = (at % row, at / row, end - at);
        let width = left.min(row - x);
        let height = if width == row { left / row } else { 1 };
        at += width * height;
        (left > 0).then_some(Rectangle { x, y, width, height })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_hold_each_texel_once_and_in_order() {
        let row = 8;
        for (first, n, count) in [(0, 0, 0), (3, 2, 1), (3, 5, 1), (3, 6, 2), (0, 24, 1), (5, 30, 3), (0, 20, 2)] {
            let found: Vec<Rectangle> = rectangles(first, n, row).collect();
            assert_eq!(found.len(), count, "{first}, {n}: {found:?}");
            let rows = found.iter().flat_map(|r| (r.y..r.y + r.height).map(move |y| (y * row + r.x, r.width)));
            let texels: Vec<usize> = rows.flat_map(|(start, width)| start..start + width).collect();
            assert!(texels.into_iter().eq(first..first + n), "{first}, {n}: {found:?}");
        }
    }

    #[test]
    fn textures_are_whole_rows() {
        for (bytes, rows) in [(0, 4), (1, 4), (64 << 10, 4), ((64 << 10) + 1, 8)] {
            assert_eq!(plane_bytes(bytes, true), rows * ROW_BYTES as u64);
            assert_eq!(plane_bytes(bytes, false), padded(bytes));
        }
    }
}
