// TQ2_0, and TQ1_0 unpacked: d (q - 1). Eight units share a scale word.
#import shared/ternary

fn scale_of(tile: u32, unit: u32, r: u32) -> f32 {
    return half_of(scale_at(tile, unit / 8u, 8u, 0u, 1u, r), 0u);
}
