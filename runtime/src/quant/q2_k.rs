//! Q2_K: 256 weights d * sc * q - dmin * mn in 84 bytes: a byte for each 16 weights (sc low, mn high), bit pairs q (of each
//! 32 bytes, the lowest pairs are one sub-block of 32 weights, and so on), f16 d, f16 dmin.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, pairs, put_pairs, u16_at};
use super::legacy::inverse;
use super::search::{Affine, rounded, within};

pub(crate) struct Q2K;

impl Packed for Q2K {
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const GROUP: usize = 16;
    const MIN: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        pairs(&block[16..80], i)
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        let (d, dmin) = (convert.half(u16_at(block, 80)), convert.half(u16_at(block, 82)));
        for j in 0..16 {
            scale[j] = d * f32::from(block[j] & 15);
            min[j] = -(dmin * f32::from(block[j] >> 4));
        }
    }
}

/// Errors count by magnitude, with weights |x|.
const SEARCH: Affine = Affine { top: 3.0, first: -0.5, steps: 15, absolute: true };

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(84)) {
        let groups: Vec<(f32, f32)> =
            x.chunks_exact(16).map(|x| SEARCH.search(x, &x.iter().map(|x| x.abs()).collect::<Vec<_>>())).collect();
        let largest = groups.iter().fold((0f32, 0f32), |(a, b), g| (a.max(g.0), b.max(g.1)));
        let ((d_bits, d), (dmin_bits, dmin)) = (rounded(largest.0 / 15.0), rounded(largest.1 / 15.0));
        let (to_scale, to_min) = (15.0 * inverse(largest.0), 15.0 * inverse(largest.1));
        block[80..82].copy_from_slice(&d_bits.to_le_bytes());
        block[82..84].copy_from_slice(&dmin_bits.to_le_bytes());
        let mut q = [0; 256];
        for (g, (scale, min)) in groups.into_iter().enumerate() {
            let (sc, mn) = (within(scale * to_scale, 0.0, 15.0), within(min * to_min, 0.0, 15.0));
            block[g] = sc as u8 | (mn as u8) << 4;
            let back = inverse(d * sc);
            for i in 16 * g..16 * (g + 1) {
                q[i] = within((x[i] + dmin * mn) * back, 0.0, 3.0) as u8;
            }
        }
        put_pairs(&q, &mut block[16..80]);
    }
}
