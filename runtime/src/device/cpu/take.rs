//! Copies columns of one row, for every level.

use crate::graph::Columns;

pub(super) fn take(x: &[f32], columns: &Columns, out: &mut [f32]) {
    for (i, out) in out.chunks_mut(columns.len).enumerate() {
        out.copy_from_slice(&x[columns.first + i * columns.step..][..out.len()]);
    }
}
