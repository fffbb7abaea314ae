//! MXFP4 and NVFP4: nibbles that are numbers of 4 bits, sign, two of exponent and one of mantissa, under scales of 8 bits.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, sixteen_at};

/// Twice the number of each nibble, plus 12.
pub(crate) const BIASED: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

/// 32 weights in 17 bytes: a power of two (E8M0), then 32 nibbles.
pub(crate) struct MXFP4;

impl Packed for MXFP4 {
    const LEN: usize = 32;
    const BYTES: usize = 17;
    const BIAS: u8 = 12;
    const ENCODE: Option<Encode> = Some(encode);

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], _: usize) -> [u8; 32] {
        convert.levels(&BIASED, sixteen_at(block, 1))
    }

    #[inline(always)]
    fn scales(_: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        scale[0] = half_power(block[0]);
    }
}

/// 2^(e - 128): half of what e stands for, as the levels are doubled. The first two are subnormal.
#[inline(always)]
fn half_power(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (u32::from(e) - 1) << 23 })
}

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(32).zip(blocks.chunks_exact_mut(17)) {
        let largest = super::legacy::largest(x);
        // the largest number, 6, is in the binade that begins at 4
        let e = if largest > 0.0 { (largest.log2().floor() + 125.0).clamp(0.0, 254.0) as u8 } else { 0 };
        block[0] = e;
        let q: [u8; 32] = std::array::from_fn(|j| nearest(x[j], half_power(e)));
        super::legacy::put_nibbles(&q, &mut block[1..]);
    }
}

/// The nibble whose number is nearest to x; of two, the first.
fn nearest(x: f32, scale: f32) -> u8 {
    let error = |i: usize| (scale * (f32::from(BIASED[i]) - 12.0) - x).abs();
    (1..16).fold(0, |best, i| if error(i) < error(best) { i } else { best }) as u8
}

/// 64 weights in 36 bytes: four unsigned scales of 8 bits (E4M3), one for each 16 weights, then 8 bytes of nibbles for each.
pub(crate) struct NVFP4;

impl Packed for NVFP4 {
    const LEN: usize = 64;
    const BYTES: usize = 36;
    const GROUP: usize = 16;
    const BIAS: u8 = 12;

    #[inline(always)]
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let [low0, low1, high0, high1]: [u64; 4] =
            bytemuck::cast(convert.levels(&BIASED, sixteen_at(block, 4 + 16 * i)));
        bytemuck::cast([low0, high0, low1, high1])
    }

    #[inline(always)]
    fn scales(_: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], _: &mut [f32; MAX_GROUPS]) {
        for g in 0..4 {
            scale[g] = HALF_E4M3[usize::from(block[g])];
        }
    }
}

/// `half_e4m3` of every byte.
static HALF_E4M3: [f32; 256] = {
    let (mut table, mut byte) = ([0.0; 256], 0);
    while byte < 256 {
        table[byte] = half_e4m3(byte as u8);
        byte += 1;
    }
    table
};

/// Half of an unsigned E4M3 number. The code for NaN stands for 0, and bit 7 is of no account but in it.
const fn half_e4m3(byte: u8) -> f32 {
    let (e, man) = ((byte >> 3 & 15) as u32, (byte & 7) as u32);
    match (byte, e) {
        (0x7F, _) => 0.0,
        (_, 0) => man as f32 / 1024.0,
        _ => f32::from_bits((e + 119) << 23 | man << 20),
    }
}
