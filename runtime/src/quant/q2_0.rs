//! Q2_0: 64 weights d * (q - 1) in 18 bytes: f16 d, then bit pairs q, four weights a byte.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at};
use super::legacy;

pub(crate) struct Q2_0;

impl Packed for Q2_0 {
    const LEN: usize = 64;
    const BYTES: usize = 18;
    const BIAS: u8 = 1;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let eight = |k: usize| spread(u16_at(block, 2 + 8 * i + 2 * k));
        bytemuck::cast([eight(0), eight(1), eight(2), eight(3)])
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[..2].fill(convert.half(u16_at(block, 0)));
    }
}

/// Eight bit pairs to a byte each: the upper half of the bits moves away from the lower, three times.
#[inline(always)]
fn spread(pairs: u16) -> u64 {
    let mut q = u64::from(pairs);
    q = (q | q << 24) & 0x0000_00ff_0000_00ff;
    q = (q | q << 12) & 0x000f_000f_000f_000f;
    (q | q << 6) & 0x0303_0303_0303_0303
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(64).zip(blocks.chunks_exact_mut(18)) {
        let d = legacy::largest(x);
        let inverse = legacy::inverse(d);
        legacy::put_half(block, 0, d);
        for (byte, x) in block[2..].iter_mut().zip(x.chunks_exact(4)) {
            let q = |x: f32| ((x * inverse).round() + 1.0).clamp(0.0, 3.0) as u8;
            *byte = x.iter().enumerate().map(|(j, &x)| q(x) << (2 * j)).sum();
        }
    }
}
