//! Q6_K: 256 weights d * sc * (q - 32) in 210 bytes: 128 bytes of low nibbles, 64 bytes of upper bit pairs, a signed byte
//! sc for each 16 weights, then f16 d.

use super::layout::{Convert, MAX_GROUPS, Packed, u16_at};

pub(crate) struct Q6K;

impl Packed for Q6K {
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const GROUP: usize = 16;
    const BIAS: u8 = 32;

    /// Each half block of 128 weights has 64 bytes of nibbles (low ones first) and 32 bytes of pairs (lowest first).
    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let (n, g) = (i / 4, i % 4);
        let low = &block[64 * n + 32 * (g % 2)..][..32];
        let high = &block[128 + 32 * n..][..32];
        let (low_shift, high_shift) = (4 * (g / 2), 2 * g);
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = low[j] >> low_shift & 15 | (high[j] >> high_shift & 3) << 4;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 208));
        for j in 0..16 {
            scale[j] = d * f32::from(block[192 + j] as i8);
        }
    }
}
