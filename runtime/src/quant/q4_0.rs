//! Q4_0: 32 weights d * (q - 8) in 18 bytes: f16 d, then 32 nibbles q.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, sixteen_at, u16_at};
use super::legacy;

pub(crate) struct Q4_0;

impl Packed for Q4_0 {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const BIAS: u8 = 8;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        convert.nibbles(sixteen_at(block, 2))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(18)) {
        let (d, q) = legacy::signed(x, 8);
        legacy::put_half(block, 0, d);
        legacy::put_nibbles(&q, &mut block[2..18]);
    }
}
