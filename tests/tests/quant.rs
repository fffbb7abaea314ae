//! Reference decoders and encoders, bit for bit against the gguf Python package (fixtures/quant/make.py); encoders that
//! search, by the error they leave, against libgguf's.

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

/// Root of the mean squared error of encoded elements.
fn rmse(ty: TensorType, blocks: &[u8], x: &[f32]) -> f64 {
    let mut out = vec![f32::NAN; x.len()];
    quant::format(ty).unwrap().dequantize(blocks, &mut out);
    let squares = out.iter().zip(x).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

/// Errors of an encoder and of libgguf's, by kind of distribution: normal, heavy tails, positive, Laplace.
fn errors(ty: TensorType, encode: impl Fn(&[f32], &mut [u8])) -> Vec<(f64, f64)> {
    let (x, theirs) = (floats(&fixture("quality.x.bin")), fixture(&format!("{}.quality.bin", ty.name())));
    let mut blocks = vec![0xAA; theirs.len()];
    encode(&x, &mut blocks);
    let kinds =
        x.chunks_exact(1024).zip(blocks.chunks_exact(theirs.len() / 4).zip(theirs.chunks_exact(theirs.len() / 4)));
    kinds.map(|(x, (ours, theirs))| (rmse(ty, ours, x), rmse(ty, theirs, x))).collect()
}

const SEARCHING: [TensorType; 7] = {
    use TensorType::*;
    [Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS]
};

#[test]
fn quantize_is_as_good_as_libggufs() {
    for ty in SEARCHING {
        let errors = errors(ty, |x, blocks| assert!(quant::format(ty).unwrap().quantize(x, blocks)));
        eprintln!("{}: {:?}", ty.name(), errors.iter().map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>());
        assert!(errors.iter().all(|(ours, theirs)| *ours <= 1.02 * theirs), "{}: {errors:?}", ty.name());
    }
}

#[test]
fn a_worse_encoder_is_seen() {
    for ty in SEARCHING {
        let worse = |x: &[f32], blocks: &mut [u8]| {
            let x: Vec<f32> = x.iter().map(|x| 1.1 * x).collect();
            quant::format(ty).unwrap().quantize(&x, blocks);
        };
        assert!(errors(ty, worse).iter().all(|(ours, theirs)| *ours > 1.02 * theirs), "{}", ty.name());
    }
}

/// Zeros, constants, extremes: no panic, and finite numbers of the right size.
#[test]
fn odd_blocks_are_encoded() {
    let rows: [[f32; 256]; 6] = [
        [0.0; 256],
        [1.0; 256],
        [-3e-5; 256],
        std::array::from_fn(|i| if i == 77 { 100.0 } else { 0.0 }),
        std::array::from_fn(|i| if i % 2 == 0 { 6e4 } else { -6e4 }),
        std::array::from_fn(|i| (i as f32 - 128.0) * 1e-30),
    ];
    for &ty in quant::SUPPORTED {
        for x in &rows {
            let (mut blocks, mut out) = (vec![0xAA; ty.row_bytes(256)], [f32::NAN; 256]);
            if quant::format(ty).unwrap().quantize(x, &mut blocks) {
                quant::format(ty).unwrap().dequantize(&blocks, &mut out);
                let largest = x.iter().fold(0f32, |m, x| m.max(x.abs()));
                assert!(out.iter().all(|y| y.abs() <= 1.6 * largest), "{} {x:?} {out:?}", ty.name());
            }
        }
    }
}
