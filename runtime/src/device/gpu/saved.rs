//! A state's contents: saved, loaded, and given to another state.

use std::ops::Range;

use super::memory::{GpuBuffer, Readback};
use super::state::{Cache, GpuState};
use crate::device::record::{Section, reserve};
use crate::device::{Held, KvType};
use crate::error::Result;
use crate::graph::Mask;

/// Positions whose keys lie together, word by word.
const TOGETHER: usize = 8;
/// Most bytes that are read at a time.
const CHUNK: u64 = 16 << 20;

/// Where a section's records lie in its buffer (`shaders/wgsl/shared/cache.wgsl`).
struct Layout {
    capacity: usize,
    /// Slots of each head.
    slots: usize,
    /// Slots that hold something, from the first on.
    used: usize,
    /// Bytes of a word: two elements of float32, or 32 bits.
    word: usize,
    record: usize,
    values: bool,
}

impl Layout {
    fn new(section: &Section, cache: &Cache, kv: KvType) -> Self {
        let (capacity, slots) = (cache.capacity as usize, cache.slots as usize);
        let used = section.positions.end.next_multiple_of(TOGETHER).min(slots);
        let word = if kv == KvType::F32 { 8 } else { 4 };
        Self { capacity, slots, used, word, record: section.record, values: section.values }
    }

    /// The bytes of a head that are used.
    fn of_head(&self, head: usize) -> Range<u64> {
        let (first, len) = (head * self.slots * self.record, self.used * self.record);
        first as u64..(first + len) as u64
    }

    /// Where the words of a position's record lie among its head's bytes.
    fn words(&self, pos: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (slot, word, record) = (pos % self.capacity, self.word, self.record);
        let (first, step) = match self.values {
            true => (slot * record, word),
            false => (slot / TOGETHER * TOGETHER * record + slot % TOGETHER * word, TOGETHER * word),
        };
        (0..record / word).map(move |w| first + w * step..first + w * step + word)
    }
}

impl GpuState {
    fn buffer(&self, section: &Section) -> (&GpuBuffer, Layout) {
        let cache = &self.buffers.caches[section.layer];
        let layout = Layout::new(section, cache, self.options.kv);
        (if section.values { &cache.values } else { &cache.keys }, layout)
    }

    pub(super) async fn save_to(&mut self, held: &Held, out: &mut Vec<u8>) -> Result<()> {
        let plan = self.weights.plan.clone();
        reserve(out, held.bytes(&plan, self.options.kv))?;
        for section in held.sections(&plan, self.options.kv) {
            let (buffer, layout) = self.buffer(&section);
            for head in 0..section.kv_heads {
                let bytes = self.bytes_of(buffer, layout.of_head(head)).await?;
                for pos in section.positions.clone() {
                    let start = out.len();
                    layout.words(pos).for_each(|word| out.extend_from_slice(&bytes[word]));
                    self.options.kv.clear_padding(section.head_dim, &mut out[start..]);
                }
            }
        }
        for (state, &len) in self.buffers.states.iter().zip(&plan.states) {
            out.extend(self.bytes_of(state, 0..4 * len as u64).await?);
        }
        Ok(())
    }

    /// Some bytes of a buffer, whole words.
    async fn bytes_of(&self, buffer: &GpuBuffer, range: Range<u64>) -> Result<Vec<u8>> {
        let gpu = &self.weights.gpu;
        let len = range.end - range.start;
        let mut bytes = Vec::new();
        reserve(&mut bytes, len as usize)?;
        let mut make = |what: &str, bytes: u64, usage: wgpu::BufferUsages| gpu.buffer(what, bytes, usage);
        let readback = Readback::new(&mut make, "a saved session", len.min(CHUNK) as usize)?;
        let mut at = range.start;
        while at < range.end {
            let some = CHUNK.min(range.end - at);
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, at, &readback.buffer, 0, some);
            gpu.queue.submit([encoder.finish()]);
            gpu.read(&readback, some, None, |part| bytes.extend_from_slice(part)).await?;
            at += some;
        }
        Ok(bytes)
    }

    pub(super) fn load_from(&mut self, held: &Held, saved: &[u8]) -> Result<()> {
        let (gpu, plan) = (&self.weights.gpu, &self.weights.plan);
        gpu.check()?;
        let mut rest = saved;
        for section in held.sections(plan, self.options.kv) {
            let (buffer, layout) = self.buffer(&section);
            for head in 0..section.kv_heads {
                let (place, mut bytes) = (layout.of_head(head), Vec::new());
                let len = (place.end - place.start) as usize;
                reserve(&mut bytes, len)?;
                bytes.resize(len, 0);
                // a shorter ring keeps the last positions, which come last
                for word in section.positions.clone().flat_map(|pos| layout.words(pos)) {
                    let (from, after) = rest.split_at(word.len());
                    bytes[word].copy_from_slice(from);
                    rest = after;
                }
                gpu.queue.write_buffer(buffer, place.start, &bytes);
            }
        }
        for (state, &len) in self.buffers.states.iter().zip(&plan.states) {
            let (from, after) = rest.split_at(4 * len);
            gpu.queue.write_buffer(state, 0, from);
            rest = after;
        }
        self.encoded = held.source as u32;
        gpu.check()
    }

    pub(super) fn copied(&self, written: usize) -> Result<Self> {
        let mut other = Self::new(self.weights.clone(), &self.options)?;
        let (from, to) = (&self.buffers, &other.buffers);
        let layers = self.weights.plan.layers.iter().map(|layer| layer.mask);
        for ((from, to), mask) in from.caches.iter().zip(&to.caches).zip(layers) {
            if mask != Mask::Full && written.max(self.encoded as usize) > 0 {
                self.copy(std::slice::from_ref(&from.keys), std::slice::from_ref(&to.keys));
                self.copy(std::slice::from_ref(&from.values), std::slice::from_ref(&to.values));
            }
        }
        self.copy(&from.states, &to.states);
        from.copies.iter().zip(&to.copies).for_each(|(from, to)| self.copy(from, to));
        other.encoded = self.encoded;
        Ok(other)
    }
}
