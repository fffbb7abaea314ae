// Quantized matrices, as runtime/src/device/gpu/planes writes them. 32 rows make a tile, 32 columns a unit. A tile's words
// lie unit by unit, and within a unit row by row, so neighbouring invocations (rows) read neighbouring words.
// Needs `shape.units`: units per row of the planes.
#import shared/four
const TILE: u32 = 32u;
@group(0) @binding(2) var<storage, read> quants: array<FourWords>;

// Eight consecutive weights before scale and offset, each four times POWERS (see shared/bytes).
struct Eight { lo: vec4<f32>, hi: vec4<f32> }

// Word quadruple `part` of `parts` that unit has for row `r` of the tile.
fn quants_at(tile: u32, unit: u32, part: u32, parts: u32, r: u32) -> vec4<u32> {
    return four_words(quants[((tile * shape.units + unit) * parts + part) * TILE + r]);
}
