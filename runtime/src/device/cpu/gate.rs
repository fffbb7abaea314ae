//! Gate of one row, for every level.

use crate::graph::Columns;

pub(super) fn gate(gates: &[f32], columns: &Columns, sigmoid: bool, x: &mut [f32]) {
    with_exp(gates, columns, sigmoid, x, f32::exp);
}

/// x = x * sigmoid(g), or x * g * sigmoid(g), run by run.
#[inline(always)]
pub(super) fn with_exp(
    gates: &[f32],
    columns: &Columns,
    sigmoid: bool,
    x: &mut [f32],
    exp: impl Fn(f32) -> f32 + Copy,
) {
    for (i, x) in x.chunks_mut(columns.len).enumerate() {
        let gates = &gates[columns.first + i * columns.step..][..x.len()];
        let pairs = x.iter_mut().zip(gates);
        match sigmoid {
            true => pairs.for_each(|(x, g)| *x /= 1.0 + exp(-*g)),
            false => pairs.for_each(|(x, g)| *x *= *g / (1.0 + exp(-*g))),
        }
    }
}
