// 6-bit scales and minima of Q4_K and Q5_K: of the eight units of a block, words 1 and 2 hold the low four bits of scale and
// minimum in one byte each, word 3 their high two bits in four bits each. Word 0 is the block's f16 pair (d, dmin).
fn k_affine(dm: u32, low: u32, high: u32, unit: u32) -> vec2<f32> {
    let l = low >> (8u * (unit & 3u));
    let h = high >> (4u * unit);
    let scale = (l & 15u) | ((h & 3u) << 4u);
    let minimum = ((l >> 4u) & 15u) | ((h & 12u) << 2u);
    let d = unpack2x16float(dm);
    return vec2<f32>(d.x * f32(scale), -d.y * f32(minimum));
}
