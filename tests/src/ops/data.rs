//! Random inputs, the same on every machine.

use gabion::quant::{self, TensorType};

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Uniform in [-1, 1), a multiple of 2^-23.
    pub(super) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// Numbers in (-4, 4), each 16 of another magnitude: what belongs to one block must not pass for another's.
    pub(super) fn values(&mut self, len: usize) -> Vec<f32> {
        let mut scale = 1.0;
        let value = |i| {
            if i % 16 == 0 {
                scale = (2.0 * self.uniform()).exp2();
            }
            scale * self.uniform()
        };
        (0..len).map(value).collect()
    }

    /// Encoded blocks: of numbers where there is an encoder for plain numbers, else random bytes (so that every bit is
    /// used) with sensible scales.
    pub(super) fn blocks(&mut self, ty: TensorType, elements: usize) -> Vec<u8> {
        let mut bytes = vec![0; ty.row_bytes(elements)];
        if ty.block_len() == 1 {
            let x = self.values(elements);
            assert!(quant::format(ty).is_some_and(|format| format.quantize(&x, &mut bytes)));
            return bytes;
        }
        bytes.iter_mut().for_each(|b| *b = self.next() as u8);
        for block in bytes.chunks_exact_mut(ty.block_bytes()) {
            for &(at, size) in scales(ty) {
                let x = half::f16::from_f32(size * self.uniform());
                block[at..at + 2].copy_from_slice(&x.to_le_bytes());
            }
            tame(ty, block);
        }
        bytes
    }
}

/// Where a type's blocks have f16 fields, and their magnitude.
fn scales(ty: TensorType) -> &'static [(usize, f32)] {
    use TensorType::*;
    match ty {
        Q4_0 | Q5_0 => &[(0, 0.1)],
        Q8_0 => &[(0, 0.01)],
        Q4_1 | Q5_1 => &[(0, 0.1), (2, 1.0)],
        Q4_K | Q5_K => &[(0, 0.003), (2, 0.03)],
        Q6_K => &[(208, 0.001)],
        Q2_K => &[(80, 0.03), (82, 0.03)],
        Q3_K => &[(108, 0.01)],
        IQ1_S => &[(0, 0.1)],
        IQ2_XXS | IQ2_XS | IQ2_S => &[(0, 0.01)],
        IQ3_XXS => &[(0, 0.005)],
        IQ3_S => &[(0, 0.005)],
        IQ4_NL => &[(0, 0.01)],
        IQ4_XS => &[(0, 0.0005)],
        TQ1_0 => &[(52, 1.0)],
        TQ2_0 => &[(64, 1.0)],
        Q1_0 | Q2_0 => &[(0, 1.0)],
        IQ1_M | MXFP4 | NVFP4 => &[],
        _ => panic!("tell tests/src/ops/data.rs where {} has its scales", ty.name()),
    }
}

/// Gives a block of a type without f16 fields scales of a sensible size.
fn tame(ty: TensorType, block: &mut [u8]) {
    match ty {
        TensorType::IQ1_M => block[55] = block[55] & 0x8F | 0x20, // the exponent of d
        TensorType::MXFP4 => block[0] = 120 + block[0] % 8,
        TensorType::NVFP4 => block[..4].iter_mut().for_each(|scale| *scale %= 0x38),
        _ => {}
    }
}

/// Replaces elements by what blocks of `ty` make of them; the last block is filled with zeros.
pub(super) fn through(ty: TensorType, x: &mut [f64]) {
    let format = quant::format(ty).expect("a supported type");
    for x in x.chunks_mut(ty.block_len()) {
        let mut elements = vec![0.0; ty.block_len()];
        elements.iter_mut().zip(&*x).for_each(|(element, x)| *element = *x as f32);
        let mut bytes = vec![0; ty.block_bytes()];
        assert!(format.quantize(&elements, &mut bytes), "{} has no encoder", ty.name());
        format.dequantize(&bytes, &mut elements);
        x.iter_mut().zip(elements).for_each(|(x, element)| *x = element.into());
    }
}

/// All elements of a tensor.
pub(super) fn decode(ty: TensorType, bytes: &[u8]) -> Vec<f64> {
    let mut out = vec![0.0; bytes.len() / ty.block_bytes() * ty.block_len()];
    quant::format(ty).expect("a supported type").dequantize(bytes, &mut out);
    out.into_iter().map(f64::from).collect()
}
