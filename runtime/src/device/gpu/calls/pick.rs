//! The calls that pick tokens from a row's logits.

use super::{Builder, Call, WIDTH};
use crate::device::gpu::loader::GpuWeights;
use crate::device::gpu::pipeline::Slice;
use crate::device::gpu::products::Form;
use crate::device::gpu::program::{Grid, stride};
use crate::device::gpu::state::Buffers;

/// Logits of a block: `4 * QUADS` of `shaders/wgsl/shared/order.wgsl`.
const BLOCK: usize = 64;

/// Blocks of a row of logits.
pub(in crate::device::gpu) fn blocks(n_vocab: usize) -> usize {
    stride(n_vocab).div_ceil(BLOCK)
}

/// The calls that follow the head's.
pub(in crate::device::gpu) fn calls(weights: &GpuWeights, buffers: &Buffers) -> Vec<Call> {
    let mut builder = Builder { weights, buffers, head: true, form: Form::One, calls: Vec::new() };
    let plan = builder.plan();
    let blocks = blocks(plan.n_vocab) as u32;
    let fields = [("n", plan.n_vocab as u32), ("blocks", blocks)];
    let mut bound = vec![("logits", builder.slice(plan.logits)), ("tops", Slice::whole(&buffers.tops))];
    builder.call("block_tops", &fields, &bound, Grid::One(blocks.div_ceil(WIDTH)));
    bound.push(("picked", Slice::whole(&buffers.picked)));
    builder.call("pick", &fields, &bound, Grid::One(1));
    builder.calls
}
