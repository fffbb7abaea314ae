//! Copies columns of one row, for every level.

use crate::graph::Columns;

pub(super) fn take(x: &[f32], from: &Columns, n: usize, out: &mut [f32], to: &Columns) {
    // as many as are neighbours on both sides
    let run = if from.len == to.len { from.len } else { 1 };
    for i in (0..n).step_by(run) {
        let len = run.min(n - i);
        out[to.at(i)..][..len].copy_from_slice(&x[from.at(i)..][..len]);
    }
}
