//! F32, F16 and BF16: one number per element, no blocks.

use super::layout::{Convert, Number, u16_at, u32_at};

pub(crate) struct F32;

impl Number for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    fn get(_: impl Convert, bytes: &[u8]) -> f32 {
        f32::from_bits(u32_at(bytes, 0))
    }
    fn put(x: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&x.to_le_bytes());
    }
}

pub(crate) struct F16;

impl Number for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn get(convert: impl Convert, bytes: &[u8]) -> f32 {
        convert.half(u16_at(bytes, 0))
    }
    #[inline(always)]
    fn sixteen(convert: impl Convert, bytes: &[u8]) -> [f32; 16] {
        convert.sixteen_halves(bytes.first_chunk().expect("16 numbers are longer"))
    }
    fn put(x: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&half::f16::from_f32(x).to_le_bytes());
    }
}

/// The upper half of an f32.
pub(crate) struct BF16;

impl Number for BF16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn get(_: impl Convert, bytes: &[u8]) -> f32 {
        f32::from_bits(u32::from(u16_at(bytes, 0)) << 16)
    }
    fn put(x: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&half::bf16::from_f32(x).to_le_bytes());
    }
}
