//! The ggml tensor types: their ids, block shapes, and one file per type with its layout, from which the reference decoder
//! and the CPU's kernels follow. To add a type: write its file, and name it in `registry!` below.
//!
//! A *block* is the smallest run of elements that is stored together: `block_len` elements in `block_bytes` bytes,
//! always along a row (dimension 0). Layouts: spec "quant formats", the same bytes that ggml writes.

mod fp4;
pub(crate) mod grid;
mod iq1;
mod iq2;
mod iq3;
mod iq4;
pub(crate) mod layout;
mod legacy;
mod number;
mod q1_0;
mod q2_0;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod recipe;
mod search;
mod tq1_0;
mod tq2_0;

use layout::{Convert, Decode, Encode, Number, Packed};
pub use recipe::{Recipe, Shape};
#[cfg(feature = "gpu")]
pub(crate) use {q2_0::Q2_0, q2_k::Q2K, q3_k::Q3K, tq1_0::TQ1_0, tq2_0::TQ2_0};

/// A ggml tensor type. The discriminant is the id that GGUF files store.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum TensorType {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    Q8_K = 15,
    IQ2_XXS = 16,
    IQ2_XS = 17,
    IQ3_XXS = 18,
    IQ1_S = 19,
    IQ4_NL = 20,
    IQ3_S = 21,
    IQ2_S = 22,
    IQ4_XS = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    IQ1_M = 29,
    BF16 = 30,
    TQ1_0 = 34,
    TQ2_0 = 35,
    MXFP4 = 39,
    NVFP4 = 40,
    Q1_0 = 41,
    Q2_0 = 42,
}

/// Every type with its name, elements per block and bytes per block.
const TABLE: &[(TensorType, &str, u32, u32)] = {
    use TensorType::*;
    &[
        (F32, "F32", 1, 4),
        (F16, "F16", 1, 2),
        (Q4_0, "Q4_0", 32, 18),
        (Q4_1, "Q4_1", 32, 20),
        (Q5_0, "Q5_0", 32, 22),
        (Q5_1, "Q5_1", 32, 24),
        (Q8_0, "Q8_0", 32, 34),
        (Q8_1, "Q8_1", 32, 36),
        (Q2_K, "Q2_K", 256, 84),
        (Q3_K, "Q3_K", 256, 110),
        (Q4_K, "Q4_K", 256, 144),
        (Q5_K, "Q5_K", 256, 176),
        (Q6_K, "Q6_K", 256, 210),
        (Q8_K, "Q8_K", 256, 292),
        (IQ2_XXS, "IQ2_XXS", 256, 66),
        (IQ2_XS, "IQ2_XS", 256, 74),
        (IQ3_XXS, "IQ3_XXS", 256, 98),
        (IQ1_S, "IQ1_S", 256, 50),
        (IQ4_NL, "IQ4_NL", 32, 18),
        (IQ3_S, "IQ3_S", 256, 110),
        (IQ2_S, "IQ2_S", 256, 82),
        (IQ4_XS, "IQ4_XS", 256, 136),
        (I8, "I8", 1, 1),
        (I16, "I16", 1, 2),
        (I32, "I32", 1, 4),
        (I64, "I64", 1, 8),
        (F64, "F64", 1, 8),
        (IQ1_M, "IQ1_M", 256, 56),
        (BF16, "BF16", 1, 2),
        (TQ1_0, "TQ1_0", 256, 54),
        (TQ2_0, "TQ2_0", 256, 66),
        (MXFP4, "MXFP4", 32, 17),
        (NVFP4, "NVFP4", 64, 36),
        (Q1_0, "Q1_0", 128, 18),
        (Q2_0, "Q2_0", 64, 18),
    ]
};

impl TensorType {
    /// The type of a GGUF type id; `None` for removed or unknown ids.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.0 as u32 == id).map(|row| row.0)
    }

    fn row(self) -> &'static (TensorType, &'static str, u32, u32) {
        TABLE.iter().find(|row| row.0 == self).expect("every variant is in TABLE")
    }

    /// The name ggml gives it, e.g. `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().1
    }
    /// Elements per block.
    pub fn block_len(self) -> usize {
        self.row().2 as usize
    }
    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        self.row().3 as usize
    }
    /// Bytes of a row of `cols` elements; `cols` must be a multiple of `block_len`.
    pub fn row_bytes(self, cols: usize) -> usize {
        cols / self.block_len() * self.block_bytes()
    }
}

/// The types that can be computed with, by their layout.
macro_rules! registry {
    (numbers: $($number:ident: $n:path),*; packed: $($packed:ident: $p:path),*;) => {
        $(impl Decode for $n {
            const TYPE: TensorType = TensorType::$number;
            const ENCODE: Option<Encode> = Some(layout::encode_numbers::<$n>);
            #[inline(always)]
            fn decode(convert: impl Convert, bytes: &[u8], out: &mut [f32]) {
                layout::decode_numbers::<$n>(convert, bytes, out);
            }
        })*
        $(impl Decode for $p {
            const TYPE: TensorType = TensorType::$packed;
            const ENCODE: Option<Encode> = <$p as Packed>::ENCODE;
            #[inline(always)]
            fn decode(convert: impl Convert, blocks: &[u8], out: &mut [f32]) {
                layout::decode_packed::<$p>(convert, blocks, out);
            }
        })*

        /// Types that can be computed with.
        pub const SUPPORTED: &[TensorType] = &[$(TensorType::$number,)* $(TensorType::$packed),*];

        /// Calls the visitor with the Rust type that describes `ty`; `None` if there is none.
        pub(crate) fn visit<V: Visitor>(ty: TensorType, visitor: V) -> Option<V::Output> {
            match ty {
                $(TensorType::$number => Some(visitor.number::<$n>()),)*
                $(TensorType::$packed => Some(visitor.packed::<$p>()),)*
                _ => None,
            }
        }
    };
}

registry! {
    numbers: F32: number::F32, F16: number::F16, BF16: number::BF16;
    packed: Q4_0: q4_0::Q4_0, Q4_1: q4_1::Q4_1, Q5_0: q5_0::Q5_0, Q5_1: q5_1::Q5_1, Q8_0: q8_0::Q8_0,
        Q2_K: q2_k::Q2K, Q3_K: q3_k::Q3K, Q4_K: q4_k::Q4K, Q5_K: q5_k::Q5K, Q6_K: q6_k::Q6K,
        IQ1_S: iq1::IQ1S, IQ1_M: iq1::IQ1M, IQ2_XXS: iq2::IQ2XXS, IQ2_XS: iq2::IQ2XS, IQ2_S: iq2::IQ2S,
        IQ3_XXS: iq3::IQ3XXS, IQ3_S: iq3::IQ3S, IQ4_NL: iq4::IQ4NL, IQ4_XS: iq4::IQ4XS,
        TQ1_0: tq1_0::TQ1_0, TQ2_0: tq2_0::TQ2_0, MXFP4: fp4::MXFP4, NVFP4: fp4::NVFP4, Q1_0: q1_0::Q1_0, Q2_0: q2_0::Q2_0;
}

/// Something generic over a type's layout: turns a run-time `TensorType` into a compile-time one.
pub(crate) trait Visitor {
    type Output;
    fn number<N: Number + Decode>(self) -> Self::Output;
    fn packed<P: Packed + Decode>(self) -> Self::Output;
}

/// The reference decoder (and, for simple types, encoder) of one tensor type.
pub trait Format: Send + Sync {
    /// Which type.
    fn ty(&self) -> TensorType;
    /// Decodes whole blocks. `out` has as many elements as `blocks` holds; anything beyond a whole block is ignored.
    fn dequantize(&self, blocks: &[u8], out: &mut [f32]);
    /// Encodes whole blocks as ggml's reference encoder does. `false` (and nothing written) if gabion has no encoder
    /// for the type.
    fn quantize(&self, x: &[f32], blocks: &mut [u8]) -> bool;
}

/// `Format` of a layout.
struct Of<D>(std::marker::PhantomData<D>);

impl<D: Decode> Format for Of<D> {
    fn ty(&self) -> TensorType {
        D::TYPE
    }
    fn dequantize(&self, blocks: &[u8], out: &mut [f32]) {
        D::decode(layout::Plain, blocks, out);
    }
    fn quantize(&self, x: &[f32], blocks: &mut [u8]) -> bool {
        D::ENCODE.map(|encode| encode(x, blocks)).is_some()
    }
}

/// The format of `ty`; `None` if gabion cannot compute with it.
pub fn format(ty: TensorType) -> Option<&'static dyn Format> {
    struct Reference;
    impl Visitor for Reference {
        type Output = &'static dyn Format;
        fn number<N: Number + Decode>(self) -> Self::Output {
            &const { Of::<N>(std::marker::PhantomData) }
        }
        fn packed<P: Packed + Decode>(self) -> Self::Output {
            &const { Of::<P>(std::marker::PhantomData) }
        }
    }
    visit(ty, Reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block shapes stand both in TABLE and in the layouts.
    #[test]
    fn layouts_agree_with_the_table() {
        struct Shape;
        impl Visitor for Shape {
            type Output = (usize, usize);
            fn number<N: Number + Decode>(self) -> Self::Output {
                (1, N::BYTES)
            }
            fn packed<P: Packed + Decode>(self) -> Self::Output {
                assert!(P::LEN % 32 == 0 && P::LEN / P::GROUP <= layout::MAX_GROUPS && matches!(P::GROUP, 16 | 32));
                (P::LEN, P::BYTES)
            }
        }
        for &ty in SUPPORTED {
            assert_eq!(visit(ty, Shape), Some((ty.block_len(), ty.block_bytes())), "{}", ty.name());
            assert_eq!(format(ty).map(Format::ty), Some(ty));
        }
    }
}
