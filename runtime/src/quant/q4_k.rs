//! Q4_K: 256 weights d * sc * q - dmin * mn in 144 bytes: f16 d, f16 dmin, 8 pairs (sc, mn) of 6 bits in 12 bytes, then
//! nibbles q: of each 32 bytes, the low ones are one sub-block of 32 weights and the high ones the next.

use super::layout::{Convert, Encode, MAX_GROUPS, Packed, u16_at, u32_at};
use super::legacy::{inverse, put_half};
use super::search::{Affine, rounded, within};

pub(crate) struct Q4K;

impl Packed for Q4K {
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const MIN: bool = true;
    const ENCODE: Option<Encode> = Some(encode);

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

const SEARCH: Affine = Affine { top: 15.0, first: -1.0, steps: 20, absolute: false };

fn encode(x: &[f32], blocks: &mut [u8]) {
    for (x, block) in x.chunks_exact(256).zip(blocks.chunks_exact_mut(144)) {
        let q = encode_scales(x, &SEARCH, block);
        put_nibbles(&q, &mut block[16..]);
    }
}

/// Low nibbles of a block, as Q4_K and Q5_K have them.
pub(super) fn put_nibbles(q: &[u8; 256], bytes: &mut [u8]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        let at = 64 * (i / 32) + i % 32;
        *byte = q[at] & 15 | (q[at + 32] & 15) << 4;
    }
}

/// Finds and writes the scales of Q4_K and Q5_K, bytes 0..16 of a block; returns q.
pub(super) fn encode_scales(x: &[f32], search: &Affine, block: &mut [u8]) -> [u8; 256] {
    let groups: [(f32, f32); 8] = std::array::from_fn(|g| {
        let x = &x[32 * g..][..32];
        let rms = (x.iter().map(|x| x * x).sum::<f32>() / 32.0).sqrt();
        let weight: [f32; 32] = std::array::from_fn(|i| rms + x[i].abs());
        search.search(x, &weight)
    });
    let largest = groups.iter().fold((0f32, 0f32), |(a, b), g| (a.max(g.0), b.max(g.1)));
    let (to_scale, to_min) = (63.0 * inverse(largest.0), 63.0 * inverse(largest.1));
    let sc = groups.map(|g| within(g.0 * to_scale, 0.0, 63.0));
    let mn = groups.map(|g| within(g.1 * to_min, 0.0, 63.0));
    let (d, dmin) = (largest.0 / 63.0, largest.1 / 63.0);
    put_half(block, 0, d);
    put_half(block, 2, dmin);
    put_scales(sc.map(|sc| sc as u8), mn.map(|mn| mn as u8), &mut block[4..16]);
    let (d, dmin) = (rounded(d).1, rounded(dmin).1);
    std::array::from_fn(|i| {
        let g = i / 32;
        within((x[i] + dmin * mn[g]) * inverse(d * sc[g]), 0.0, search.top) as u8
    })
}

/// As `scales` reads them.
fn put_scales(sc: [u8; 8], mn: [u8; 8], bytes: &mut [u8]) {
    for j in 0..4 {
        bytes[j] = sc[j] | sc[j + 4] >> 4 << 6;
        bytes[j + 4] = mn[j] | mn[j + 4] >> 4 << 6;
        bytes[j + 8] = sc[j + 4] & 15 | (mn[j + 4] & 15) << 4;
    }
}
