//! NEON, with the dot product instruction of ARMv8.4 where there is one. 8 lanes are two registers.

use std::arch::aarch64::*;

use half::f16;

use super::{Simd, Simd8, weights};
use crate::quant::layout::Convert;

/// 8 lanes; with the `dotprod` extension if `DOT`.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const DOT: bool>(());

#[target_feature(enable = "neon")]
fn with_neon<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "neon,dotprod")]
fn with_dot<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Methods whose body is intrinsics.
macro_rules! intrinsics {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty { $body:expr })*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $out {
            // SAFETY: a value of this type exists only where the CPU has its instructions; loads and stores are of whole
            // slices whose length was checked.
            unsafe { $body }
        })*
    };
}

impl<const DOT: bool> Convert for Neon<DOT> {
    #[inline(always)]
    fn half(self, bits: u16) -> f32 {
        // SAFETY: NEON is part of every aarch64.
        unsafe { vgetq_lane_f32::<0>(halves_to_f32(vdup_n_u16(bits))) }
    }

    #[inline(always)]
    fn sixteen_halves(self, bytes: &[u8; 32]) -> [f32; 16] {
        let mut out = [0.0; 16];
        for (bits, out) in bytes.as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<4>().0) {
            // SAFETY: NEON is part of every aarch64; 4 numbers are stored to 4.
            unsafe { vst1q_f32(out.as_mut_ptr(), halves_to_f32(vcreate_u16(u64::from_le_bytes(*bits)))) };
        }
        out
    }

    #[inline(always)]
    fn bytes_of_bits(self, bits: u32) -> [u8; 32] {
        // SAFETY: as above; 16 bytes are stored in each half of 32.
        unsafe {
            let bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
            let all = vreinterpretq_u8_u32(vdupq_n_u32(bits));
            let mut out = [0; 32];
            for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let first = 2 * half as u8;
                let which = vcombine_u8(vdup_n_u8(first), vdup_n_u8(first + 1));
                vst1q_u8(out.as_mut_ptr(), vtstq_u8(vqtbl1q_u8(all, which), bit));
            }
            out
        }
    }

    #[inline(always)]
    fn levels(self, table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32] {
        let mut out = [0; 32];
        // SAFETY: as above; 16 bytes are read of 16 each and stored in each half of 32.
        unsafe {
            let (table, bytes) = (vld1q_u8(table.as_ptr()), vld1q_u8(bytes.as_ptr()));
            vst1q_u8(out.as_mut_ptr(), vqtbl1q_u8(table, vandq_u8(bytes, vdupq_n_u8(15))));
            vst1q_u8(out[16..].as_mut_ptr(), vqtbl1q_u8(table, vshrq_n_u8::<4>(bytes)));
        }
        out
    }

    #[inline(always)]
    fn signed(self, g: [u64; 4], signs: u32, bias: u8) -> [u8; 32] {
        let (mut out, negative) = ([0; 32], self.bytes_of_bits(signs));
        // SAFETY: as above; 16 bytes are read of each half of 32 and stored there.
        unsafe {
            for i in 0..2 {
                let negative = vld1q_u8(negative[16 * i..].as_ptr());
                let g = veorq_u8(vcombine_u8(vcreate_u8(g[2 * i]), vcreate_u8(g[2 * i + 1])), negative);
                vst1q_u8(out[16 * i..].as_mut_ptr(), vaddq_u8(vsubq_u8(g, negative), vdupq_n_u8(bias)));
            }
        }
        out
    }

    #[inline(always)]
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
        weights(self, q, bias, scale, min, out);
    }
}

impl<const DOT: bool> Simd for Neon<DOT> {
    type F = float32x4x2_t;
    type I = int32x4x2_t;
    type Row = Self;
    const LANES: usize = 8;
    const TILE: usize = 8;

    unsafe fn new() -> Self {
        Self(())
    }

    #[inline(always)]
    fn enable<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a value of this type exists only where the CPU has its instructions.
        unsafe { if DOT { with_dot(f) } else { with_neon(f) } }
    }

    #[inline(always)]
    fn row(self) -> Self {
        self
    }

    /// Bytes are multiplied as signed ones, so a bias of 128 is subtracted on the way.
    #[inline(always)]
    fn excess(self, bias: u8) -> f32 {
        if bias == 128 { 0.0 } else { f32::from(bias) }
    }

    intrinsics! {
        fn splat(x: f32) -> float32x4x2_t { float32x4x2_t(vdupq_n_f32(x), vdupq_n_f32(x)) }
        fn load(x: &[f32]) -> float32x4x2_t { vld1q_f32_x2(x[..8].as_ptr()) }
        fn load_half(x: &[f16]) -> float32x4x2_t { {
            let x = vld1q_u16(x[..8].as_ptr().cast());
            float32x4x2_t(halves_to_f32(vget_low_u16(x)), halves_to_f32(vget_high_u16(x)))
        } }
        fn store(x: float32x4x2_t, out: &mut [f32]) -> () { vst1q_f32_x2(out[..8].as_mut_ptr(), x) }
        fn add(a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
            float32x4x2_t(vaddq_f32(a.0, b.0), vaddq_f32(a.1, b.1))
        }
        fn mul(a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
            float32x4x2_t(vmulq_f32(a.0, b.0), vmulq_f32(a.1, b.1))
        }
        fn fma(a: float32x4x2_t, b: float32x4x2_t, c: float32x4x2_t) -> float32x4x2_t {
            float32x4x2_t(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1))
        }
        fn sum(x: float32x4x2_t) -> f32 { vaddvq_f32(vaddq_f32(x.0, x.1)) }
        fn load_u8(x: &[u8]) -> float32x4x2_t { {
            let x = vmovl_u8(vld1_u8(x[..8].as_ptr()));
            let (low, high) = (vmovl_u16(vget_low_u16(x)), vmovl_high_u16(x));
            float32x4x2_t(vcvtq_f32_u32(low), vcvtq_f32_u32(high))
        } }
        fn splat_i(x: i32) -> int32x4x2_t { int32x4x2_t(vdupq_n_s32(x), vdupq_n_s32(x)) }
        fn load_i(x: &[i32]) -> int32x4x2_t { vld1q_s32_x2(x[..8].as_ptr()) }
        fn to_f(x: int32x4x2_t) -> float32x4x2_t { float32x4x2_t(vcvtq_f32_s32(x.0), vcvtq_f32_s32(x.1)) }
        fn dot4(acc: int32x4x2_t, q: int32x4x2_t, a: int32x4x2_t, wide: bool) -> int32x4x2_t {
            int32x4x2_t(dot::<DOT>(acc.0, q.0, a.0, wide), dot::<DOT>(acc.1, q.1, a.1, wide))
        }
    }
}

impl<const DOT: bool> Simd8 for Neon<DOT> {
    intrinsics! {
        fn load_bytes(x: &[u8; 32]) -> int32x4x2_t { vld1q_s32_x2(x.as_ptr().cast()) }
        fn spread(x: float32x4x2_t) -> [float32x4x2_t; 4] {
            [
                float32x4x2_t(vdupq_laneq_f32::<0>(x.0), vdupq_laneq_f32::<0>(x.1)),
                float32x4x2_t(vdupq_laneq_f32::<1>(x.0), vdupq_laneq_f32::<1>(x.1)),
                float32x4x2_t(vdupq_laneq_f32::<2>(x.0), vdupq_laneq_f32::<2>(x.1)),
                float32x4x2_t(vdupq_laneq_f32::<3>(x.0), vdupq_laneq_f32::<3>(x.1)),
            ]
        }
        fn halves(low: f32, high: f32) -> float32x4x2_t { float32x4x2_t(vdupq_n_f32(low), vdupq_n_f32(high)) }
    }
}

/// acc + the sums of each lane's 4 products; of q - 128 and a if `wide`.
///
/// # Safety
/// The CPU must have `dotprod` if `DOT`.
#[inline(always)]
unsafe fn dot<const DOT: bool>(mut acc: int32x4_t, q: int32x4_t, a: int32x4_t, wide: bool) -> int32x4_t {
    // SAFETY: the caller's promise; NEON is part of every aarch64, and the instruction touches nothing but registers.
    unsafe {
        let (q, a) = (vreinterpretq_s8_s32(q), vreinterpretq_s8_s32(a));
        let q = if wide { veorq_s8(q, vdupq_n_s8(-128)) } else { q };
        if DOT {
            // the intrinsic is not stable yet
            std::arch::asm!(
                "sdot {acc:v}.4s, {q:v}.16b, {a:v}.16b",
                acc = inout(vreg) acc, q = in(vreg) q, a = in(vreg) a,
                options(pure, nomem, nostack, preserves_flags),
            );
            return acc;
        }
        // neighbours' sums fit 16 bits: 2 * 128 * 127
        let pairs = vpaddq_s16(vmull_s8(vget_low_s8(q), vget_low_s8(a)), vmull_high_s8(q, a));
        vpadalq_s16(acc, pairs)
    }
}

/// The values of four IEEE halves.
///
/// # Safety
/// None: NEON is part of every aarch64. (Unsafe only as intrinsics are.)
#[inline(always)]
unsafe fn halves_to_f32(bits: uint16x4_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: the instruction touches nothing but registers. Its intrinsic is not stable yet.
    unsafe {
        std::arch::asm!(
            "fcvtl {out:v}.4s, {bits:v}.4h",
            out = lateout(vreg) out, bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    out
}
