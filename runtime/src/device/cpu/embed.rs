//! Reference: a row of a table.

use super::kernels::Decoder;

/// out = scale * row, where `row` holds one encoded row of the table.
pub(super) fn embed(decode: Decoder, row: &[u8], scale: f32, out: &mut [f32]) {
    decode(row, out);
    out.iter_mut().for_each(|y| *y *= scale);
}

/// out += scale * row; `decoded` has room for a row.
pub(super) fn embed_add(decode: Decoder, row: &[u8], scale: f32, decoded: &mut [f32], out: &mut [f32]) {
    embed(decode, row, scale, decoded);
    out.iter_mut().zip(decoded).for_each(|(y, x)| *y += *x);
}
