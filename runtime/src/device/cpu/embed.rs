//! Reference: a row of the embedding table.

use crate::quant::Format;

/// out = scale * row, where `row` holds one encoded row of the table.
pub(super) fn embed(format: &dyn Format, row: &[u8], scale: f32, out: &mut [f32]) {
    format.dequantize(row, out);
    out.iter_mut().for_each(|y| *y *= scale);
}
