//! TQ2_0: 256 weights d * (q - 1) in 66 bytes: bit pairs q as in Q2_K, then f16 d.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, pairs, put_pairs, u16_at};
use super::tq1_0;

pub(crate) struct TQ2_0;

impl Packed for TQ2_0 {
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const BIAS: u8 = 1;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        pairs(&block[..64], i)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[..8].fill(convert.half(u16_at(block, 64)));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(66)) {
        let q = tq1_0::ternary(x, block, 64);
        put_pairs(&q, &mut block[..64]);
    }
}
