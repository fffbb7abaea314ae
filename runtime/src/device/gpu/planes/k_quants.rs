//! The 256-element families: Q4_K, Q5_K, Q6_K. Eight units share the scale words.

use super::{Layout, Quad, fifth_bits, half, nibbles, word};

pub(super) const Q4_K: Layout =
    Layout { name: "q4_k", block: 256, bytes: 144, quads: 8, scales: 4, table: &[], repack: q4_k };
pub(super) const Q5_K: Layout =
    Layout { name: "q5_k", block: 256, bytes: 176, quads: 8, scales: 12, table: &[], repack: q5_k };
pub(super) const Q6_K: Layout =
    Layout { name: "q6_k", block: 256, bytes: 210, quads: 8, scales: 21, table: &[], repack: q6_k };

/// In the file, 64 weights share 32 bytes: the low halves are the first 32.
fn quants(bytes: &[u8], unit: usize) -> Quad {
    nibbles(|i| bytes[32 * (unit / 2) + i] >> (4 * (unit % 2)))
}

/// The eight 6-bit scales and minima, from 12 bytes.
fn scales_and_minima(s: &[u8]) -> [(u32, u32); 8] {
    std::array::from_fn(|j| {
        let (scale, minimum) = if j < 4 {
            (s[j] & 63, s[j + 4] & 63)
        } else {
            (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4)
        };
        (scale.into(), minimum.into())
    })
}

/// (d, dmin), then the low four bits of scales and minima, then their high two.
fn header(bytes: &[u8], scales: &mut [u32]) {
    scales[0] = word(bytes, 0);
    scales[1..4].fill(0);
    for (j, (scale, minimum)) in scales_and_minima(&bytes[4..16]).into_iter().enumerate() {
        scales[1 + j / 4] |= (scale & 15 | (minimum & 15) << 4) << (8 * (j % 4));
        scales[3] |= (scale >> 4 | minimum >> 4 << 2) << (4 * j);
    }
}

fn q4_k(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    header(bytes, scales);
    for (unit, quad) in quads.iter_mut().enumerate() {
        *quad = quants(&bytes[16..144], unit);
    }
}

fn q5_k(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    header(bytes, scales);
    for (unit, quad) in quads.iter_mut().enumerate() {
        *quad = quants(&bytes[48..176], unit);
        scales[4 + unit] = fifth_bits(|i| u32::from(bytes[16 + i] >> unit));
    }
}

/// d, the sixteen signed scales, then for each unit two words with two high bits per weight.
fn q6_k(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    scales[0] = half(bytes, 208);
    for i in 0..4 {
        scales[1 + i] = word(bytes, 192 + 4 * i);
    }
    for (unit, quad) in quads.iter_mut().enumerate() {
        let (n, g) = (unit / 4, unit % 4);
        *quad = nibbles(|l| bytes[64 * n + l + 32 * (g % 2)] >> (4 * (g / 2)));
        // of 16 weights, bits 8 b + 2 k: weight b of quadruple k
        let high = |l: usize| u32::from(bytes[128 + 32 * n + l] >> (2 * g) & 3) << (8 * (l % 4) + 2 * (l % 16 / 4));
        scales[5 + 2 * unit] = (0..16).map(high).sum();
        scales[6 + 2 * unit] = (16..32).map(high).sum();
    }
}
