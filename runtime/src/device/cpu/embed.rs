//! Reference: a row of the embedding table.

use super::kernels::Decoder;

/// out = scale * row, where `row` holds one encoded row of the table.
pub(super) fn embed(decode: Decoder, row: &[u8], scale: f32, out: &mut [f32]) {
    decode(row, out);
    out.iter_mut().for_each(|y| *y *= scale);
}
