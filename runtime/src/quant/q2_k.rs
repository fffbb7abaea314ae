//! Q2_K: 256 weights d * sc * q - dmin * mn in 84 bytes: a byte for each 16 weights (sc low, mn high), bit pairs q (of each
//! 32 bytes, the lowest pairs are one sub-block of 32 weights, and so on), f16 d, f16 dmin.

use super::layout::{Convert, MAX_GROUPS, Packed, pairs, u16_at};

pub(crate) struct Q2K;

impl Packed for Q2K {
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const GROUP: usize = 16;
    const MIN: bool = true;

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        pairs(&block[16..80], i)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        let (d, dmin) = (convert.half(u16_at(block, 80)), convert.half(u16_at(block, 82)));
        for j in 0..16 {
            scale[j] = d * f32::from(block[j] & 15);
            min[j] = -(dmin * f32::from(block[j] >> 4));
        }
    }
}
