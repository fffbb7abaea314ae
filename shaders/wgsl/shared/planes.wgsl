// Quantized matrices, as runtime/src/device/gpu/planes writes them. 32 rows make a tile, 32 columns a unit. A tile's words
// lie unit by unit, and within a unit row by row, so neighbouring invocations (rows) read neighbouring words.
// Needs `shape.units`: units per row of the planes.
const TILE: u32 = 32u;
#ifdef LEVEL_TEXEL PLANES_TEXTURE
// texels of a row: 16 KiB (runtime/src/device/gpu/plane.rs)
const QUADS_WIDTH: u32 = 1024u;
@group(0) @binding(2) var quants: texture_storage_2d<rgba32uint, read>;

fn quad(at: u32) -> vec4<u32> {
    return textureLoad(quants, vec2<u32>(at % QUADS_WIDTH, at / QUADS_WIDTH));
}
#else
@group(0) @binding(2) var<storage, read> quants: array<vec4<u32>>;

fn quad(at: u32) -> vec4<u32> {
    return quants[at];
}
#endif

// Eight consecutive weights before scale and offset, each four times POWERS (see shared/bytes).
struct Eight { lo: vec4<f32>, hi: vec4<f32> }

// Word quadruple `part` of `parts` that unit has for row `r` of the tile.
fn quants_at(tile: u32, unit: u32, part: u32, parts: u32, r: u32) -> vec4<u32> {
    return quad(((tile * shape.units + unit) * parts + part) * TILE + r);
}
