//! Q6_K: 256 weights d * sc * (q - 32) in 210 bytes: 128 bytes of low nibbles, 64 bytes of upper bit pairs, a signed byte
//! sc for each 16 weights, then f16 d.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at};
use super::legacy::inverse;
use super::search::{extreme, rounded, symmetric, within};

pub(crate) struct Q6K;

impl Packed for Q6K {
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const GROUP: usize = 16;
    const BIAS: u8 = 32;
    const ENCODE: Option<Encode> = Some(encode);

    /// Each half block of 128 weights has 64 bytes of nibbles (low ones first) and 32 bytes of pairs (lowest first).
    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let (n, g) = (i / 4, i % 4);
        let low = &block[64 * n + 32 * (g % 2)..][..32];
        let high = &block[128 + 32 * n..][..32];
        let (low_shift, high_shift) = (4 * (g / 2), 2 * g);
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = low[j] >> low_shift & 15 | (high[j] >> high_shift & 3) << 4;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 208));
        for j in 0..16 {
            scale[j] = d * f32::from(block[192 + j] as i8);
        }
    }
}

/// The scale of largest magnitude becomes sc = -128, so d may be negative.
fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(210)) {
        let groups: Vec<f32> = x.chunks_exact(16).map(|x| symmetric(x, 32.0)).collect();
        let to_scale = -128.0 * inverse(extreme(&groups));
        let (d_bits, d) = rounded(inverse(to_scale));
        let sc: [f32; 16] = std::array::from_fn(|g| within(groups[g] * to_scale, -128.0, 127.0));
        let q: [u8; 256] = std::array::from_fn(|i| (within(x[i] * inverse(d * sc[i / 16]), -32.0, 31.0) + 32.0) as u8);
        for i in 0..64 {
            let at = 128 * (i / 32) + i % 32;
            let [a, b, c, d] = [0, 32, 64, 96].map(|k| q[at + k]);
            block[i + 32 * (i / 32)] = a & 15 | (c & 15) << 4;
            block[i + 32 * (i / 32) + 32] = b & 15 | (d & 15) << 4;
            block[128 + i] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
        }
        for (byte, sc) in block[192..208].iter_mut().zip(sc) {
            *byte = sc as i8 as u8;
        }
        block[208..].copy_from_slice(&d_bits.to_le_bytes());
    }
}
