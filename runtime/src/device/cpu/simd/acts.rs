//! Activations in 8 bits: blocks of 32 with a scale for each half, and their sums, which pay for the `min` and the bias of
//! weights. One scale for all 32 would let a single large activation, of which language models have many, cost its whole
//! block the precision: SmolLM2 lost 0.3 % of perplexity with it, and loses 0.02 to 0.08 % so.

use super::{Simd, enter};
use crate::device::cpu::memory::{Parts, Room};
use crate::error::Result;
use crate::quant::layout::Packed;

/// Blocks are padded to a multiple of this with zeros: kernels take the scales of so many at once.
pub(super) const STEP: usize = 8;
/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Elements that share a scale.
pub(super) const SCALED: usize = 16;
/// Blocks whose scales lie together: those of all first halves, then those of all second halves.
pub(super) const SIDE: usize = 4;

/// Where in a row's scales that of a half of block `b` is.
#[inline(always)]
pub(super) fn place(b: usize, half: usize) -> usize {
    b / SIDE * (2 * SIDE) + half * SIDE + b % SIDE
}

/// Quantized rows of a batch. x = scale * q.
#[derive(Default)]
pub(in crate::device::cpu) struct Acts {
    /// Signed bytes, [rows][stride][32].
    pub(super) q: Vec<[i32; 8]>,
    /// [rows][stride / SIDE][2][SIDE]
    pub(super) scale: Vec<f32>,
    /// scale * sum of q: over each block, [rows][stride].
    pub(super) sum32: Vec<f32>,
    /// The same over each half block, [rows][stride][2].
    pub(super) sum16: Vec<f32>,
    /// Blocks per row.
    pub(super) stride: usize,
}

/// STEP blocks of one row of `Acts`.
#[derive(Clone, Copy)]
pub(super) struct ActsStep<'a> {
    pub(super) q: &'a [[i32; 8]; STEP],
    pub(super) scale: &'a [f32; 2 * STEP],
    /// Over groups of weights.
    pub(super) sums: &'a [f32],
}

/// Threads fill different rows.
pub(in crate::device::cpu) struct ActsWriter<'a> {
    q: Parts<'a, [i32; 8]>,
    scale: Parts<'a, f32>,
    sum32: Parts<'a, f32>,
    sum16: Parts<'a, f32>,
    stride: usize,
}

impl Acts {
    /// Blocks that a row of `cols` elements takes.
    pub(in crate::device::cpu) fn stride(cols: usize) -> usize {
        cols.div_ceil(32).next_multiple_of(STEP)
    }

    /// Room for `rows` rows of up to `cols` elements.
    pub(in crate::device::cpu) fn new(rows: usize, cols: usize, room: &Room) -> Result<Self> {
        let stride = Self::stride(cols);
        let floats = |per_block| room.zeroed("8-bit activations", &[rows, stride, per_block]);
        let q = room.zeroed("8-bit activations", &[rows, stride])?;
        Ok(Self { q, scale: floats(2)?, sum32: floats(1)?, sum16: floats(2)?, stride })
    }

    /// Row `t`, with the sums over groups of `P`.
    #[inline(always)]
    pub(super) fn steps<P: Packed>(&self, t: usize) -> impl Iterator<Item = ActsStep<'_>> {
        let (at, len, groups) = (t * self.stride, self.stride, 32 / P::GROUP);
        let sums = if P::GROUP == 32 { &self.sum32 } else { &self.sum16 };
        let q = self.q[at..][..len].as_chunks().0;
        let scale = self.scale[2 * at..][..2 * len].as_chunks().0;
        let sums = sums[groups * at..][..groups * len].chunks_exact(groups * STEP);
        q.iter().zip(scale).zip(sums).map(|((q, scale), sums)| ActsStep { q, scale, sums })
    }

    /// Makes ready for rows of `cols` elements.
    pub(in crate::device::cpu) fn writer(&mut self, cols: usize) -> ActsWriter<'_> {
        self.stride = Self::stride(cols);
        ActsWriter {
            q: Parts::new(&mut self.q),
            scale: Parts::new(&mut self.scale),
            sum32: Parts::new(&mut self.sum32),
            sum16: Parts::new(&mut self.sum16),
            stride: self.stride,
        }
    }
}

/// Quantizes row `t`; `x.len()` is a multiple of 32. Each row must be given by one thread.
pub(super) fn quantize<S: Simd>(acts: &ActsWriter<'_>, t: usize, x: &[f32]) {
    let (at, len) = (t * acts.stride, acts.stride);
    // SAFETY: rows lie apart, and each is written by one thread.
    let (q, scale, sum32, sum16) = unsafe {
        (
            acts.q.part(at, len),
            acts.scale.part(2 * at, 2 * len),
            acts.sum32.part(at, len),
            acts.sum16.part(2 * at, 2 * len),
        )
    };
    enter::<S, _>(
        #[inline(always)]
        |_| {
            let (halves, _) = x.as_chunks::<SCALED>();
            let bytes: &mut [[i8; SCALED]] = bytemuck::cast_slice_mut(q);
            scale[halves.len() / (2 * SIDE) * (2 * SIDE)..].fill(0.0);
            for (h, x) in halves.iter().enumerate() {
                let (own, q) = half_block(x);
                (scale[place(h / 2, h % 2)], bytes[h]) = (own, q);
                sum16[h] = sum(&q) * own;
            }
            bytes[halves.len()..].fill([0; SCALED]);
            sum16[halves.len()..].fill(0.0);
            (0..len).for_each(|b| sum32[b] = sum16[2 * b] + sum16[2 * b + 1]);
        },
    )
}

/// Scale and q of half a block. The magnitude is taken as bits: so NaN is the largest, and spoils it as it should.
#[inline(always)]
fn half_block(x: &[f32; SCALED]) -> (f32, [i8; SCALED]) {
    let bits = x.iter().map(|x| x.to_bits() & 0x7fff_ffff).fold(0, u32::max);
    let amax = f32::from_bits(bits);
    let inverse = if amax > 0.0 { 127.0 / amax } else { 0.0 };
    let mut q = [0; SCALED];
    for j in 0..SCALED {
        q[j] = (x[j] * inverse + ROUND).to_bits() as i8;
    }
    (amax / 127.0, q)
}

#[inline(always)]
fn sum(q: &[i8]) -> f32 {
    q.iter().map(|&q| i32::from(q)).sum::<i32>() as f32
}
