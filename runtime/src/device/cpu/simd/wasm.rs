//! WebAssembly simd128. 8 lanes are two vectors. There is no run-time detection: the whole module needs the feature or does
//! not have this file.

use std::arch::wasm32::*;

use half::f16;

use super::{Simd, Simd8, portable_half, weights};
use crate::quant::layout::Convert;

/// 8 lanes.
#[derive(Clone, Copy)]
pub(crate) struct Simd128(());

/// Two vectors.
type Pair = [v128; 2];

#[inline(always)]
fn pair_of(x: &[u8; 32]) -> Pair {
    // SAFETY: 32 bytes are read of 32.
    unsafe { [v128_load(x.as_ptr().cast()), v128_load(x[16..].as_ptr().cast())] }
}

impl Convert for Simd128 {
    #[inline(always)]
    fn half(self, bits: u16) -> f32 {
        portable_half(bits)
    }

    #[inline(always)]
    fn bytes_of_bits(self, bits: u32) -> [u8; 32] {
        let bit = u64x2_splat(0x8040_2010_0804_0201);
        let all = u32x4_splat(bits);
        let low = i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        let mut out = [0; 32];
        for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let which = i8x16_add(low, i8x16_splat(2 * half as i8));
            let set = i8x16_eq(v128_and(i8x16_swizzle(all, which), bit), bit);
            // SAFETY: 16 bytes are written to 16.
            unsafe { v128_store(out.as_mut_ptr().cast(), set) };
        }
        out
    }

    #[inline(always)]
    fn levels(self, table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32] {
        let mut out = [0; 32];
        // SAFETY: 16 bytes are read of 16 each and written to each half of 32.
        unsafe {
            let (table, bytes) = (v128_load(table.as_ptr().cast()), v128_load(bytes.as_ptr().cast()));
            let low = i8x16_swizzle(table, v128_and(bytes, u8x16_splat(15)));
            v128_store(out.as_mut_ptr().cast(), low);
            v128_store(out[16..].as_mut_ptr().cast(), i8x16_swizzle(table, u8x16_shr(bytes, 4)));
        }
        out
    }

    #[inline(always)]
    fn signed(self, g: [u64; 4], signs: u32, bias: u8) -> [u8; 32] {
        let (mut out, negative) = ([0; 32], pair_of(&self.bytes_of_bits(signs)));
        for i in 0..2 {
            let g = v128_xor(u64x2(g[2 * i], g[2 * i + 1]), negative[i]);
            let q = i8x16_add(i8x16_sub(g, negative[i]), u8x16_splat(bias));
            // SAFETY: 16 bytes are written to half of 32.
            unsafe { v128_store(out[16 * i..].as_mut_ptr().cast(), q) };
        }
        out
    }

    #[inline(always)]
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
        weights(self, q, bias, scale, min, out);
    }
}

impl Simd for Simd128 {
    type F = Pair;
    type I = Pair;
    type Row = Self;
    const LANES: usize = 8;
    const TILE: usize = 4;

    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    fn enable<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(always)]
    fn row(self) -> Self {
        self
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Pair {
        [f32x4_splat(x); 2]
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Pair {
        let x = &x[..8];
        // SAFETY: 8 elements are read of 8.
        unsafe { [v128_load(x.as_ptr().cast()), v128_load(x[4..].as_ptr().cast())] }
    }
    #[inline(always)]
    fn load_half(self, x: &[f16]) -> Pair {
        let x = &x[..8];
        let mut out = [0.0; 8];
        for i in 0..8 {
            out[i] = portable_half(x[i].to_bits());
        }
        self.load(&out)
    }
    #[inline(always)]
    fn store(self, x: Pair, out: &mut [f32]) {
        let out = &mut out[..8];
        // SAFETY: 8 elements are written to 8.
        unsafe {
            v128_store(out.as_mut_ptr().cast(), x[0]);
            v128_store(out[4..].as_mut_ptr().cast(), x[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        [f32x4_add(a[0], b[0]), f32x4_add(a[1], b[1])]
    }
    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        [f32x4_mul(a[0], b[0]), f32x4_mul(a[1], b[1])]
    }
    /// In two roundings: one is not in the baseline.
    #[inline(always)]
    fn fma(self, a: Pair, b: Pair, c: Pair) -> Pair {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn sum(self, x: Pair) -> f32 {
        let four = f32x4_add(x[0], x[1]);
        let two = f32x4_add(four, i32x4_shuffle::<2, 3, 0, 1>(four, four));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }

    #[inline(always)]
    fn load_u8(self, x: &[u8]) -> Pair {
        let x = &x[..8];
        // SAFETY: 8 bytes are read of 8.
        let x = unsafe { u16x8_load_extend_u8x8(x.as_ptr()) };
        [f32x4_convert_u32x4(u32x4_extend_low_u16x8(x)), f32x4_convert_u32x4(u32x4_extend_high_u16x8(x))]
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Pair {
        [i32x4_splat(x); 2]
    }
    #[inline(always)]
    fn load_i(self, x: &[i32]) -> Pair {
        let x = &x[..8];
        // SAFETY: 8 elements are read of 8.
        unsafe { [v128_load(x.as_ptr().cast()), v128_load(x[4..].as_ptr().cast())] }
    }
    #[inline(always)]
    fn to_f(self, x: Pair) -> Pair {
        [f32x4_convert_i32x4(x[0]), f32x4_convert_i32x4(x[1])]
    }
    #[inline(always)]
    fn dot4(self, acc: Pair, q: Pair, a: Pair, wide: bool) -> Pair {
        let flip = i8x16_splat(if wide { -128 } else { 0 });
        let dot = |i: usize| i32x4_add(acc[i], dot(v128_xor(q[i], flip), a[i]));
        [dot(0), dot(1)]
    }
    /// Bytes are multiplied as signed ones, so a bias of 128 is subtracted on the way.
    #[inline(always)]
    fn excess(self, bias: u8) -> f32 {
        if bias == 128 { 0.0 } else { f32::from(bias) }
    }
}

impl Simd8 for Simd128 {
    #[inline(always)]
    fn load_bytes(self, x: &[u8; 32]) -> Pair {
        pair_of(x)
    }
    #[inline(always)]
    fn spread(self, x: Pair) -> [Pair; 4] {
        [
            x.map(|x| i32x4_shuffle::<0, 0, 0, 0>(x, x)),
            x.map(|x| i32x4_shuffle::<1, 1, 1, 1>(x, x)),
            x.map(|x| i32x4_shuffle::<2, 2, 2, 2>(x, x)),
            x.map(|x| i32x4_shuffle::<3, 3, 3, 3>(x, x)),
        ]
    }
    #[inline(always)]
    fn halves(self, low: f32, high: f32) -> Pair {
        [f32x4_splat(low), f32x4_splat(high)]
    }
}

/// The sums of each lane's 4 products of signed bytes.
#[inline(always)]
fn dot(q: v128, a: v128) -> v128 {
    let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(q), i16x8_extend_low_i8x16(a));
    let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(q), i16x8_extend_high_i8x16(a));
    i32x4_add(i32x4_shuffle::<0, 2, 4, 6>(low, high), i32x4_shuffle::<1, 3, 5, 7>(low, high))
}
