//! One layer's keys and values: a ring of positions for each key/value head.

use half::f16;

use super::memory::{Parts, zeroed};
use super::simd::Simd;
use crate::device::{KvType, StateOptions, kv_capacity};
use crate::error::Result;
use crate::graph::AttentionPlan;

/// Keys of so many positions lie side by side, so that a vector holds one dimension of as many positions.
pub(super) const KEYS: usize = 16;
/// Values are padded to a multiple of so many dimensions.
const DIMS: usize = 16;

/// An element type of the cache.
pub(super) trait Element: Copy + Send + Sync + bytemuck::Zeroable {
    fn to_f32(self) -> f32;
    fn from_f32(x: f32) -> Self;
    /// The first `S::LANES` elements.
    fn load<S: Simd>(s: S, x: &[Self]) -> S::F;
}

impl Element for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(x: f32) -> Self {
        x
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32]) -> S::F {
        s.load(x)
    }
}

impl Element for f16 {
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn from_f32(x: f32) -> Self {
        f16::from_f32(x)
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f16]) -> S::F {
        s.load_half(x)
    }
}

/// Keys [kv_heads][capacity / KEYS][head_dim][KEYS] and values [kv_heads][capacity][value_width]; position p lies in slot
/// p % capacity.
pub(super) struct Ring<E> {
    keys: Vec<E>,
    values: Vec<E>,
    /// A multiple of `KEYS`.
    pub(super) capacity: usize,
    pub(super) head_dim: usize,
    /// `head_dim` and padding, which is zero.
    pub(super) value_width: usize,
}

impl<E: Element> Ring<E> {
    fn new(plan: &AttentionPlan, options: &StateOptions) -> Result<Self> {
        let capacity = kv_capacity(plan.window, options).div_ceil(KEYS).saturating_mul(KEYS);
        let value_width = plan.head_dim.next_multiple_of(DIMS);
        let keys = zeroed("the KV cache", &[plan.kv_heads, capacity, plan.head_dim])?;
        let values = zeroed("the KV cache", &[plan.kv_heads, capacity, value_width])?;
        Ok(Self { keys, values, capacity, head_dim: plan.head_dim, value_width })
    }

    /// The keys of `KEYS` positions from `pos` (a multiple of it) on, [head_dim][KEYS].
    #[inline(always)]
    pub(super) fn key_block(&self, kv_head: usize, pos: usize) -> &[E] {
        let slot = pos % self.capacity;
        &self.keys[(kv_head * self.capacity + slot) * self.head_dim..][..KEYS * self.head_dim]
    }

    /// The values of one head, [capacity][value_width].
    #[inline(always)]
    pub(super) fn head_values(&self, kv_head: usize) -> &[E] {
        let len = self.capacity * self.value_width;
        &self.values[kv_head * len..][..len]
    }

    fn writer(&mut self) -> Writer<'_, E> {
        let (capacity, head_dim, value_width) = (self.capacity, self.head_dim, self.value_width);
        Writer {
            keys: Parts::new(&mut self.keys),
            values: Parts::new(&mut self.values),
            capacity,
            head_dim,
            value_width,
        }
    }
}

/// Lets threads store different positions at once.
pub(super) struct Writer<'a, E> {
    keys: Parts<'a, E>,
    values: Parts<'a, E>,
    capacity: usize,
    head_dim: usize,
    value_width: usize,
}

impl<E: Element> Writer<'_, E> {
    /// # Safety
    /// No two threads may store the same head and position modulo the capacity at once.
    unsafe fn store(&self, kv_head: usize, pos: usize, key: &[f32], value: &[f32]) {
        let slot = pos % self.capacity;
        let block = (kv_head * self.capacity + slot / KEYS * KEYS) * self.head_dim + slot % KEYS;
        let row = (kv_head * self.capacity + slot) * self.value_width;
        for i in 0..self.head_dim {
            // SAFETY: the caller's promise keeps threads apart.
            unsafe {
                self.keys.set(block + i * KEYS, E::from_f32(key[i]));
                self.values.set(row + i, E::from_f32(value[i]));
            }
        }
    }
}

/// A layer's cache of either element type.
pub(super) enum Cache {
    F16(Ring<f16>),
    F32(Ring<f32>),
}

/// `Writer` of either element type.
pub(super) enum CacheWriter<'a> {
    F16(Writer<'a, f16>),
    F32(Writer<'a, f32>),
}

impl Cache {
    pub(super) fn new(plan: &AttentionPlan, options: &StateOptions) -> Result<Self> {
        Ok(match options.kv {
            KvType::F16 => Cache::F16(Ring::new(plan, options)?),
            KvType::F32 => Cache::F32(Ring::new(plan, options)?),
        })
    }

    pub(super) fn writer(&mut self) -> CacheWriter<'_> {
        match self {
            Cache::F16(ring) => CacheWriter::F16(ring.writer()),
            Cache::F32(ring) => CacheWriter::F32(ring.writer()),
        }
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Cache::F16(ring) => (size_of_val(&ring.keys[..]) + size_of_val(&ring.values[..])) as u64,
            Cache::F32(ring) => (size_of_val(&ring.keys[..]) + size_of_val(&ring.values[..])) as u64,
        }
    }
}

impl CacheWriter<'_> {
    /// Stores the key and value of one head at a position.
    ///
    /// # Safety
    /// No two threads may store the same head and position modulo the capacity at once.
    pub(super) unsafe fn store(&self, kv_head: usize, pos: usize, key: &[f32], value: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                CacheWriter::F16(writer) => writer.store(kv_head, pos, key, value),
                CacheWriter::F32(writer) => writer.store(kv_head, pos, key, value),
            }
        }
    }
}
