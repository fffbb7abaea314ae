//! How blocks are described to decoders: one small trait for types made of integers, one for plain numbers.
//!
//! Everything that computes with a type on the CPU (reference decoder, integer kernels, float kernels) is generic over
//! these traits, so a type's file says only where its bits lie. Functions here are written so that the compiler turns them
//! into vector code when they are inlined into a kernel.

use super::TensorType;

/// Most groups a block may have.
pub(crate) const MAX_GROUPS: usize = 16;

/// Conversions for which vector instruction sets have instructions that compilers do not find by themselves.
pub(crate) trait Convert: Copy {
    /// The value of an IEEE half.
    fn half(self, bits: u16) -> f32;
    /// The values of 16 IEEE halves, little-endian.
    #[inline(always)]
    fn sixteen_halves(self, bytes: &[u8; 32]) -> [f32; 16] {
        let mut out = [0.0; 16];
        for j in 0..16 {
            out[j] = self.half(u16_at(bytes, 2 * j));
        }
        out
    }
    /// A byte for each bit, the lowest first: 255 if it is set, else 0.
    fn bytes_of_bits(self, bits: u32) -> [u8; 32];
    /// The 32 nibbles of 16 bytes, the low ones first.
    #[inline(always)]
    fn nibbles(self, bytes: &[u8; 16]) -> [u8; 32] {
        nibbles(bytes)
    }
    /// table[i] for the 32 nibbles i of 16 bytes, the low ones first.
    fn levels(self, table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32];
    /// bias + g, or bias - g where a bit of `signs` is set, for 32 bytes g that were looked up some at a time.
    fn signed(self, g: [u64; 4], signs: u32, bias: u8) -> [u8; 32];
    /// out = scale * (q - bias) + min
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]);
}

/// `Convert` without special instructions: the reference.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Convert for Plain {
    fn half(self, bits: u16) -> f32 {
        half::f16::from_bits(bits).to_f32_const()
    }
    fn bytes_of_bits(self, bits: u32) -> [u8; 32] {
        std::array::from_fn(|j| if bits >> j & 1 == 1 { 255 } else { 0 })
    }
    fn levels(self, table: &[u8; 16], bytes: &[u8; 16]) -> [u8; 32] {
        nibbles(bytes).map(|i| table[usize::from(i)])
    }
    fn signed(self, g: [u64; 4], signs: u32, bias: u8) -> [u8; 32] {
        let (g, negative): ([u8; 32], _) = (bytemuck::cast(g), self.bytes_of_bits(signs));
        std::array::from_fn(|j| (g[j] ^ negative[j]).wrapping_sub(negative[j]).wrapping_add(bias))
    }
    fn weights(self, q: &[u8; 16], bias: u8, scale: f32, min: Option<f32>, out: &mut [f32; 16]) {
        for j in 0..16 {
            let w = scale * (i32::from(q[j]) - i32::from(bias)) as f32;
            out[j] = min.map_or(w, |min| w + min);
        }
    }
}

/// Writes blocks of one row from its elements.
pub(crate) type Encode = fn(&[f32], &mut [u8]);

/// A type of which rows can be decoded.
pub(crate) trait Decode: Send + Sync + 'static {
    const TYPE: TensorType;
    /// The reference encoder, where there is one.
    const ENCODE: Option<Encode>;
    /// Decodes whole blocks; `out` has room for exactly their elements.
    fn decode(convert: impl Convert, blocks: &[u8], out: &mut [f32]);
}

/// A type whose weights are small integers q in groups: w = scale * (q - BIAS) + min.
pub(crate) trait Packed: Send + Sync + 'static {
    /// Weights per block, a multiple of 32.
    const LEN: usize;
    /// Bytes per block.
    const BYTES: usize;
    /// Weights that share a scale: 32 or 16.
    const GROUP: usize = 32;
    /// Subtracted from every q. 128 if q fills a byte; else q is at most 127.
    const BIAS: u8 = 0;
    /// Whether groups have a `min`.
    const MIN: bool = false;
    /// Whether a block is one group of 32 and begins with its scale, and with its min if it has one, as IEEE halves.
    const HEAD: bool = false;
    /// The reference encoder, where there is one.
    const ENCODE: Option<Encode> = None;
    /// q of the weights 32 * i .. 32 * (i + 1) of a block.
    fn quants(convert: impl Convert, block: &[u8], i: usize) -> [u8; 32];
    /// Scale and min of each of the block's LEN / GROUP groups.
    fn scales(convert: impl Convert, block: &[u8], scale: &mut [f32; MAX_GROUPS], min: &mut [f32; MAX_GROUPS]);
}

/// `Decode::decode` of any `Packed`.
#[inline(always)]
pub(crate) fn decode_packed<P: Packed>(convert: impl Convert, blocks: &[u8], out: &mut [f32]) {
    for (block, out) in blocks.chunks_exact(P::BYTES).zip(out.chunks_exact_mut(P::LEN)) {
        let (mut scale, mut min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
        P::scales(convert, block, &mut scale, &mut min);
        for (i, out) in out.chunks_exact_mut(32).enumerate() {
            let q = P::quants(convert, block, i);
            for (half, (q, out)) in q.as_chunks().0.iter().zip(out.as_chunks_mut().0).enumerate() {
                let group = (32 * i + 16 * half) / P::GROUP;
                convert.weights(q, P::BIAS, scale[group], P::MIN.then_some(min[group]), out);
            }
        }
    }
}

/// A plain number per element.
pub(crate) trait Number: Send + Sync + 'static {
    /// Bytes per element.
    const BYTES: usize;
    /// The number in `bytes`, little-endian.
    fn get(convert: impl Convert, bytes: &[u8]) -> f32;
    /// The first 16 numbers in `bytes`.
    #[inline(always)]
    fn sixteen(convert: impl Convert, bytes: &[u8]) -> [f32; 16] {
        let (bytes, mut out) = (&bytes[..16 * Self::BYTES], [0.0; 16]);
        for j in 0..16 {
            out[j] = Self::get(convert, &bytes[j * Self::BYTES..]);
        }
        out
    }
    /// Writes the nearest number.
    fn put(x: f32, bytes: &mut [u8]);
}

/// `Decode::decode` of any `Number`.
#[inline(always)]
pub(crate) fn decode_numbers<N: Number>(convert: impl Convert, bytes: &[u8], out: &mut [f32]) {
    let (chunks, rest) = out.as_chunks_mut::<16>();
    let (bytes, last) = bytes.split_at(16 * N::BYTES * chunks.len());
    for (bytes, out) in bytes.chunks_exact(16 * N::BYTES).zip(chunks) {
        *out = N::sixteen(convert, bytes);
    }
    for (bytes, out) in last.chunks_exact(N::BYTES).zip(rest) {
        *out = N::get(convert, bytes);
    }
}

/// The encoder of any `Number`.
pub(crate) fn encode_numbers<N: Number>(x: &[f32], bytes: &mut [u8]) {
    for (&x, bytes) in x.iter().zip(bytes.chunks_exact_mut(N::BYTES)) {
        N::put(x, bytes);
    }
}

/// The little-endian u16 at byte `at`.
#[inline(always)]
pub(crate) fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The little-endian u32 at byte `at`.
#[inline(always)]
pub(crate) fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// The 16 bytes at byte `at`.
#[inline(always)]
pub(crate) fn sixteen_at(block: &[u8], at: usize) -> &[u8; 16] {
    block[at..].first_chunk().expect("a block is longer")
}

/// 32 nibbles of 16 bytes: the low ones first.
#[inline(always)]
fn nibbles(bytes: &[u8; 16]) -> [u8; 32] {
    let mut q = [0; 32];
    for j in 0..16 {
        q[j] = bytes[j] & 15;
        q[j + 16] = bytes[j] >> 4;
    }
    q
}

/// Bit pairs of 256 weights in 64 bytes, sub-block `i` of 8: a half block of 128 weights has 32 bytes, the lowest pairs first.
#[inline(always)]
pub(crate) fn pairs(bytes: &[u8], i: usize) -> [u8; 32] {
    let (bytes, shift) = (&bytes[32 * (i / 4)..][..32], 2 * (i % 4));
    let mut q = [0; 32];
    for j in 0..32 {
        q[j] = bytes[j] >> shift & 3;
    }
    q
}

/// Writes the low bit pairs of q as `pairs` reads them.
pub(crate) fn put_pairs(q: &[u8; 256], bytes: &mut [u8]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = (0..4).map(|k| (q[128 * (i / 32) + 32 * k + i % 32] & 3) << (2 * k)).sum();
    }
}

/// Adds bit j of `bits` to q[j] as its bit 4.
#[inline(always)]
pub(crate) fn add_fifth_bits(convert: impl Convert, q: &mut [u8; 32], bits: u32) {
    let set = convert.bytes_of_bits(bits);
    for j in 0..32 {
        q[j] |= set[j] & 16;
    }
}
