//! Q5_0: 32 weights d * (q - 16) in 22 bytes: f16 d, the fifth bits of q as a u32, then their 32 nibbles.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, add_fifth_bits, sixteen_at, u16_at, u32_at};
use super::legacy;

pub(crate) struct Q5_0;

impl Packed for Q5_0 {
    const LEN: usize = 32;
    const BYTES: usize = 22;
    const BIAS: u8 = 16;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        let mut q = convert.nibbles(sixteen_at(block, 6));
        add_fifth_bits(convert, &mut q, u32_at(block, 2));
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(22)) {
        let (d, q) = legacy::signed(x, 16);
        legacy::put_half(block, 0, d);
        block[2..6].copy_from_slice(&legacy::fifth_bits(&q).to_le_bytes());
        legacy::put_nibbles(&q, &mut block[6..22]);
    }
}
