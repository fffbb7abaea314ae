//! What a session's state holds, in a form that every device can write and read.
//!
//! For each layer with keys of its own, the keys [kv_heads][positions] and then the values likewise, each a record; then the
//! recurrent states as float32. A record is a head's elements, the first in the lowest bits, in whole words of 32 bits, and then the
//! scales of its groups as f16, again in whole words. Everything is little-endian. Elements of integer types are stored with an
//! offset: 128 more than the weight of a Q8_0 block, 8 more than that of a Q4_0 block.

use std::ops::Range;

use super::{KV_GROUP, KvType};
use crate::error::{Error, Result};
use crate::graph::Plan;

/// How much of a session's memory holds something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// The positions in each layer's cache, empty where it has none of its own.
    pub positions: Vec<Range<usize>>,
    /// Tokens that the encoder has read.
    pub source: usize,
}

/// The keys or the values of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) layer: usize,
    pub(crate) values: bool,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) positions: Range<usize>,
    /// Bytes of a head's key or value.
    pub(crate) record: usize,
}

impl Section {
    pub(crate) fn bytes(&self) -> usize {
        self.kv_heads * self.positions.len() * self.record
    }

    /// Each record's head, position and place among the section's bytes.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, usize, Range<usize>)> + '_ {
        let places = (0..self.kv_heads).flat_map(|head| self.positions.clone().map(move |pos| (head, pos)));
        places.enumerate().map(|(i, (head, pos))| (head, pos, i * self.record..(i + 1) * self.record))
    }
}

impl Held {
    /// What a state's bytes consist of, before its recurrent states.
    pub(crate) fn sections(&self, plan: &Plan, kv: KvType) -> Vec<Section> {
        let layers = plan.layers.iter().zip(&self.positions).enumerate().filter(|(_, (_, held))| !held.is_empty());
        let parts = layers.flat_map(|(i, (layer, held))| {
            let section = move |values| Section {
                layer: i,
                values,
                kv_heads: layer.kv_heads,
                head_dim: layer.head_dim,
                positions: held.clone(),
                record: kv.record_bytes(layer.head_dim),
            };
            [Some(section(false)), (!layer.keys_only).then(|| section(true))].into_iter().flatten()
        });
        parts.collect()
    }

    /// Bytes of a state.
    pub(crate) fn bytes(&self, plan: &Plan, kv: KvType) -> usize {
        let caches: usize = self.sections(plan, kv).iter().map(Section::bytes).sum();
        caches + 4 * plan.states.iter().sum::<usize>()
    }
}

impl KvType {
    /// Bits of an element.
    fn bits(self) -> usize {
        match self {
            KvType::F32 => 32,
            KvType::F16 => 16,
            KvType::Q8_0 => 8,
            KvType::Q4_0 => 4,
        }
    }

    /// Scales of a record.
    fn groups(self, head_dim: usize) -> usize {
        match self {
            KvType::F16 | KvType::F32 => 0,
            KvType::Q8_0 | KvType::Q4_0 => head_dim.div_ceil(KV_GROUP),
        }
    }

    /// Bytes of the elements of a record.
    fn element_bytes(self, head_dim: usize) -> usize {
        (head_dim * self.bits()).div_ceil(32) * 4
    }

    /// Bytes of a record: a head's key or value.
    pub(crate) fn record_bytes(self, head_dim: usize) -> usize {
        self.element_bytes(head_dim) + 4 * self.groups(head_dim).div_ceil(2)
    }

    /// Clears what fills the last words of a record: a GPU has anything there.
    #[cfg(feature = "gpu")]
    pub(crate) fn clear_padding(self, head_dim: usize, record: &mut [u8]) {
        let (elements, scales) = record.split_at_mut(self.element_bytes(head_dim));
        elements[(head_dim * self.bits()).div_ceil(8)..].fill(0);
        scales[2 * self.groups(head_dim)..].fill(0);
    }
}

/// Makes room for so many more bytes.
pub(crate) fn reserve(out: &mut Vec<u8>, bytes: usize) -> Result<()> {
    let failed = |_| Error::OutOfMemory { what: "a saved session".into(), bytes: bytes as u64 };
    out.try_reserve_exact(bytes).map_err(failed)
}
