// Levels -1, 0 and 1, shifted by an eighth up or down.
const VECTORS: u32 = 2048u;
#import shared/grid

fn eight_shifted(index: u32, down: u32) -> Eight {
    let v = vector_at(index);
    let bias = select(0.875, 1.125, down != 0u) * POWERS;
    return Eight(bytes_of(spread_pairs(v)) - bias, bytes_of(spread_pairs(v >> 8u)) - bias);
}
