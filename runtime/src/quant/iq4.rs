//! IQ4_NL and IQ4_XS: nibbles that name one of 16 levels.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, sixteen_at, u16_at, u32_at};
use super::legacy::{inverse, put_half, put_nibbles};
use super::search::{best_fit, extreme, rounded, within};

/// The levels.
pub(crate) const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The levels as q: plus 128.
pub(crate) const BIASED: [u8; 16] = {
    let mut q = [0; 16];
    let mut i = 0;
    while i < 16 {
        q[i] = LEVELS[i] as u8 ^ 128;
        i += 1;
    }
    q
};

/// 32 weights d * level in 18 bytes: f16 d, then 32 nibbles.
pub(crate) struct IQ4NL;

impl Packed for IQ4NL {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const BIAS: u8 = 128;
    const HEAD: bool = true;
    const ENCODE: Option<Encode> = Some(encode_nl);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        convert.levels(&BIASED, sixteen_at(block, 2))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = convert.half(u16_at(block, 0));
    }
}

/// 256 weights d * (sc - 32) * level in 136 bytes: f16 d, the upper two bits of the 8 scales, their nibbles, then for each
/// 32 weights 16 bytes of nibbles.
pub(crate) struct IQ4XS;

impl Packed for IQ4XS {
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const BIAS: u8 = 128;
    const ENCODE: Option<Encode> = Some(encode_xs);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        convert.levels(&BIASED, sixteen_at(block, 8 + 16 * i))
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        let d = convert.half(u16_at(block, 0));
        let (high, low) = (u32::from(u16_at(block, 2)), u32_at(block, 4));
        for j in 0..8 {
            let sc = low >> (4 * j) & 15 | (high >> (2 * j) & 3) << 4;
            scale[j] = d * (sc as i32 - 32) as f32;
        }
    }
}

/// The index of the nearest level (of two as near, the higher) for each half from -128 to 127.5: all lie at halves.
static NEAREST: [u8; 512] = {
    let mut table = [0; 512];
    let (mut at, mut i) = (0, 0);
    while at < 512 {
        if i < 15 && at as i32 - 256 >= LEVELS[i] as i32 + LEVELS[i + 1] as i32 {
            i += 1;
        }
        table[at] = i as u8;
        at += 1;
    }
    table
};

fn index(x: f32) -> usize {
    // a cast of what lies outside the range, or of NaN, is defined
    NEAREST[((2.0 * x + 256.0) as usize).min(511)].into()
}

/// The scale of 32 weights: that which makes the extreme the highest level, or one around that which makes it the lowest.
fn scale(x: &[f32]) -> f32 {
    let extreme = extreme(x);
    if extreme.abs() < 1e-15 {
        return 0.0;
    }
    let lowest = f32::from(LEVELS[0]);
    let inverses = [-lowest].into_iter().chain((-7..=7).map(|step| step as f32 + lowest)).map(|level| level / extreme);
    best_fit(x, inverses, |y| f32::from(LEVELS[index(y)]))
}

fn indices(x: &[f32], scale: f32) -> [u8; 32] {
    let back = inverse(scale);
    std::array::from_fn(|i| index(x[i] * back) as u8)
}

fn encode_nl(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(18)) {
        let scale = scale(x);
        put_half(block, 0, scale);
        put_nibbles(&indices(x, scale), &mut block[2..]);
    }
}

/// The scale of largest magnitude becomes sc = 0, so d may be negative.
fn encode_xs(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(136)) {
        let scales: Vec<f32> = x.chunks_exact(32).map(scale).collect();
        let to_scale = -32.0 * inverse(extreme(&scales));
        let (d_bits, d) = rounded(inverse(to_scale));
        let (mut high, mut low) = (0u16, 0u32);
        for (j, (x, scale)) in x.chunks_exact(32).zip(scales).enumerate() {
            let sc = within(scale * to_scale, -32.0, 31.0);
            put_nibbles(&indices(x, d * sc), &mut block[8 + 16 * j..][..16]);
            let sc = (sc + 32.0) as u32;
            low |= (sc & 15) << (4 * j);
            high |= (sc as u16 >> 4) << (2 * j);
        }
        block[..2].copy_from_slice(&d_bits.to_le_bytes());
        block[2..4].copy_from_slice(&high.to_le_bytes());
        block[4..8].copy_from_slice(&low.to_le_bytes());
    }
}
