//! Q3_K: 256 weights d * (sc - 32) * (q - 4) in 110 bytes: the third bits of q in 32 bytes (bit i of byte j belongs to weight
//! 32 i + j), bit pairs as in Q2_K, 16 scales sc of 6 bits in 12 bytes, f16 d.

use super::layout::{Convert, MAX_GROUPS, Packed, pairs, u16_at, u32_at};

pub(crate) struct Q3K;

impl Packed for Q3K {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const GROUP: usize = 16;
    const BIAS: u8 = 4;

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let mut q = pairs(&block[32..96], i);
        for j in 0..32 {
            q[j] |= (block[j] >> i & 1) << 2;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 108));
        for (j, sc) in scales(&block[96..108]).into_iter().enumerate() {
            scale[j] = d * f32::from(sc);
        }
    }
}

/// sc - 32: the low nibbles lie in two words, the upper two bits in a third.
#[inline(always)]
pub(crate) fn scales(packed: &[u8]) -> [i8; 16] {
    let (a, b, high) = (u32_at(packed, 0), u32_at(packed, 4), u32_at(packed, 8));
    let four = |low: u32, i: u32| ((low & 0x0f0f_0f0f) | (high >> (2 * i) & 0x0303_0303) << 4).to_le_bytes();
    let words = [four(a, 0), four(b, 1), four(a >> 4, 2), four(b >> 4, 3)];
    std::array::from_fn(|j| words[j / 4][j % 4] as i8 - 32)
}
