//! Reference: matrix times vectors, and what every matrix kernel is called with.

use std::ops::Range;

use super::kernels::{Decoder, Scratch};
use super::memory::Parts;
use super::simd::Acts;

/// One matrix applied to the rows of a batch: out[t] = W x[t] + bias (+ out[t]).
pub(super) struct MatMul<'a> {
    /// Decodes its rows.
    pub(super) decode: Decoder,
    /// Encoded rows of the matrix.
    pub(super) weight: &'a [u8],
    /// Bytes of each.
    pub(super) row_bytes: usize,
    /// Elements of each.
    pub(super) cols: usize,
    /// One per row of the matrix.
    pub(super) bias: Option<&'a [f32]>,
    /// Input, [n][cols].
    pub(super) x: &'a [f32],
    /// The same in 8 bits, for kernels that want it so: from row `from` on.
    pub(super) acts: &'a Acts,
    pub(super) from: usize,
    /// Rows of the batch.
    pub(super) n: usize,
    /// Output, [n][stride].
    pub(super) out: Parts<'a, f32>,
    /// Width of the output buffer.
    pub(super) stride: usize,
    /// Column of the output buffer where this matrix's outputs begin.
    pub(super) column: usize,
    /// Whether to add to what the output holds.
    pub(super) accumulate: bool,
    /// Which row of the output each row of the batch makes; by default its own.
    pub(super) to: Option<&'a [u32]>,
}

/// Computes some rows of the matrix for the whole batch.
pub(super) type MatMulKernel = fn(&MatMul<'_>, Range<usize>, &mut Scratch);

impl<'a> MatMul<'a> {
    /// Encoded row `r` of the matrix.
    #[inline(always)]
    pub(super) fn row(&self, r: usize) -> &'a [u8] {
        &self.weight[r * self.row_bytes..][..self.row_bytes]
    }

    /// Finishes W x for the rows `first..` of the matrix and row `t` of the batch.
    #[inline(always)]
    pub(super) fn put(&self, t: usize, first: usize, y: &[f32]) {
        let row = self.to.map_or(t, |to| to[t] as usize);
        // SAFETY: each row of the matrix is computed by one thread, and its outputs belong to no other row.
        let out = unsafe { self.out.part(row * self.stride + self.column + first, y.len()) };
        for i in 0..y.len() {
            let old = if self.accumulate { out[i] } else { 0.0 };
            out[i] = y[i] + self.bias.map_or(0.0, |bias| bias[first + i]) + old;
        }
    }
}

/// w . x
pub(super) fn dot(w: &[f32], x: &[f32]) -> f32 {
    w.iter().zip(x).map(|(w, x)| w * x).sum()
}

/// The reference kernel.
pub(super) fn mat_mul(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    let w = &mut scratch.row[..m.cols];
    for r in rows {
        (m.decode)(m.row(r), w);
        for t in 0..m.n {
            m.put(t, r, &[dot(w, &m.x[t * m.cols..][..m.cols])]);
        }
    }
}
