//! The codebook types IQ1, IQ2 and IQ3: indices, signs and scales as in the file, and behind the scales, once for a whole
//! plane, the codebook with 16 bits a vector.

use super::{Layout, Quad, half, word};
use crate::quant::grid;

pub(super) const IQ1_S: Layout =
    Layout { name: "iq1_s", block: 256, bytes: 50, quads: 2, scales: 5, table: &IQ1_TABLE, repack: iq1_s };
pub(super) const IQ1_M: Layout =
    Layout { name: "iq1_m", block: 256, bytes: 56, quads: 2, scales: 6, table: &IQ1_TABLE, repack: iq1_m };
pub(super) const IQ2_XXS: Layout =
    Layout { name: "iq2_xxs", block: 256, bytes: 66, quads: 4, scales: 1, table: &IQ2_XXS_TABLE, repack: iq2_xxs };
pub(super) const IQ2_XS: Layout =
    Layout { name: "iq2_xs", block: 256, bytes: 74, quads: 4, scales: 3, table: &IQ2_XS_TABLE, repack: iq2_xs };
pub(super) const IQ2_S: Layout =
    Layout { name: "iq2_s", block: 256, bytes: 82, quads: 4, scales: 5, table: &IQ2_S_TABLE, repack: iq2_s };
pub(super) const IQ3_XXS: Layout =
    Layout { name: "iq3_xxs", block: 256, bytes: 98, quads: 4, scales: 9, table: &IQ3_XXS_TABLE, repack: iq3_xxs };
pub(super) const IQ3_S: Layout =
    Layout { name: "iq3_s", block: 256, bytes: 110, quads: 4, scales: 12, table: &IQ3_S_TABLE, repack: iq3_s };

/// Levels are numbered: two bits of each of 8, or four bits of each of 4.
static IQ1_TABLE: [u16; 2048] = eights(&grid::IQ1, 3);
static IQ2_XXS_TABLE: [u16; 256] = eights(&grid::IQ2_XXS, 4);
static IQ2_XS_TABLE: [u16; 512] = eights(&grid::IQ2_XS, 4);
static IQ2_S_TABLE: [u16; 1024] = eights(&grid::IQ2_S, 4);
static IQ3_XXS_TABLE: [u16; 256] = fours(&grid::IQ3_XXS, 3);
static IQ3_S_TABLE: [u16; 512] = fours(&grid::IQ3_S, 1);

/// A level's number is what remains of it beyond its low `shift` bits.
const fn eights<const N: usize>(grid: &[u64; N], shift: u32) -> [u16; N] {
    let (mut out, mut n) = ([0; N], 0);
    while n < N {
        let mut i = 0;
        while i < 8 {
            let level = grid[n] >> (8 * i) & 255;
            out[n] |= ((level >> shift) as u16) << (2 * i);
            i += 1;
        }
        n += 1;
    }
    out
}

const fn fours<const N: usize>(grid: &[u32; N], shift: u32) -> [u16; N] {
    let (mut out, mut n) = ([0; N], 0);
    while n < N {
        let mut i = 0;
        while i < 4 {
            let level = grid[n] >> (8 * i) & 255;
            out[n] |= ((level >> shift) as u16) << (4 * i);
            i += 1;
        }
        n += 1;
    }
    out
}

/// Words from byte `at` on.
fn words(bytes: &[u8], at: usize, out: &mut [u32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = word(bytes, at + 4 * i);
    }
}

fn quads_at(bytes: &[u8], at: usize, quads: &mut [Quad]) {
    words(bytes, at, quads.as_flattened_mut());
}

/// Two words a unit: its words from two places.
fn zipped(bytes: &[u8], first: usize, second: usize, quads: &mut [Quad]) {
    for (unit, pair) in quads.as_flattened_mut().chunks_exact_mut(2).enumerate() {
        pair[0] = word(bytes, first + 4 * unit);
        pair[1] = word(bytes, second + 4 * unit);
    }
}

fn iq1_s(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 2, quads);
    scales[0] = half(bytes, 0);
    words(bytes, 34, &mut scales[1..]);
}

fn iq1_m(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 0, quads);
    words(bytes, 32, scales);
}

fn iq2_xxs(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 2, quads);
    scales[0] = half(bytes, 0);
}

fn iq2_xs(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 2, quads);
    scales[0] = half(bytes, 0);
    words(bytes, 66, &mut scales[1..]);
}

/// Indices and signs; d, scales, upper bits of the indices.
fn iq2_s(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    zipped(bytes, 2, 34, quads);
    scales[0] = half(bytes, 0);
    words(bytes, 74, &mut scales[1..3]);
    words(bytes, 66, &mut scales[3..]);
}

fn iq3_xxs(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 2, quads);
    scales[0] = half(bytes, 0);
    words(bytes, 66, &mut scales[1..]);
}

/// d, scales, upper bits of the indices, signs.
fn iq3_s(bytes: &[u8], quads: &mut [Quad], scales: &mut [u32]) {
    quads_at(bytes, 2, quads);
    scales[0] = half(bytes, 0);
    scales[1] = word(bytes, 106);
    words(bytes, 66, &mut scales[2..]);
}
