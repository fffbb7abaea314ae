// IQ1_M: d (2 s + 1) (level + shift), s for 16 weights. A word of indices a unit; eight units share six scale words: 16 bits a
// unit with three upper bits of an index and the sign of its shift in each nibble; then 16 bits for two units with four s
// and a quarter of d.
#import shared/grid_iq1
#import shared/two_scales
struct Unit { index: u32, high: u32, d: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let high = scale_at(tile, block, 8u, j >> 1u, 6u, r) >> (16u * (j & 1u));
    let s = vec2<u32>(scale_at(tile, block, 8u, 4u, 6u, r), scale_at(tile, block, 8u, 5u, 6u, r));
    let quarters = ((s >> vec2<u32>(12u)) & vec2<u32>(15u)) | ((s >> vec2<u32>(24u)) & vec2<u32>(0xF0u));
    let d = half_of(quarters.x | (quarters.y << 8u), 0u);
    let own = s[j >> 2u] >> (16u * ((j >> 1u) & 1u) + 6u * (j & 1u));
    let scale = vec2<f32>(f32(own & 7u), f32((own >> 3u) & 7u));
    return Unit(quarter_quad(tile, unit, r), high, d * (0.25 * scale + 0.125));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let nibble = u.high >> (4u * i);
    return bytes_shifted(((u.index >> (8u * i)) & 255u) | ((nibble & 7u) << 8u), nibble & 8u);
}
