// Levels -1, 0 and 1, shifted by an eighth up or down: all in eighths.
const VECTORS: u32 = 2048u;
const ZERO: f32 = 9.0;
#import shared/grid

fn bytes_shifted(index: u32, down: u32) -> vec2<u32> {
    let v = vector_at(index);
    let shift = select(0x02020202u, 0u, down != 0u);
    return 8u * vec2<u32>(spread_pairs(v), spread_pairs(v >> 8u)) + shift;
}
