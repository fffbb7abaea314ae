//! Random weights of any type: every bit is noise but those of the scales, which make weights of about the size that real
//! ones have, so that activations stay finite.

use gabion::quant::TensorType;
use gabion::sample::Rng;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Weights around 0.
    Matrix,
    /// Weights around 1.
    Norm,
}

/// Blocks of a pattern: a prime number, so that a matrix's rows differ, whatever their length.
const BLOCKS: usize = 1021;
/// Bytes of a pattern of plain numbers, at most.
const PLAIN_BYTES: usize = 1 << 16;
/// Standard deviation of the weights.
const SPREAD: f32 = 0.02;

/// Whole blocks of `ty`, to be repeated over a tensor; `None` for types that are no weights.
pub(super) fn pattern(ty: TensorType, role: Role) -> Option<Vec<u8>> {
    let mut rng = Rng::new(ty as u64 + 1);
    if let Some(encode) = plain(ty) {
        let value = |rng: &mut Rng| (rng.next_f64() as f32 - 0.5) * SPREAD * 12f32.sqrt();
        let shift = if role == Role::Norm { 1.0 } else { 0.0 };
        let n = (PLAIN_BYTES / ty.block_bytes()) - 1;
        return Some((0..n).flat_map(|_| encode(value(&mut rng) + shift)).collect());
    }
    let mut blocks: Vec<u8> = (0..BLOCKS * ty.block_bytes()).map(|_| rng.next_u32() as u8).collect();
    for block in blocks.chunks_exact_mut(ty.block_bytes()) {
        set_scales(ty, block)?;
    }
    Some(blocks)
}

/// How a type of plain numbers is stored.
fn plain(ty: TensorType) -> Option<fn(f32) -> Vec<u8>> {
    Some(match ty {
        TensorType::F32 => |x| x.to_le_bytes().into(),
        TensorType::F16 => |x| half(x).to_vec(),
        // the upper half of an f32
        TensorType::BF16 => |x| x.to_le_bytes()[2..].into(),
        _ => return None,
    })
}

/// Overwrites a block's scales. Numbers: where the f16 scale lies, how far the integers under it spread; for types with a
/// minimum where that lies and how many steps it is.
fn set_scales(ty: TensorType, block: &mut [u8]) -> Option<()> {
    use TensorType::*;
    let mut scale = |at: usize, spread: f32| put(block, at, SPREAD / spread);
    match ty {
        Q4_0 => scale(0, 4.6),
        Q5_0 => scale(0, 9.2),
        Q8_0 => scale(0, 74.0),
        Q3_K => scale(108, 42.0),
        Q6_K => scale(208, 1350.0),
        Q1_0 => scale(0, 1.0),
        Q2_0 => {
            ternary(&mut block[2..]);
            put(block, 0, SPREAD / 0.7);
        }
        IQ1_S => scale(0, 8.0),
        IQ2_XXS | IQ2_XS | IQ2_S => scale(0, 50.0),
        IQ3_XXS => scale(0, 112.0),
        IQ3_S => scale(0, 128.0),
        IQ4_NL => scale(0, 70.0),
        IQ4_XS => scale(0, 1300.0),
        TQ1_0 => scale(52, 0.8),
        TQ2_0 => {
            ternary(&mut block[..64]);
            put(block, 64, SPREAD / 0.7);
        }
        Q4_1 => with_min(block, 0, 4.6, -7.5),
        Q5_1 => with_min(block, 0, 9.2, -15.5),
        Q2_K => with_min(block, 80, 12.0, 1.5),
        Q4_K => with_min(block, 0, 250.0, 7.5),
        Q5_K => with_min(block, 0, 500.0, 15.5),
        IQ1_M => split_scale(block, SPREAD / 8.0),
        // 2^-7, as an exponent and as small floats
        MXFP4 => block[0] = 120,
        NVFP4 => block[..4].fill(4),
        _ => return None,
    }
    Some(())
}

fn with_min(block: &mut [u8], at: usize, spread: f32, steps: f32) {
    put(block, at, SPREAD / spread);
    put(block, at + 2, SPREAD / spread * steps);
}

/// Makes pairs of bits 0, 1 or 2, which stand for -1, 0 and 1.
fn ternary(pairs: &mut [u8]) {
    pairs.iter_mut().for_each(|q| *q &= !((*q & *q >> 1 & 0x55) << 1));
}

/// The f16 lies in the upper four bits of the last four u16, lowest first.
fn split_scale(block: &mut [u8], x: f32) {
    let bits = u16::from_le_bytes(half(x));
    let at = block.len() - 8;
    for (i, byte) in block[at..].iter_mut().skip(1).step_by(2).enumerate() {
        *byte = *byte & 15 | ((bits >> (4 * i)) as u8 & 15) << 4;
    }
}

fn put(block: &mut [u8], at: usize, x: f32) {
    block[at..at + 2].copy_from_slice(&half(x));
}

/// x as an f16, rounded towards zero.
fn half(x: f32) -> [u8; 2] {
    let (sign, size) = (if x < 0.0 { 0x8000 } else { 0 }, x.abs());
    let bits = if size < 2f32.powi(-14) {
        (size * 2f32.powi(24)) as u16
    } else {
        ((size.to_bits() >> 13) - (112 << 10)) as u16
    };
    (sign | bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and standard deviation of the decoded pattern.
    fn moments(ty: TensorType, role: Role) -> (f32, f32) {
        let blocks = pattern(ty, role).expect("a pattern");
        let mut out = vec![0.0; blocks.len() / ty.block_bytes() * ty.block_len()];
        gabion::quant::format(ty).expect("a format").dequantize(&blocks, &mut out);
        let mean = out.iter().sum::<f32>() / out.len() as f32;
        (mean, (out.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / out.len() as f32).sqrt())
    }

    #[test]
    fn weights_of_every_type_are_small_and_centred() {
        let all = gabion::quant::SUPPORTED.iter().map(|&ty| (ty.name(), moments(ty, Role::Matrix)));
        let bad = all.filter(|(_, (mean, spread))| mean.abs() > 0.006 || !(0.008..0.05).contains(spread));
        assert_eq!(bad.collect::<Vec<_>>(), []);
        let (mean, spread) = moments(TensorType::F32, Role::Norm);
        assert!((mean - 1.0).abs() < 0.01 && spread < 0.05, "{mean} ± {spread}");
    }

    #[test]
    fn halves() {
        for (x, bits) in [(1.0, 0x3c00), (-2.0, 0xc000), (0.5f32.powi(14), 0x0400), (0.5f32.powi(20), 0x0010), (0.0, 0)]
        {
            assert_eq!(half(x), u16::to_le_bytes(bits), "{x}");
        }
    }
}
