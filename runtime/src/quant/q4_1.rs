//! Q4_1: 32 weights d * q + m in 20 bytes: f16 d, f16 m, then 32 nibbles q.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, sixteen_at, u16_at};
use super::legacy;

pub(crate) struct Q4_1;

impl Packed for Q4_1 {
    const LEN: usize = 32;
    const BYTES: usize = 20;
    const MIN: bool = true;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        convert.nibbles(sixteen_at(block, 4))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
        min[0] = convert.half(u16_at(block, 2));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(20)) {
        let (d, m, q) = legacy::unsigned(x, 15);
        legacy::put_half(block, 0, d);
        legacy::put_half(block, 2, m);
        legacy::put_nibbles(&q, &mut block[4..20]);
    }
}
