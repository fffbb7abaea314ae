//! Q5_K: 256 weights d * sc * q - dmin * mn in 176 bytes: scales as in Q4_K, the fifth bits of q in 32 bytes (bit i of byte
//! j belongs to weight 32 i + j), then nibbles as in Q4_K.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed};
use super::q4_k;
use super::search::Affine;

pub(crate) struct Q5K;

impl Packed for Q5K {
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const MIN: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let high = &block[16..48];
        let low = &block[48 + 32 * (i / 2)..][..32];
        let shift = 4 * (i % 2);
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = low[j] >> shift & 15 | (high[j] >> i & 1) << 4;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        q4_k::scales(convert, block, scale, min);
    }
}

const SEARCH: Affine = Affine { top: 31.0, first: -0.5, steps: 15, absolute: false };

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(176)) {
        let q = q4_k::encode_scales(x, &SEARCH, block);
        for (j, byte) in block[16..48].iter_mut().enumerate() {
            *byte = (0..8).map(|i| (q[32 * i + j] >> 4) << i).sum();
        }
        q4_k::put_nibbles(&q, &mut block[48..]);
    }
}
