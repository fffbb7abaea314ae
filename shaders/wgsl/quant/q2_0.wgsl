// Q2_0: d (q - 1). The d of four units share a scale word, one for two units.
#import shared/ternary

fn scale_of(tile: u32, unit: u32, r: u32) -> f32 {
    return half_of(scale_at(tile, unit / 4u, 4u, 0u, 1u, r), (unit >> 1u) & 1u);
}
