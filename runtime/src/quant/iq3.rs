//! IQ3_XXS and IQ3_S: weights of eight levels with signs, from a codebook in vectors of 4.

use super::grid::{self, even_signs_at};
use super::layout::{Convert, MAX_GROUPS, Packed, u16_at, u32_at};

/// 256 weights d * (sc + 1/2) / 2 * level, levels of 4 to 62, in 98 bytes: f16 d, 64 indices, then for each 32 weights four
/// times 7 bits of signs and sc of 4 bits.
pub(crate) struct IQ3XXS;

impl Packed for IQ3XXS {
    const LEN: usize = 256;
    const BYTES: usize = 98;
    const BIAS: u8 = 62;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let index = &block[2 + 8 * i..][..8];
        let vector = |k: usize| grid::IQ3_XXS[usize::from(index[k])];
        convert.signed(eights(vector), even_signs_at(block, 66 + 4 * i), Self::BIAS)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0)) / 4.0;
        for j in 0..8 {
            scale[j] = d * f32::from(2 * (block[69 + 4 * j] >> 4) + 1);
        }
    }
}

/// 256 weights d * (2 sc + 1) * level, levels of 1 to 15, in 110 bytes: f16 d, the low bytes of 64 indices, their ninth
/// bits, 32 bytes of signs, sc of 4 bits for each 32 weights.
pub(crate) struct IQ3S;

impl Packed for IQ3S {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const BIAS: u8 = 15;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let (low, high) = (&block[2 + 8 * i..][..8], usize::from(block[66 + i]));
        let vector = |k: usize| grid::IQ3_S[usize::from(low[k]) | (high >> k & 1) << 8];
        convert.signed(eights(vector), u32_at(block, 74 + 4 * i), Self::BIAS)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0));
        for j in 0..8 {
            scale[j] = d * f32::from(2 * (block[106 + j / 2] >> (4 * (j % 2)) & 15) + 1);
        }
    }
}

/// Eight vectors of 4, two a word.
#[inline(always)]
fn eights(vector: impl Fn(usize) -> u32) -> [u64; 4] {
    let two = |k| u64::from(vector(k)) | u64::from(vector(k + 1)) << 32;
    [two(0), two(2), two(4), two(6)]
}
