//! TQ1_0: 256 weights d * (q - 1) in 54 bytes, q < 3: 48 bytes of five q each and four of four, then f16 d.
//!
//! A byte holds its q as the base-3 digits of a fraction of 256, rounded up; so the next digit is what a multiplication by 3
//! carries out of the byte.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at};
use super::legacy;

pub(crate) struct TQ1_0;

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

impl Packed for TQ1_0 {
    const LEN: usize = 256;
    const BYTES: usize = 54;
    const BIAS: u8 = 1;
    const ENCODE: Option<Encode> = Some(encode);

    /// Bytes 0..32 hold the first five sub-blocks, a digit each; bytes 32..48 half sub-blocks; bytes 48..52 a digit for four.
    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let (mut bytes, mut powers) = ([0; 32], [POWERS[i.min(4)]; 32]);
        if i < 5 {
            bytes.copy_from_slice(&block[..32]);
        } else {
            bytes[..16].copy_from_slice(&block[32..48]);
            bytes[16..].copy_from_slice(&block[32..48]);
            let first = 2 * (i - 5);
            powers[..16].fill(POWERS[first]);
            powers[16..].fill(POWERS[(first + 1) % 5]);
        }
        if i == 7 {
            for j in 0..16 {
                (bytes[16 + j], powers[16 + j]) = (block[48 + j % 4], POWERS[j / 4]);
            }
        }
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = ((u16::from(bytes[j].wrapping_mul(powers[j])) * 3) >> 8) as u8;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[..8].fill(convert.half(u16_at(block, 52)));
    }
}

/// Writes d at byte `at` and returns q.
pub(super) fn ternary(x: &[f32], block: &mut [u8], at: usize) -> [u8; 256] {
    let d = legacy::largest(x);
    let inverse = legacy::inverse(d);
    legacy::put_half(block, at, d);
    std::array::from_fn(|j| ((x[j] * inverse).round() + 1.0) as u8)
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(54)) {
        let q = ternary(x, block, 52);
        // `count` digits, `step` weights apart, the first one the most significant of five
        let byte = |first: usize, step: usize, count: usize| {
            let digits = (0..5).map(|n| if n < count { u32::from(q[first + n * step]) } else { 0 });
            (digits.fold(0, |number, digit| 3 * number + digit) * 256).div_ceil(243) as u8
        };
        for i in 0..52 {
            block[i] = match i {
                0..32 => byte(i, 32, 5),
                32..48 => byte(128 + i, 16, 5),
                _ => byte(192 + i, 4, 4),
            };
        }
    }
}
