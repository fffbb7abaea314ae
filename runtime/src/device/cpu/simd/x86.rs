//! AVX2, with the dot product instruction of AVX-VNNI where there is one, and AVX-512 with VNNI.
//!
//! The few CPUs that have AVX-512 but not its VNNI use AVX2: another set of kernels would not be worth its size.

use std::arch::x86_64::*;

use half::f16;

use super::{Simd, Simd8, weights};
use crate::quant::layout::Convert;

/// How bytes are multiplied: by two instructions of AVX2, or by one of VNNI in either encoding.
pub(crate) const MADD: u8 = 0;
pub(crate) const AVX_VNNI: u8 = 1;
pub(crate) const AVX512_VNNI: u8 = 2;

/// 8 lanes: AVX2, FMA and F16C, and what `DOT` needs.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const DOT: u8>(());

/// 16 lanes: AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

#[target_feature(enable = "avx2,fma,f16c")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn with_avx_vnni<R>(f: impl FnOnce() -> R) -> R {
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

impl<const DOT: u8> Convert for Avx2<DOT> {
    intrinsics! {
        fn half(bits: u16) -> f32 { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
        fn sixteen_halves(bytes: &[u8; 32]) -> [f32; 16] { {
            let eight = |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(bytes[at..].as_ptr().cast()));
            std::mem::transmute::<[__m256; 2], [f32; 16]>([eight(0), eight(16)])
        } }
        fn bytes_of_bits(bits: u32) -> [u8; 32] { {
            if DOT == AVX512_VNNI {
                return std::mem::transmute::<__m256i, [u8; 32]>(_mm256_movm_epi8(bits));
            }
            // byte j / 8 of the bits to byte j, then its bit j % 8
            let which = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let copies = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), which), bit);
            std::mem::transmute::<__m256i, [u8; 32]>(_mm256_cmpeq_epi8(copies, bit))
        } }
        fn nibbles(bytes: &[u8; 16]) -> [u8; 32] { {
            // compilers shift all lanes, each by its own count, which Zen 1 does slowly
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
            std::mem::transmute::<__m256i, [u8; 32]>(_mm256_and_si256(both, _mm256_set1_epi8(15)))
        } }
        fn levels(table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32] { {
            let nibbles = std::mem::transmute::<[u8; 32], __m256i>(Self(()).nibbles(bytes));
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            std::mem::transmute::<__m256i, [u8; 32]>(_mm256_shuffle_epi8(table, nibbles))
        } }
        fn signed(g: [u64; 4], signs: u32, bias: u8) -> [u8; 32] { {
            let negative = std::mem::transmute::<[u8; 32], __m256i>(Self(()).bytes_of_bits(signs));
            let g = _mm256_xor_si256(std::mem::transmute::<[u64; 4], __m256i>(g), negative);
            let q = _mm256_add_epi8(_mm256_sub_epi8(g, negative), _mm256_set1_epi8(bias as i8));
            std::mem::transmute::<__m256i, [u8; 32]>(q)
        } }
    }

    #[inline(always)]
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
        weights(self, q, bias, scale, min, out);
    }
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
    fn prefetch(self, x: &[u8], ahead: usize) {
        // SAFETY: a hint, for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(x.as_ptr().wrapping_add(ahead).cast()) }
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
        fn load_u8(x: &[u8]) -> __m256 {
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(x[..8].as_ptr().cast())))
        }
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
        fn spread(x: __m256) -> [__m256; 4] {
            [
                _mm256_permute_ps::<0x00>(x),
                _mm256_permute_ps::<0x55>(x),
                _mm256_permute_ps::<0xaa>(x),
                _mm256_permute_ps::<0xff>(x),
            ]
        }
        fn heads(first: [u32; 8], mins: bool) -> ([__m256; 2], __m256) { {
            // each half of a register gets the scales or the mins of four blocks
            let [low, high] = std::mem::transmute::<[u32; 8], [__m128i; 2]>(first);
            let low = _mm_shuffle_epi8(low, _mm_setr_epi8(2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13));
            let high = _mm_shuffle_epi8(high, _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
            let (low, high) = (_mm256_cvtph_ps(low), _mm256_cvtph_ps(high));
            let (first, second) = (_mm256_extractf128_ps::<1>(low), _mm256_castps256_ps128(high));
            let scales = [_mm256_set_m128(first, first), _mm256_set_m128(second, second)];
            let [a, b] = if mins { [low, high] } else { scales };
            (scales, _mm256_blend_ps::<0xf0>(a, b))
        } }
        fn halves(low: f32, high: f32) -> __m256 { _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)) }
    }
}

impl Convert for Avx512 {
    #[inline(always)]
    fn half(self, bits: u16) -> f32 {
        self.row().half(bits)
    }
    #[inline(always)]
    fn sixteen_halves(self, bytes: &[u8; 32]) -> [f32; 16] {
        self.row().sixteen_halves(bytes)
    }
    #[inline(always)]
    fn bytes_of_bits(self, bits: u32) -> [u8; 32] {
        self.row().bytes_of_bits(bits)
    }
    #[inline(always)]
    fn nibbles(self, bytes: &[u8; 16]) -> [u8; 32] {
        self.row().nibbles(bytes)
    }
    #[inline(always)]
    fn levels(self, table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32] {
        self.row().levels(table, bytes)
    }
    #[inline(always)]
    fn signed(self, g: [u64; 4], signs: u32, bias: u8) -> [u8; 32] {
        self.row().signed(g, signs, bias)
    }

    #[inline(always)]
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
        weights(self, q, bias, scale, min, out);
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type Row = Avx2<AVX512_VNNI>;
    const LANES: usize = 16;
    const TILE: usize = 8;

    unsafe fn new() -> Self {
        Self(())
    }

    #[inline(always)]
    fn enable<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a value of this type exists only where the CPU has its instructions.
        unsafe { with_avx512_vnni(f) }
    }

    #[inline(always)]
    fn row(self) -> Self::Row {
        Avx2(())
    }

    #[inline(always)]
    fn excess(self, bias: u8) -> f32 {
        f32::from(bias)
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
        fn load_u8(x: &[u8]) -> __m512 {
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(x[..16].as_ptr().cast())))
        }
        fn splat_i(x: i32) -> __m512i { _mm512_set1_epi32(x) }
        fn load_i(x: &[i32]) -> __m512i { _mm512_loadu_si512(x[..16].as_ptr().cast()) }
        fn to_f(x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }
        fn dot4(acc: __m512i, q: __m512i, a: __m512i, _wide: bool) -> __m512i { _mm512_dpbusd_epi32(acc, q, a) }
    }
}
