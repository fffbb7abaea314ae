//! Lowers the inputs that layers have of their own.

use super::Lowering;
use crate::arch::{Norms, PerLayerBlock, PerLayerSpec};
use crate::error::Result;
use crate::graph::{BufId, Columns, Lookup, Op};

impl Lowering<'_, '_> {
    /// Every layer's share, side by side.
    pub(super) fn layer_inputs(&mut self, spec: &PerLayerSpec, hidden: BufId) -> Result<BufId> {
        let parts = spec.projection.outputs / spec.width;
        let shares = self.matmul(std::slice::from_ref(&spec.projection), hidden)?;
        let scale = |x, factor| Op::Scale { x, factor, by: None, cap: None };
        // the norm undoes this factor, but for its epsilon
        self.ops.push(scale(shares, 1.0 / (self.spec.n_embd as f32).sqrt()));
        self.norm_part(shares, (0, spec.width, parts), Some(&spec.norm))?;
        self.lookup(&spec.table, Lookup::Token, (spec.width as f32).sqrt(), true, shares)?;
        self.ops.push(scale(shares, std::f32::consts::FRAC_1_SQRT_2));
        Ok(shares)
    }

    /// Adds what a layer makes of its share.
    pub(super) fn add_share(&mut self, spec: &PerLayerBlock, i: usize, shares: BufId, hidden: BufId) -> Result<BufId> {
        let width = spec.gate.outputs;
        let gate = self.matmul(std::slice::from_ref(&spec.gate), hidden)?;
        let (both, units) = (self.buffer(2 * width), self.buffer(width));
        self.take(gate, Columns::run(0, width), width, both, Columns::run(0, width));
        self.take(shares, Columns::run(i * width, width), width, both, Columns::run(width, width));
        self.ops.push(Op::Activate { parts: 1, x: both, activation: spec.activation, gated: true, out: units });
        let norms = Norms { output: Some(spec.norm.clone()), ..Norms::default() };
        self.residual(&spec.output, &norms, units, hidden)
    }
}
