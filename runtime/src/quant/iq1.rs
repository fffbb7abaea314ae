//! IQ1_S and IQ1_M: weights dl * (level + 1/8) or dl * (level - 1/8), the levels -1, 0 and 1 from a codebook. In eighths,
//! these are the integers q - 9 with q = 8 (level + 1) + 2 or 0.

use super::grid::IQ1;
use super::layout::{Convert, MAX_GROUPS, Packed, u16_at};

/// 256 weights in 50 bytes: f16 d, the low bytes of 32 indices, then for each 32 weights 16 bits: four times 3 upper bits of
/// an index, 3 bits of scale, the sign of the shift.
pub(crate) struct IQ1S;

impl Packed for IQ1S {
    const LEN: usize = 256;
    const BYTES: usize = 50;
    const BIAS: u8 = 9;

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let high = usize::from(u16_at(block, 34 + 2 * i));
        let vector = |l: usize| IQ1[usize::from(block[2 + 4 * i + l]) | (high >> (3 * l) & 7) << 8];
        let up = 2 - (high >> 14 & 2) as u64;
        let q = |l: usize| shifted(vector(l), up);
        bytemuck::cast([q(0), q(1), q(2), q(3)])
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0)) / 8.0;
        for j in 0..8 {
            scale[j] = d * f32::from(2 * (u16_at(block, 34 + 2 * j) >> 12 & 7) + 1);
        }
    }
}

/// 256 weights in 56 bytes: the low bytes of 32 indices, a nibble for each with its 3 upper bits and the sign of the shift,
/// then four times 16 bits: four scales of 3 bits, and a quarter of the f16 d.
pub(crate) struct IQ1M;

impl Packed for IQ1M {
    const LEN: usize = 256;
    const BYTES: usize = 56;
    const GROUP: usize = 16;
    const BIAS: u8 = 9;

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let high = usize::from(u16_at(block, 32 + 2 * i));
        let vector = |l: usize| IQ1[usize::from(block[4 * i + l]) | (high >> (4 * l) & 7) << 8];
        let up = |l: usize| 2 - (high >> (4 * l + 2) & 2) as u64;
        let q = |l: usize| shifted(vector(l), up(l));
        bytemuck::cast([q(0), q(1), q(2), q(3)])
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(iq1_m_scale(block)) / 8.0;
        for j in 0..16 {
            let sc = u16_at(block, 48 + 2 * (j / 4)) >> (3 * (j % 4)) & 7;
            scale[j] = d * f32::from(2 * sc + 1);
        }
    }
}

/// The bits of an IQ1_M block's d.
#[inline(always)]
pub(crate) fn iq1_m_scale(block: &[u8]) -> u16 {
    let quarter = |k: usize| (u16_at(block, 48 + 2 * k) >> 12) << (4 * k);
    quarter(0) | quarter(1) | quarter(2) | quarter(3)
}

/// A vector's bytes, which are 0, 8 or 16, each with `up` added.
#[inline(always)]
fn shifted(vector: u64, up: u64) -> u64 {
    vector | (up * 0x0101_0101_0101_0101)
}
