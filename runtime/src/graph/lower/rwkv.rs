//! Lowers RWKV's halves of a block: time mixing, and a feed-forward layer that reads a step towards the row before.

use super::{Lowering, Units};
use crate::arch::{Activation, BranchSpec, FfnSpec, LerpSpec, LinearSpec, NormKind, ShiftSpec, TimeMixSpec};
use crate::error::Result;
use crate::graph::{BufId, Columns, Lerp, NormPart, Op, Shift, Wkv};

/// Epsilon of the norm of heads, as all of RWKV's models have it.
const HEAD_EPS: f32 = 64e-5;

/// What steps are made of: a row, the one before it, and addends for their factors.
#[derive(Clone, Copy)]
struct Steps {
    x: BufId,
    before: BufId,
    mixes: Option<BufId>,
}

impl Lowering<'_, '_> {
    pub(super) fn time_mix(&mut self, spec: &TimeMixSpec, x: BufId) -> Result<BufId> {
        let n = self.spec.n_embd;
        let plain = Steps { x, before: self.shift(x), mixes: None };
        let mixes = spec.mix.as_ref().map(|mix| self.mixes(mix, plain)).transpose()?;
        let steps = Steps { mixes, ..plain };
        let (r, k) = (self.branch(&spec.receptance, steps)?, self.branch(&spec.key, steps)?);
        let v = self.values(spec, steps)?;
        let w = self.branch(&spec.decay, steps)?;
        let (gates, delta) = match &spec.delta {
            None => (w, None),
            Some(delta) => {
                let a = self.branch(&delta.rate, steps)?;
                let [k_k, k_a] = &delta.keys;
                (self.beside(w, a), Some([self.weights.vector(k_k)?, self.weights.vector(k_a)?]))
            }
        };
        let (bonus, heads, state) = (self.weights.vector(&spec.bonus)?, spec.heads, self.state(n * (n / spec.heads)));
        let out = self.buffer(if delta.is_some() { 2 * n } else { n });
        self.ops.push(Op::Wkv(Wkv { r, gates, k, v, bonus, delta, heads, state, out }));
        let (weight, bias) = (self.weights.vector(&spec.norm.weight)?, self.weights.optional(spec.norm.bias.as_ref())?);
        let (kind, first, len, parts) = (NormKind::Layer, 0, n / heads, heads);
        self.ops.push(Op::NormPart(NormPart {
            x: out,
            kind,
            first,
            len,
            parts,
            weight: Some(weight),
            bias,
            eps: HEAD_EPS,
        }));
        let gate = self.branch(&spec.gate, steps)?;
        if delta.is_none() {
            self.gate(out, gate, 0, n);
            return Ok(out);
        }
        // both parts, what the bonus adds being the second, by the same gate
        let both = self.buffer(n);
        let (by_column, sigmoid) = (true, false);
        self.ops.push(Op::Combine { x: out, weights: gate, first: 0, by_column, sigmoid, add: None, out: both });
        Ok(both)
    }

    /// The values; of later layers, mixed with those of the first.
    fn values(&mut self, spec: &TimeMixSpec, steps: Steps) -> Result<BufId> {
        let input = self.step(&spec.value.lerp, steps)?;
        let v = self.project(&spec.value, input)?;
        let Some(delta) = &spec.delta else { return Ok(v) };
        let (Some(mixed), Some(to)) = (&delta.values, self.first_values) else {
            self.first_values = Some(v);
            return Ok(v);
        };
        let factors = self.project(mixed, input)?;
        let by = self.activated(factors, Activation::Sigmoid);
        let out = self.buffer(self.spec.n_embd);
        self.ops.push(Op::Lerp(Lerp { x: v, to, weight: None, by: Some((by, 0)), out }));
        Ok(out)
    }

    /// Addends for the factors of every step, side by side.
    fn mixes(&mut self, (lerp, down, up): &(LerpSpec, LinearSpec, LinearSpec), steps: Steps) -> Result<BufId> {
        let input = self.step(lerp, steps)?;
        let down = self.matmul(std::slice::from_ref(down), input)?;
        let units = self.activated(down, Activation::Tanh);
        let parts = self.buffers[down.0 as usize].width / up.inputs;
        let (weight, out) = (self.weights.matrix(&up.weight)?, self.buffer(parts * up.outputs));
        let (from, to) = (Columns::run(0, up.inputs), Columns::run(0, up.outputs));
        self.ops.push(Op::Heads { weight, x: units, from, out, to });
        Ok(out)
    }

    /// Units of a feed-forward layer that reads a step, and its gate.
    pub(super) fn channel_mix(&mut self, ffn: &FfnSpec, shift: &ShiftSpec, x: BufId) -> Result<Units> {
        let steps = Steps { x, before: self.shift(x), mixes: None };
        let input = self.step(&shift.up, steps)?;
        let own = Some(self.feed_forward(ffn, input)?);
        let gate = shift.gate.as_ref().map(|gate| self.branch(gate, steps)).transpose()?;
        Ok(Units { mixed: None, own, gate })
    }

    fn shift(&mut self, x: BufId) -> BufId {
        let width = self.buffers[x.0 as usize].width;
        let (state, out) = (self.state(width), self.buffer(width));
        self.ops.push(Op::Shift(Shift { x, state, out }));
        out
    }

    fn step(&mut self, spec: &LerpSpec, Steps { x, before, mixes }: Steps) -> Result<BufId> {
        let n = self.spec.n_embd;
        let (weight, out) = (Some((self.weights.vector(&spec.weight)?, spec.first)), self.buffer(n));
        let by = mixes.map(|mixes| (mixes, spec.part * n));
        self.ops.push(Op::Lerp(Lerp { x, to: before, weight, by, out }));
        Ok(out)
    }

    fn branch(&mut self, spec: &BranchSpec, steps: Steps) -> Result<BufId> {
        let input = self.step(&spec.lerp, steps)?;
        self.project(spec, input)
    }

    /// What a branch's matrices make of its step.
    fn project(&mut self, spec: &BranchSpec, mut x: BufId) -> Result<BufId> {
        if let Some((down, activation)) = &spec.down {
            x = self.matmul(std::slice::from_ref(down), x)?;
            x = activation.map_or(x, |activation| self.activated(x, activation));
        }
        self.matmul(std::slice::from_ref(&spec.linear), x)
    }

    fn activated(&mut self, x: BufId, activation: Activation) -> BufId {
        let out = self.buffer(self.buffers[x.0 as usize].width);
        self.ops.push(Op::Activate { parts: 1, x, activation, gated: false, out });
        out
    }
}
