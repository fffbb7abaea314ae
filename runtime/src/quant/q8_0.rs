//! Q8_0: 32 weights d * q in 34 bytes: f16 d, then 32 signed bytes q.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at};
use super::legacy;

pub(crate) struct Q8_0;

impl Packed for Q8_0 {
    const LEN: usize = 32;
    const BYTES: usize = 34;
    const BIAS: u8 = 128;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = block[2 + j] ^ 128;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
    }
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(34)) {
        let d = legacy::largest(x) / 127.0;
        let inverse = legacy::inverse(d);
        legacy::put_half(block, 0, d);
        for (b, x) in block[2..].iter_mut().zip(x) {
            *b = (x * inverse).round() as i8 as u8;
        }
    }
}
