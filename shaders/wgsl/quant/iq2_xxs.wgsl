// IQ2_XXS: d (s + 1/2) / 4 level. Two words a unit: four indices; four times 7 bits of signs and 4 of s. Eight units share d.
const VECTORS: u32 = 256u;
#import shared/grid_iq2
#import shared/one_scale
struct Unit { index: u32, signs: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let q = half_quad(tile, unit, r);
    let d = half_of(scale_at(tile, unit / 8u, 8u, 0u, 1u, r), 0u);
    return Unit(q.x, even_signs_of(q.y), d * (0.25 * f32(q.y >> 28u) + 0.125));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return bytes_signed((u.index >> (8u * i)) & 255u, u.signs >> (8u * i));
}
