// Rotary angles. Needs `shape.coarse` and `shape.fine`, where this rope's angles of 256 a and of b start, `shape.rotated`
// pairs, and `shape.neighbours`: 1 if a pair is (2j, 2j + 1), else (j, j + rotated).
@group(0) @binding(5) var<storage, read> angles: array<vec2<f32>>;

// (cos, sin) of pair j at `pos` = 256 a + b, by the addition theorem: both angles are exact to f32, whatever the position.
fn turn(pos: u32, j: u32) -> vec2<f32> {
    let a = angles[shape.coarse + (pos >> 8u) * shape.rotated + j];
    let b = angles[shape.fine + (pos & 255u) * shape.rotated + j];
    return vec2<f32>(a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y);
}

// The elements of pair j.
fn partners(j: u32) -> vec2<u32> {
    return select(vec2<u32>(j, j + shape.rotated), vec2<u32>(2u * j, 2u * j + 1u), shape.neighbours != 0u);
}
