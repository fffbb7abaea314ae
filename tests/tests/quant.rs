//! Reference decoders and encoders, bit for bit against the gguf Python package (fixtures/quant/make.py).

use gabion::quant::{self, TensorType};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/quant/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Index of the first element whose bits differ.
fn difference(a: &[f32], b: &[f32]) -> Option<usize> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits())
}

/// The two halves of a decode fixture: blocks and elements.
fn decode_fixture(ty: TensorType) -> (Vec<u8>, Vec<f32>) {
    let mut blocks = fixture(&format!("{}.decode.bin", ty.name()));
    let count = blocks.len() / (ty.block_bytes() + 4 * ty.block_len());
    let elements = floats(&blocks.split_off(count * ty.block_bytes()));
    assert!(count > 0 && elements.len() == count * ty.block_len());
    (blocks, elements)
}

#[test]
fn dequantize_is_bit_exact() {
    for &ty in quant::SUPPORTED {
        let (blocks, expected) = decode_fixture(ty);
        let mut out = vec![f32::NAN; expected.len()];
        quant::format(ty).unwrap().dequantize(&blocks, &mut out);
        assert_eq!(difference(&out, &expected), None, "{}", ty.name());
    }
}

#[test]
fn a_flipped_bit_is_seen() {
    for &ty in quant::SUPPORTED {
        let (mut blocks, expected) = decode_fixture(ty);
        let last = blocks.len() - 1;
        blocks[last] ^= 0x10;
        let mut out = vec![f32::NAN; expected.len()];
        quant::format(ty).unwrap().dequantize(&blocks, &mut out);
        assert!(difference(&out, &expected).is_some(), "{}", ty.name());
    }
}

#[test]
fn quantize_is_bit_exact() {
    use TensorType::*;
    for ty in [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TQ1_0, TQ2_0, MXFP4] {
        let bytes = fixture(&format!("{}.encode.bin", ty.name()));
        let (x, expected) = bytes.split_at(4 * 256);
        let mut blocks = vec![0xAA; expected.len()];
        assert!(quant::format(ty).unwrap().quantize(&floats(x), &mut blocks), "{}", ty.name());
        let wrong = blocks.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "{}: first different byte", ty.name());
    }
}
