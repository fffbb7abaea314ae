//! IQ4_NL and IQ4_XS: nibbles that name one of 16 levels.

use super::layout::{Convert, MAX_GROUPS, Packed, nibbles, u16_at, u32_at};

/// The levels.
pub(crate) const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The levels as q: plus 128.
pub(crate) const BIASED: [u8; 16] = {
    let mut q = [0; 16];
    let mut i = 0;
    while i < 16 {
        q[i] = LEVELS[i] as u8 ^ 128;
        i += 1;
    }
    q
};

/// 32 weights d * level in 18 bytes: f16 d, then 32 nibbles.
pub(crate) struct IQ4NL;

impl Packed for IQ4NL {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const BIAS: u8 = 128;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        convert.lookup(&BIASED, nibbles(&block[2..18]))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
    }
}

/// 256 weights d * (sc - 32) * level in 136 bytes: f16 d, the upper two bits of the 8 scales, their nibbles, then for each
/// 32 weights 16 bytes of nibbles.
pub(crate) struct IQ4XS;

impl Packed for IQ4XS {
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const BIAS: u8 = 128;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        convert.lookup(&BIASED, nibbles(&block[8 + 16 * i..][..16]))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0));
        let (high, low) = (u32::from(u16_at(block, 2)), u32_at(block, 4));
        for j in 0..8 {
            let sc = low >> (4 * j) & 15 | (high >> (2 * j) & 3) << 4;
            scale[j] = d * (sc as i32 - 32) as f32;
        }
    }
}
