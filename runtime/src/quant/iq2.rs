//! IQ2_XXS, IQ2_XS and IQ2_S: 256 weights d * (sc + 1/2) / 4 * level, the levels 8, 25 and 43 from a codebook in vectors of 8,
//! with signs.

use super::grid::{self, even_signs, even_signs_at};
use super::layout::{Convert, MAX_GROUPS, Packed, u16_at, u32_at};

/// The largest level.
const LARGEST: u8 = 43;

/// 66 bytes: f16 d, then for each 32 weights four indices, four times 7 bits of signs, sc of 4 bits.
pub(crate) struct IQ2XXS;

impl Packed for IQ2XXS {
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const BIAS: u8 = LARGEST;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let index = &block[2 + 8 * i..][..4];
        let vector = |l: usize| grid::IQ2_XXS[usize::from(index[l])];
        let g = [vector(0), vector(1), vector(2), vector(3)];
        convert.signed(g, even_signs_at(block, 6 + 8 * i), LARGEST)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0)) / 8.0;
        for j in 0..8 {
            scale[j] = d * f32::from(2 * (block[9 + 8 * j] >> 4) + 1);
        }
    }
}

/// 74 bytes: f16 d, 32 times 16 bits (9 of index, 7 of signs), sc of 4 bits for each 16 weights.
pub(crate) struct IQ2XS;

impl Packed for IQ2XS {
    const LEN: usize = 256;
    const BYTES: usize = 74;
    const GROUP: usize = 16;
    const BIAS: u8 = LARGEST;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let word = |l: usize| u16_at(block, 2 + 8 * i + 2 * l);
        let vector = |l: usize| grid::IQ2_XS[usize::from(word(l) & 511)];
        let seven = |l: usize| u32::from(word(l) >> 9) << (8 * l);
        let g = [vector(0), vector(1), vector(2), vector(3)];
        convert.signed(g, even_signs(seven(0) | seven(1) | seven(2) | seven(3)), LARGEST)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        nibble_scales(convert, block, 66, scale);
    }
}

/// 82 bytes: f16 d, the low bytes of 32 indices, 32 bytes of signs, two upper bits of each index, sc as in IQ2_XS.
pub(crate) struct IQ2S;

impl Packed for IQ2S {
    const LEN: usize = 256;
    const BYTES: usize = 82;
    const GROUP: usize = 16;
    const BIAS: u8 = LARGEST;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let (low, high) = (&block[2 + 4 * i..][..4], usize::from(block[66 + i]));
        let vector = |l: usize| grid::IQ2_S[usize::from(low[l]) | (high >> (2 * l) & 3) << 8];
        let g = [vector(0), vector(1), vector(2), vector(3)];
        convert.signed(g, u32_at(block, 34 + 4 * i), LARGEST)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        nibble_scales(convert, block, 74, scale);
    }
}

/// The 16 nibbles at byte `at`.
#[inline(always)]
fn nibble_scales(convert: impl Convert, block: &[u8], at: usize, scale: &mut [f32; MAX_GROUPS]) {
    let d = convert.half(u16_at(block, 0)) / 8.0;
    for j in 0..16 {
        scale[j] = d * f32::from(2 * (block[at + j / 2] >> (4 * (j % 2)) & 15) + 1);
    }
}
