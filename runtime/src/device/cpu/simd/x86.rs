//! AVX2 and AVX-512, with the dot product instructions of VNNI where there are any.

use std::arch::x86_64::*;

use half::f16;

use super::{Simd, Simd8};

/// How bytes are multiplied: by two instructions of AVX2, or by one of VNNI in either encoding.
pub(crate) const MADD: u8 = 0;
pub(crate) const AVX_VNNI: u8 = 1;
pub(crate) const AVX512_VNNI: u8 = 2;

/// 8 lanes: AVX2, FMA and F16C, and what `DOT` needs.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const DOT: u8>(());

/// 16 lanes: AVX-512 F, BW, DQ and VL, and VNNI if `VNNI`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>(());

#[target_feature(enable = "avx2,fma,f16c")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn with_avx_vnni<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn with_avx512_vnni<R>(f: impl FnOnce() -> R) -> R {
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

impl<const DOT: u8> Simd for Avx2<DOT> {
    type F = __m256;
    type I = __m256i;
    type Row = Self;
    const LANES: usize = 8;
    const TILE: usize = 4;

    unsafe fn new() -> Self {
        Self(())
    }

    #[inline(always)]
    fn enable<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a value of this type exists only where the CPU has its instructions.
        unsafe {
            match DOT {
                MADD => with_avx2(f),
                AVX_VNNI => with_avx_vnni(f),
                _ => with_avx512_vnni(f),
            }
        }
    }

    #[inline(always)]
    fn row(self) -> Self {
        self
    }

    #[inline(always)]
    fn excess(self, bias: u8) -> f32 {
        if DOT == MADD && bias == 128 { 0.0 } else { f32::from(bias) }
    }

    intrinsics! {
        fn splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn load(x: &[f32]) -> __m256 { _mm256_loadu_ps(x[..8].as_ptr()) }
        fn load_half(x: &[f16]) -> __m256 { _mm256_cvtph_ps(_mm_loadu_si128(x[..8].as_ptr().cast())) }
        fn store(x: __m256, out: &mut [f32]) -> () { _mm256_storeu_ps(out[..8].as_mut_ptr(), x) }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        fn sum(x: __m256) -> f32 { {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        } }
        fn half(bits: u16) -> f32 { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
        fn splat_i(x: i32) -> __m256i { _mm256_set1_epi32(x) }
        fn load_i(x: &[i32]) -> __m256i { _mm256_loadu_si256(x[..8].as_ptr().cast()) }
        fn to_f(x: __m256i) -> __m256 { _mm256_cvtepi32_ps(x) }
        fn dot4(acc: __m256i, q: __m256i, a: __m256i, wide: bool) -> __m256i {
            match DOT {
                MADD => {
                    // pairs are added in 16 bits: 2 * 127 * 127 fits, 2 * 255 * 127 does not, so wide q become signed
                    let signed = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
                    let pairs = if wide {
                        _mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(a, signed))
                    } else {
                        _mm256_maddubs_epi16(q, a)
                    };
                    _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                }
                AVX_VNNI => _mm256_dpbusd_avx_epi32(acc, q, a),
                _ => _mm256_dpbusd_epi32(acc, q, a),
            }
        }
    }
}

impl<const DOT: u8> Simd8 for Avx2<DOT> {
    intrinsics! {
        fn load_bytes(x: &[u8; 32]) -> __m256i { _mm256_loadu_si256(x.as_ptr().cast()) }
        fn halves(low: f32, high: f32) -> __m256 { _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)) }
    }
}

/// `Simd::Row` of `Avx512`: the same dot product in 8 lanes.
macro_rules! avx512 {
    ($vnni:literal, $dot:ident, $with:ident) => {
        impl Simd for Avx512<$vnni> {
            type F = __m512;
            type I = __m512i;
            type Row = Avx2<$dot>;
            const LANES: usize = 16;
            const TILE: usize = 8;

            unsafe fn new() -> Self {
                Self(())
            }

            #[inline(always)]
            fn enable<R>(self, f: impl FnOnce() -> R) -> R {
                // SAFETY: a value of this type exists only where the CPU has its instructions.
                unsafe { $with(f) }
            }

            #[inline(always)]
            fn row(self) -> Self::Row {
                Avx2(())
            }

            #[inline(always)]
            fn excess(self, bias: u8) -> f32 {
                self.row().excess(bias)
            }

            #[inline(always)]
            fn half(self, bits: u16) -> f32 {
                self.row().half(bits)
            }

            intrinsics! {
                fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
                fn load(x: &[f32]) -> __m512 { _mm512_loadu_ps(x[..16].as_ptr()) }
                fn load_half(x: &[f16]) -> __m512 { _mm512_cvtph_ps(_mm256_loadu_si256(x[..16].as_ptr().cast())) }
                fn store(x: __m512, out: &mut [f32]) -> () { _mm512_storeu_ps(out[..16].as_mut_ptr(), x) }
                fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
                fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
                fn fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
                fn sum(x: __m512) -> f32 { _mm512_reduce_add_ps(x) }
                fn splat_i(x: i32) -> __m512i { _mm512_set1_epi32(x) }
                fn load_i(x: &[i32]) -> __m512i { _mm512_loadu_si512(x[..16].as_ptr().cast()) }
                fn to_f(x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }
                fn dot4(acc: __m512i, q: __m512i, a: __m512i, wide: bool) -> __m512i { dot512::<$vnni>(acc, q, a, wide) }
            }
        }
    };
}

avx512!(false, MADD, with_avx512);
avx512!(true, AVX512_VNNI, with_avx512_vnni);

/// `Simd::dot4` in 16 lanes.
///
/// # Safety
/// The CPU must have AVX-512 BW, and VNNI if `VNNI`.
#[inline(always)]
unsafe fn dot512<const VNNI: bool>(acc: __m512i, q: __m512i, a: __m512i, wide: bool) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        if VNNI {
            return _mm512_dpbusd_epi32(acc, q, a);
        }
        let signed = _mm512_xor_si512(q, _mm512_set1_epi8(-128));
        let pairs = if wide {
            let negated = _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(signed), _mm512_setzero_si512(), a);
            _mm512_maddubs_epi16(_mm512_abs_epi8(signed), negated)
        } else {
            _mm512_maddubs_epi16(q, a)
        };
        _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
    }
}
