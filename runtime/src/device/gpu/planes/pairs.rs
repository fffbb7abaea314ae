//! Types of one to three bits a weight: Q1_0, Q2_0, Q2_K, Q3_K, TQ1_0, TQ2_0. Two bits of 32 weights are half a quadruple.

use super::{Layout, Quad, fifth_bits, half, word};
use crate::quant;
use crate::quant::layout::{Packed, Plain};

pub(super) const Q1_0: Layout =
    Layout { name: "q1_0", block: 256, bytes: 36, quads: 2, scales: 1, table: &[], repack: q1_0 };
pub(super) const Q2_0: Layout =
    Layout { name: "q2_0", block: 128, bytes: 36, quads: 2, scales: 1, table: &[], repack: q2_0 };
pub(super) const Q2_K: Layout =
    Layout { name: "q2_k", block: 256, bytes: 84, quads: 4, scales: 5, table: &[], repack: q2_k };
pub(super) const Q3_K: Layout =
    Layout { name: "q3_k", block: 256, bytes: 110, quads: 4, scales: 12, table: &[], repack: q3_k };
pub(super) const TQ2_0: Layout =
    Layout { name: "tq2_0", block: 256, bytes: 66, quads: 4, scales: 1, table: &[], repack: tq2_0 };
/// Becomes TQ2_0: base-3 digits would cost more to read than the 14 bytes a block that they save.
pub(super) const TQ1_0: Layout = Layout { bytes: 54, repack: tq1_0, ..TQ2_0 };

/// Two bits of each of 32 weights: in word i, bits 8 b + 2 k are weight 16 i + 4 k + b's.
fn pairs(q: [u8; 32]) -> [u32; 2] {
    let word = |i: usize| (0..16).map(|l| u32::from(q[16 * i + l] & 3) << (8 * (l % 4) + 2 * (l / 4))).sum();
    [word(0), word(1)]
}

/// The pairs of all units of a block, two units a quadruple.
fn all_pairs(quads: &mut [Quad], q: impl Fn(usize) -> [u8; 32]) {
    for (i, quad) in quads.iter_mut().enumerate() {
        let ([a, b], [c, d]) = (pairs(q(2 * i)), pairs(q(2 * i + 1)));
        *quad = [a, b, c, d];
    }
}

/// A bit a weight, four units a quadruple.
fn q1_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 18) << 16;
    for (block, quad) in bytes.chunks_exact(18).zip(quads) {
        *quad = std::array::from_fn(|i| fifth_bits(|l| word(block, 2 + 4 * i) >> l));
    }
}

fn q2_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 0) | half(bytes, 18) << 16;
    all_pairs(quads, |unit| quant::Q2_0::quants(Plain, &bytes[18 * (unit / 2)..][..18], unit % 2));
}

fn tq2_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 64);
    all_pairs(quads, |unit| quant::TQ2_0::quants(Plain, bytes, unit));
}

fn tq1_0(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 52);
    all_pairs(quads, |unit| quant::TQ1_0::quants(Plain, bytes, unit));
}

/// (d, dmin), then the bytes of scales and minima.
fn q2_k(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = word(bytes, 80);
    for i in 0..4 {
        scales[1 + i] = word(bytes, 4 * i);
    }
    all_pairs(quads, |unit| quant::Q2K::quants(Plain, bytes, unit));
}

/// d, then the scales as in the file, then the third bits of each unit.
fn q3_k(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 108);
    for i in 0..3 {
        scales[1 + i] = word(bytes, 96 + 4 * i);
    }
    for unit in 0..8 {
        scales[4 + unit] = fifth_bits(|i| u32::from(bytes[i] >> unit));
    }
    all_pairs(quads, |unit| quant::Q3K::quants(Plain, bytes, unit));
}
