// Products of two tiles with four tokens at a time, inputs packed (pack_rows) and weights as bytes.
#import shared/packed_weights
@group(0) @binding(4) var<storage, read> x: array<Packed>;
// Where a unit of each of four tokens' inputs lies.
alias Source = vec4<u32>;

fn source(base: vec4<u32>, unit: u32) -> Source {
    return base / 8u + unit;
}

// Half a unit of four rows: weights, and their scales and offsets.
struct Half { w: array<Weights, 4>, scales: vec4<f32>, offsets: vec4<f32> }

fn half_of_rows(u: array<Unit, 4>, half: u32) -> Half {
    let w = array(weights(u[0], half), weights(u[1], half), weights(u[2], half), weights(u[3], half));
    let a = mat4x2<f32>(affine(u[0], half), affine(u[1], half), affine(u[2], half), affine(u[3], half));
    let rows = transpose(a);
    return Half(w, rows[0], rows[1] - REST * rows[0]);
}

// A token's sums; s is the scale and sum of its inputs.
fn token_sums(h: Half, x: Sixteen, s: vec2<f32>) -> vec4<f32> {
    let p = vec4<f32>(product(h.w[0], x), product(h.w[1], x), product(h.w[2], x), product(h.w[3], x));
    let sums = h.scales * p * s.x;
    if (HAS_OFFSET || REST > 0.0) {
        return sums + h.offsets * s.y;
    }
    return sums;
}

// Adds a token's sums of both tiles to column t.
fn add_token(acc: ptr<function, Tiles>, w0: Half, w1: Half, t: u32, at: u32, half: u32) {
    var numbers = x[at].first;
    if (half != 0u) {
        numbers = x[at].second;
    }
    let s = vec2<f32>(x[at].scales[half], x[at].scales[2u + half]);
    (*acc).first[t] += token_sums(w0, numbers, s);
    (*acc).second[t] += token_sums(w1, numbers, s);
}

// Adds half a unit to the sums of both tiles.
fn add_half(acc: Tiles, w0: Half, w1: Half, parts: Source, half: u32) -> Tiles {
    var sums = acc;
    add_token(&sums, w0, w1, 0u, parts.x, half);
    add_token(&sums, w0, w1, 1u, parts.y, half);
    add_token(&sums, w0, w1, 2u, parts.z, half);
    add_token(&sums, w0, w1, 3u, parts.w, half);
    return sums;
}

// Rows of packed types are whole.
fn add_last_half(acc: Tiles, w0: Half, w1: Half, base: vec4<u32>, half: u32) -> Tiles {
    return acc;
}
