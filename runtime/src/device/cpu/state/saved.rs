//! A state's contents: saved, loaded, and given to another state.

use super::CpuState;
use crate::device::Held;
use crate::device::record::reserve;
use crate::error::Result;
use crate::graph::Mask;

impl CpuState {
    pub(super) fn save_to(&self, held: &Held, out: &mut Vec<u8>) -> Result<()> {
        let plan = &self.weights.plan;
        let bytes = held.bytes(plan, self.options.kv);
        reserve(out, bytes)?;
        let before = out.len();
        out.resize(before + bytes, 0);
        let mut rest = &mut out[before..];
        for section in held.sections(plan, self.options.kv) {
            let (bytes, after) = rest.split_at_mut(section.bytes());
            self.caches[section.layer].save(&section, bytes);
            rest = after;
        }
        let states = self.states.now.iter().flatten();
        rest.chunks_exact_mut(4).zip(states).for_each(|(bytes, x)| bytes.copy_from_slice(&x.to_le_bytes()));
        Ok(())
    }

    pub(super) fn load_from(&mut self, held: &Held, saved: &[u8]) {
        let mut rest = saved;
        for section in held.sections(&self.weights.plan, self.options.kv) {
            let (bytes, after) = rest.split_at(section.bytes());
            self.caches[section.layer].load(&section, bytes);
            rest = after;
        }
        let states = self.states.now.iter_mut().flatten();
        rest.chunks_exact(4).zip(states).for_each(|(b, x)| *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        self.encoded = held.source;
    }

    pub(super) fn copied(&self, written: usize) -> Result<Self> {
        let mut other = Self::new(self.weights.clone(), &self.options)?;
        let layers = self.weights.plan.layers.iter();
        for ((to, from), layer) in other.caches.iter_mut().zip(&self.caches).zip(layers) {
            let used = match layer.mask {
                Mask::Causal => written,
                Mask::Cross => self.encoded,
                Mask::Full => 0,
            };
            to.copy_from(from, used);
        }
        other.states.clone_from(&self.states);
        other.encoded = self.encoded;
        Ok(other)
    }
}
