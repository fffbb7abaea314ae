//! Q1_0: 128 weights d or -d in 18 bytes: f16 d, then a bit per weight, set where it is positive.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at, u32_at};
use super::legacy;

pub(crate) struct Q1_0;

impl Packed for Q1_0 {
    const LEN: usize = 128;
    const BYTES: usize = 18;
    const BIAS: u8 = 1;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let mut q = convert.bytes_of_bits(u32_at(block, 2 + 4 * i));
        for j in 0..32 {
            q[j] &= 2;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[..4].fill(convert.half(u16_at(block, 0)));
    }
}

/// d is the mean magnitude.
fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(128).zip(blocks.chunks_exact_mut(18)) {
        legacy::put_half(block, 0, x.iter().map(|x| x.abs()).sum::<f32>() / 128.0);
        for (byte, x) in block[2..].iter_mut().zip(x.chunks_exact(8)) {
            *byte = x.iter().enumerate().map(|(j, &x)| u8::from(x >= 0.0) << j).sum();
        }
    }
}
