//! One layer's keys and values: a ring of positions for each key/value head.

use half::f16;

use super::memory::{Parts, zeroed};
use crate::device::{KvType, StateOptions, kv_capacity};
use crate::error::Result;
use crate::graph::AttentionPlan;

/// An element type of the cache.
pub(super) trait Element: Copy + Send + Sync + bytemuck::Zeroable {
    fn to_f32(self) -> f32;
    fn from_f32(x: f32) -> Self;
}

impl Element for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(x: f32) -> Self {
        x
    }
}

impl Element for f16 {
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn from_f32(x: f32) -> Self {
        f16::from_f32(x)
    }
}

/// Keys and values, each [kv_heads][capacity][head_dim], position p at p % capacity.
pub(super) struct Ring<E> {
    pub(super) keys: Vec<E>,
    pub(super) values: Vec<E>,
    pub(super) capacity: usize,
    pub(super) head_dim: usize,
}

impl<E: Element> Ring<E> {
    fn new(plan: &AttentionPlan, options: &StateOptions) -> Result<Self> {
        let capacity = kv_capacity(plan.window, options);
        let dims = [plan.kv_heads, capacity, plan.head_dim];
        let (keys, values) = (zeroed("the KV cache", &dims)?, zeroed("the KV cache", &dims)?);
        Ok(Self { keys, values, capacity, head_dim: plan.head_dim })
    }

    /// The keys of one head, [capacity][head_dim].
    pub(super) fn head_keys(&self, kv_head: usize) -> &[E] {
        let len = self.capacity * self.head_dim;
        &self.keys[kv_head * len..][..len]
    }

    /// The values of one head, [capacity][head_dim].
    pub(super) fn head_values(&self, kv_head: usize) -> &[E] {
        let len = self.capacity * self.head_dim;
        &self.values[kv_head * len..][..len]
    }

    fn writer(&mut self) -> Writer<'_, E> {
        let (capacity, head_dim) = (self.capacity, self.head_dim);
        Writer { keys: Parts::new(&mut self.keys), values: Parts::new(&mut self.values), capacity, head_dim }
    }
}

/// Lets threads store different positions at once.
pub(super) struct Writer<'a, E> {
    keys: Parts<'a, E>,
    values: Parts<'a, E>,
    capacity: usize,
    head_dim: usize,
}

impl<E: Element> Writer<'_, E> {
    /// # Safety
    /// No two threads may store the same head and position modulo the capacity at once.
    unsafe fn store(&self, kv_head: usize, pos: usize, key: &[f32], value: &[f32]) {
        let at = (kv_head * self.capacity + pos % self.capacity) * self.head_dim;
        // SAFETY: the caller's promise keeps parts apart.
        let (keys, values) = unsafe { (self.keys.part(at, self.head_dim), self.values.part(at, self.head_dim)) };
        keys.iter_mut().zip(key).for_each(|(to, &x)| *to = E::from_f32(x));
        values.iter_mut().zip(value).for_each(|(to, &x)| *to = E::from_f32(x));
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
            Cache::F16(ring) => 4 * ring.keys.len() as u64,
            Cache::F32(ring) => 8 * ring.keys.len() as u64,
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
