//! Q4_K: 256 weights d * sc * q - dmin * mn in 144 bytes: f16 d, f16 dmin, 8 pairs (sc, mn) of 6 bits in 12 bytes, then
//! nibbles q: of each 32 bytes, the low ones are one sub-block of 32 weights and the high ones the next.

use super::layout::{Convert, MAX_GROUPS, Packed, u16_at, u32_at};

pub(crate) struct Q4K;

impl Packed for Q4K {
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const MIN: bool = true;

    #[inline(always)]
    fn quants(_: impl Convert, block: &[u8], i: usize) -> [u8; 32] {
        let bytes = &block[16 + 32 * (i / 2)..][..32];
        let shift = 4 * (i % 2);
        let mut q = [0; 32];
        for j in 0..32 {
            q[j] = bytes[j] >> shift & 15;
        }
        q
    }

    #[inline(always)]
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
        scales(convert, block, scale, min);
    }
}

/// The scales of Q4_K and Q5_K: bytes 0..16 of a block.
#[inline(always)]
pub(super) fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]) {
    let (d, dmin) = (convert.half(u16_at(block, 0)), convert.half(u16_at(block, 2)));
    let (a, b, c) = (u32_at(block, 4), u32_at(block, 8), u32_at(block, 12));
    // the first four have their 6 bits together; of the others, c holds the low nibbles and a, b the upper two bits
    let sc = pair(a & 0x3f3f_3f3f, c & 0x0f0f_0f0f | (a >> 6 & 0x0303_0303) << 4);
    let mn = pair(b & 0x3f3f_3f3f, c >> 4 & 0x0f0f_0f0f | (b >> 6 & 0x0303_0303) << 4);
    for j in 0..8 {
        scale[j] = d * f32::from(sc[j]);
        min[j] = -(dmin * f32::from(mn[j]));
    }
}

#[inline(always)]
fn pair(low: u32, high: u32) -> [u8; 8] {
    (u64::from(low) | u64::from(high) << 32).to_le_bytes()
}
