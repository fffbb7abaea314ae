//! Q3_K: 256 weights d * (sc - 32) * (q - 4) in 110 bytes: the third bits of q in 32 bytes (bit i of byte j belongs to weight
//! 32 i + j), bit pairs as in Q2_K, 16 scales sc of 6 bits in 12 bytes, f16 d.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, pairs, put_pairs, u16_at, u32_at};
use super::legacy::inverse;
use super::search::{extreme, refined, rounded, within};

pub(crate) struct Q3K;

impl Packed for Q3K {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const GROUP: usize = 16;
    const BIAS: u8 = 4;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let mut q = pairs(&block[32..96], i);
        for j in 0..32 {
            q[j] |= if block[j] & 1 << i == 0 { 0 } else { 4 };
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 108));
        for (j, sc) in scales(&block[96..108]).into_iter().enumerate() {
            scale[j] = d * f32::from(sc);
        }
    }
}

/// sc - 32: the low nibbles lie in two words, the upper two bits in a third.
#[inline(always)]
pub(crate) fn scales(packed: &[u8]) -> [i8; 16] {
    let (a, b, high) = (u32_at(packed, 0), u32_at(packed, 4), u32_at(packed, 8));
    let four = |low: u32, i: u32| (low & 0x0f0f_0f0f) | (high >> (2 * i) & 0x0303_0303) << 4;
    let mut sc: [i8; 16] = bytemuck::cast([four(a, 0), four(b, 1), four(a >> 4, 2), four(b >> 4, 3)]);
    for sc in &mut sc {
        *sc -= 32;
    }
    sc
}

/// The scale of largest magnitude becomes sc = 0, so d may be negative.
fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(110)) {
        let groups: Vec<f32> = x.chunks_exact(16).map(|x| refined::<16>(x, 4.0)).collect();
        let to_scale = -32.0 * inverse(extreme(&groups));
        let (d_bits, d) = rounded(inverse(to_scale));
        let sc: [u8; 16] = std::array::from_fn(|g| (within(groups[g] * to_scale, -32.0, 31.0) + 32.0) as u8);
        let mut q = [0; 256];
        for i in 0..256 {
            let back = inverse(d * (f32::from(sc[i / 16]) - 32.0));
            q[i] = (within(x[i] * back, -4.0, 3.0) + 4.0) as u8;
        }
        block.fill(0);
        put_pairs(&q, &mut block[32..96]);
        for i in 0..256 {
            block[i % 32] |= (q[i] >> 2) << (i / 32);
        }
        for j in 0..16 {
            block[96 + j % 8] |= (sc[j] & 15) << (4 * (j / 8));
            block[104 + j % 4] |= (sc[j] >> 4) << (2 * (j / 4));
        }
        block[108..].copy_from_slice(&d_bits.to_le_bytes());
    }
}
