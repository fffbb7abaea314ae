//! Vector kernels, written once over a small trait and compiled for every instruction set.
//!
//! A file per instruction set implements `Simd`; the kernels (`rows`, `row_dot`, `panel`, `floats`, `attention`) are
//! generic over it and over the layout of the weights (`quant::layout`), so neither a new type nor a new instruction set
//! touches them. Where plain loops are enough, they are plain loops: inlined into a function with the right target
//! features they become vector code.

mod acts;
mod attention;
mod floats;
mod math;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
mod panel;
mod recurrent;
mod row_dot;
mod rows;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) mod wasm;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

pub(super) use acts::{Acts, ActsWriter};
pub(super) use attention::QUERIES;
use half::f16;

use super::kernels::{Kernels, MatrixKernel};
use super::mat_mul::MatMulKernel;
use crate::device::Precision;
use crate::quant::layout::{Convert, Decode, Number, Packed};
use crate::quant::{self, TensorType};

/// How far ahead of its use memory is asked for, in bytes. A matrix is read once and in order, but the hardware's own
/// prefetching stops at every page; this doubles the speed of reading.
const AHEAD: usize = 2048;

/// Vectors of `LANES` f32, or of as many i32 that may each hold 4 bytes. A value of an implementing type proves that the
/// CPU has its instructions; all methods are inlined into a caller that was compiled for them.
pub(super) trait Simd: Convert + 'static {
    type F: Copy;
    type I: Copy;
    /// The same instructions with 8 lanes: one vector holds the 32 bytes of a sub-block.
    type Row: Simd8;
    /// 8 or 16.
    const LANES: usize;
    /// Rows of a batch in one register tile.
    const TILE: usize;

    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn new() -> Self;
    /// Calls `f`, compiled for the instructions.
    fn enable<R>(self, f: impl FnOnce() -> R) -> R;
    fn row(self) -> Self::Row;

    fn splat(self, x: f32) -> Self::F;
    /// The first `LANES` elements. Panics if there are fewer.
    fn load(self, x: &[f32]) -> Self::F;
    fn load_half(self, x: &[f16]) -> Self::F;
    fn store(self, x: Self::F, out: &mut [f32]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The sum of all lanes.
    fn sum(self, x: Self::F) -> f32;

    /// The first `LANES` bytes.
    fn load_u8(self, x: &[u8]) -> Self::F;

    fn splat_i(self, x: i32) -> Self::I;
    fn load_i(self, x: &[i32]) -> Self::I;
    fn to_f(self, x: Self::I) -> Self::F;
    /// acc + the sum of (q - offset) * a over each lane's 4 bytes, where q is unsigned, a in -127..=127, and the offset
    /// 128 or 0, as `excess` tells. If not `wide`, q is at most 127.
    fn dot4(self, acc: Self::I, q: Self::I, a: Self::I, wide: bool) -> Self::I;
    /// What is left to subtract from q after `dot4` with `wide` = (bias == 128), for weights q - bias.
    fn excess(self, bias: u8) -> f32;

    /// Asks for the cache line `ahead` bytes after the start of `x`, which may lie anywhere.
    #[inline(always)]
    fn prefetch(self, _x: &[u8], _ahead: usize) {}

    /// Asks for as many bytes as `x` has, `AHEAD` bytes later.
    #[inline(always)]
    fn prefetch_after(self, x: &[u8]) {
        for line in (0..x.len()).step_by(64) {
            self.prefetch(x, AHEAD + line);
        }
    }

    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }
}

/// `Simd` with 8 lanes.
pub(super) trait Simd8: Simd {
    /// The 32 bytes as they are.
    fn load_bytes(self, x: &[u8; 32]) -> Self::I;
    /// For each j < 4: lane j in lanes 0..4, lane 4 + j in lanes 4..8.
    fn spread(self, x: Self::F) -> [Self::F; 4];
    /// Scales and mins of eight blocks with a `Packed::HEAD`, of which the first four bytes are given: the first four
    /// scales twice, the last four twice, and the mins, or the scales if there are no `mins`.
    #[inline(always)]
    fn heads(self, first: [u32; 8], mins: bool) -> ([Self::F; 2], Self::F) {
        let scale: [f32; 8] = std::array::from_fn(|b| self.half(first[b] as u16));
        let min = if mins { std::array::from_fn(|b| self.half((first[b] >> 16) as u16)) } else { scale };
        let twice = |at: usize| self.load(&std::array::from_fn::<_, 8, _>(|j| scale[at + j % 4]));
        ([twice(0), twice(4)], self.load(&min))
    }
    /// Four lanes `low`, four lanes `high`.
    fn halves(self, low: f32, high: f32) -> Self::F;
}

/// Calls `f` with `S`, compiled for its instructions. Mark the closure `#[inline(always)]`.
///
/// Only kernels in `table::<S>()` call this, which `Level` hands out only where the CPU has the instructions.
#[inline(always)]
fn enter<S: Simd, R>(f: impl FnOnce(S) -> R) -> R {
    // SAFETY: see above.
    let s = unsafe { S::new() };
    s.enable(
        #[inline(always)]
        || f(s),
    )
}

/// The kernels for an instruction set.
pub(super) fn table<S: Simd>() -> &'static Kernels {
    &const {
        Kernels {
            norm: rows::norm::<S>,
            activate: rows::activate::<S>,
            scale: rows::scale::<S>,
            gate: recurrent::gate::<S>,
            conv: recurrent::conv::<S>,
            scan: recurrent::scan::<S>,
            delta_rule: recurrent::delta_rule::<S>,
            wkv: recurrent::wkv::<S>,
            quantize: acts::quantize::<S>,
            attention: attention::attention::<S>,
            mat_mul: matrix_kernel::<S>,
        }
    }
}

fn matrix_kernel<S: Simd>(ty: TensorType, precision: Precision) -> Option<MatrixKernel> {
    struct Choose<S>(Precision, std::marker::PhantomData<S>);
    impl<S: Simd> quant::Visitor for Choose<S> {
        type Output = MatrixKernel;
        fn number<N: Number + Decode>(self) -> MatrixKernel {
            MatrixKernel { run: floats::numbers::<S, N>, decode: decode::<S, N>, quantized: false }
        }
        fn packed<P: Packed + Decode>(self) -> MatrixKernel {
            let (run, quantized): (MatMulKernel, bool) = match self.0 {
                Precision::Fast => (panel::mat_mul::<S, P>, true),
                Precision::Exact => (floats::mat_mul::<S>, false),
            };
            MatrixKernel { run, decode: decode::<S, P>, quantized }
        }
    }
    quant::visit(ty, Choose::<S>(precision, std::marker::PhantomData))
}

/// `quant::Format::dequantize` with vector instructions.
fn decode<S: Simd, D: Decode>(blocks: &[u8], out: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |s| D::decode(s, blocks, out),
    )
}

/// `Convert::weights` with vectors.
#[inline(always)]
fn weights<S: Simd>(s: S, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
    for (q, out) in q.chunks_exact(S::LANES).zip(out.chunks_exact_mut(S::LANES)) {
        let w = s.mul(s.splat(scale), s.add(s.load_u8(q), s.splat(-f32::from(bias))));
        s.store(
            min.map_or(
                w,
                #[inline(always)]
                |min| s.add(w, s.splat(min)),
            ),
            out,
        );
    }
}

/// `half` for instruction sets without a conversion; plain enough to be vectorized. Exact: the product shifts the
/// exponent, and makes normal numbers of subnormal ones.
#[allow(dead_code)] // x86 has instructions
#[inline(always)]
fn portable_half(bits: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let infinite = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | infinite | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_convert_exactly() {
        for bits in 0..=u16::MAX {
            let (a, b) = (portable_half(bits), f16::from_bits(bits).to_f32());
            assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{bits:04x}: {a} {b}");
        }
    }
}
