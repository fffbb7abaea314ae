//! The 32-element families: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. A type with one f16 per block takes two blocks together, whose
//! scales then fill a word.

use super::{Layout, Quad, fifth_bits, half, nibbles, word};

pub(super) const Q4_0: Layout =
    Layout { name: "q4_0", block: 64, bytes: 36, quads: 2, scales: 1, table: &[], repack: q4_0 };
pub(super) const Q4_1: Layout =
    Layout { name: "q4_1", block: 32, bytes: 20, quads: 1, scales: 1, table: &[], repack: q4_1 };
pub(super) const Q5_0: Layout =
    Layout { name: "q5_0", block: 64, bytes: 44, quads: 2, scales: 3, table: &[], repack: q5_0 };
pub(super) const Q5_1: Layout =
    Layout { name: "q5_1", block: 32, bytes: 24, quads: 1, scales: 2, table: &[], repack: q5_1 };
pub(super) const Q8_0: Layout =
    Layout { name: "q8_0", block: 64, bytes: 68, quads: 4, scales: 1, table: &[], repack: q8_0 };

/// In the file, byte i holds weight i in its low half and weight 16 + i in its high half.
fn quants(bytes: &[u8]) -> Quad {
    nibbles(|i| bytes[i % 16] >> (4 * (i / 16)))
}

fn q4_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 18) << 16;
    quads[0] = quants(&bytes[2..18]);
    quads[1] = quants(&bytes[20..36]);
}

fn q4_1(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = word(bytes, 0);
    quads[0] = quants(&bytes[4..20]);
}

fn q5_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 22) << 16;
    for (i, block) in bytes.chunks_exact(22).enumerate() {
        scales[1 + i] = fifth_bits(|l| word(block, 2) >> l);
        quads[i] = quants(&block[6..22]);
    }
}

fn q5_1(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = word(bytes, 0);
    scales[1] = fifth_bits(|l| word(bytes, 4) >> l);
    quads[0] = quants(&bytes[8..24]);
}

fn q8_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 34) << 16;
    for (i, quad) in quads.iter_mut().enumerate() {
        let start = 34 * (i / 2) + 2 + 16 * (i % 2);
        // three bytes q + 128 and one q: what the kernel reads without a shift
        *quad = std::array::from_fn(|j| word(bytes, start + 4 * j) ^ 0x0080_8080);
    }
}
