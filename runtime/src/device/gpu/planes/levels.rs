//! Types whose nibbles name one of 16 levels: IQ4_NL, IQ4_XS, MXFP4, NVFP4. The levels stand in their shaders.

use super::{Layout, Quad, half, nibbles, word};

pub(super) const IQ4_NL: Layout =
    Layout { name: "iq4_nl", block: 64, bytes: 36, quads: 2, scales: 1, table: &[], repack: iq4_nl };
pub(super) const IQ4_XS: Layout =
    Layout { name: "iq4_xs", block: 256, bytes: 136, quads: 8, scales: 2, table: &[], repack: iq4_xs };
pub(super) const MXFP4: Layout =
    Layout { name: "mxfp4", block: 128, bytes: 68, quads: 4, scales: 1, table: &[], repack: mxfp4 };
pub(super) const NVFP4: Layout =
    Layout { name: "nvfp4", block: 64, bytes: 36, quads: 2, scales: 1, table: &[], repack: nvfp4 };

/// In the file, byte i holds weight i in its low half and weight 16 + i in its high half.
fn quants(bytes: &[u8]) -> Quad {
    nibbles(|i| bytes[i % 16] >> (4 * (i / 16)))
}

fn iq4_nl(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 18) << 16;
    quads[0] = quants(&bytes[2..18]);
    quads[1] = quants(&bytes[20..36]);
}

/// d and the upper bits of the scales, then their nibbles.
fn iq4_xs(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = word(bytes, 0);
    scales[1] = word(bytes, 4);
    for (unit, quad) in quads.iter_mut().enumerate() {
        *quad = quants(&bytes[8 + 16 * unit..][..16]);
    }
}

/// The exponents of four blocks.
fn mxfp4(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = u32::from_le_bytes(std::array::from_fn(|i| bytes[17 * i]));
    for (block, quad) in bytes.chunks_exact(17).zip(quads) {
        *quad = quants(&block[1..17]);
    }
}

/// Four scale bytes. In the file, of 8 bytes for 16 weights, byte i holds weight i and weight 8 + i.
fn nvfp4(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = word(bytes, 0);
    for (unit, quad) in quads.iter_mut().enumerate() {
        let bytes = &bytes[4 + 16 * unit..][..16];
        *quad = nibbles(|i| bytes[8 * (i / 16) + i % 8] >> (4 * (i % 16 / 8)));
    }
}
