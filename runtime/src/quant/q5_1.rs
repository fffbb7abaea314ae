//! Q5_1: 32 weights d * q + m in 24 bytes: f16 d, f16 m, the fifth bits of q as a u32, then their 32 nibbles.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, add_fifth_bits, sixteen_at, u16_at, u32_at};
use super::legacy;

pub(crate) struct Q5_1;

impl Packed for Q5_1 {
    const LEN: usize = 32;
    const BYTES: usize = 24;
    const MIN: bool = true;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        let mut q = convert.nibbles(sixteen_at(block, 8));
        add_fifth_bits(convert, &mut q, u32_at(block, 4));
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
        min[0] = convert.half(u16_at(block, 2));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(24)) {
        let (d, m, q) = legacy::unsigned(x, 31);
        legacy::put_half(block, 0, d);
        legacy::put_half(block, 2, m);
        block[4..8].copy_from_slice(&legacy::fifth_bits(&q).to_le_bytes());
        legacy::put_nibbles(&q, &mut block[8..24]);
    }
}
