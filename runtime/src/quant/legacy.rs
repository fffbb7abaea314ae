//! Encoders' arithmetic shared by the simple types (spec "quant formats", section 7).

/// 1 / d, or 0 for a block of zeros. The encoders divide by the unrounded scale but store it as f16.
pub(super) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The largest magnitude.
pub(super) fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0f32, |m, x| m.max(x.abs()))
}

/// Scale and q for w = d * (q - bias), q < 2 * bias: the weight of largest magnitude becomes q = 0.
pub(super) fn signed(x: &[f32], bias: u8) -> (f32, [u8; 32]) {
    let max = x.iter().copied().fold(0f32, |m, x| if x.abs() > m.abs() { x } else { m });
    let d = max / -f32::from(bias);
    let inverse = inverse(d);
    let q = |j: usize| ((x[j] * inverse + f32::from(bias) + 0.5) as u8).min(2 * bias - 1);
    (d, std::array::from_fn(q))
}

/// Scale, min and q for w = d * q + m, q <= top.
pub(super) fn unsigned(x: &[f32], top: u8) -> (f32, f32, [u8; 32]) {
    let (min, max) = x.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &x| (lo.min(x), hi.max(x)));
    let d = (max - min) / f32::from(top);
    let inverse = inverse(d);
    let q = |j: usize| (((x[j] - min) * inverse + 0.5) as u8).min(top);
    (d, min, std::array::from_fn(q))
}

/// Writes an f16 at byte `at`.
pub(super) fn put_half(block: &mut [u8], at: usize, x: f32) {
    block[at..at + 2].copy_from_slice(&half::f16::from_f32(x).to_le_bytes());
}

/// The low nibbles of q in 16 bytes, as `layout::nibbles` reads them.
pub(super) fn put_nibbles(q: &[u8; 32], bytes: &mut [u8]) {
    for j in 0..16 {
        bytes[j] = q[j] & 15 | q[j + 16] << 4;
    }
}

/// Bit 4 of every q, as `layout::add_fifth_bits` reads them.
pub(super) fn fifth_bits(q: &[u8; 32]) -> u32 {
    q.iter().enumerate().map(|(j, q)| u32::from(q >> 4 & 1) << j).sum()
}
