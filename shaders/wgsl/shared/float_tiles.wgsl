// Products of two tiles with four tokens at a time, in floats.
#import shared/token_inputs

fn weights(u: array<Unit, 4>, i: u32) -> Block {
    let a = eight(u[0], i);
    let b = eight(u[1], i);
    let c = eight(u[2], i);
    let d = eight(u[3], i);
    return Block(mat4x4<f32>(a.lo, b.lo, c.lo, d.lo), mat4x4<f32>(a.hi, b.hi, c.hi, d.hi));
}

// Dot products: component j of column t is row j times token t.
fn product(w: Block, x: Block) -> mat4x4<f32> {
    return transpose(w.lo) * x.lo + transpose(w.hi) * x.hi;
}

// The sums of four tokens' inputs, scales undone.
fn sums(a: Block, b: Block) -> vec4<f32> {
    return POWERS * (a.lo + a.hi + b.lo + b.hi);
}

// Half a unit of four rows: weights, and their scales and offsets.
struct Half { lo: Block, hi: Block, affine: mat2x4<f32> }

fn half_of_rows(u: array<Unit, 4>, half: u32) -> Half {
    let a = mat4x2<f32>(affine(u[0], half), affine(u[1], half), affine(u[2], half), affine(u[3], half));
    return Half(weights(u, 2u * half), weights(u, 2u * half + 1u), transpose(a));
}

// Its products with four tokens' inputs, and its offsets times the sums of these.
fn half_unit(w: Half, x0: Block, x1: Block) -> mat4x4<f32> {
    let p = product(w.lo, x0) + product(w.hi, x1);
    let a = w.affine;
    let rows = mat4x4<f32>(a[0] * p[0], a[0] * p[1], a[0] * p[2], a[0] * p[3]);
    if (HAS_OFFSET) {
        let s = sums(x0, x1);
        return rows + mat4x4<f32>(a[1] * s.x, a[1] * s.y, a[1] * s.z, a[1] * s.w);
    }
    return rows;
}

fn add_inputs(acc: Tiles, w0: Half, w1: Half, x0: Block, x1: Block) -> Tiles {
    return Tiles(acc.first + half_unit(w0, x0, x1), acc.second + half_unit(w1, x0, x1));
}

// Adds half a unit to the sums of both tiles.
fn add_half(acc: Tiles, w0: Half, w1: Half, parts: Source, half: u32) -> Tiles {
    return add_inputs(acc, w0, w1, inputs(parts, 4u * half), inputs(parts, 4u * half + 2u));
}

// The same of a last unit that is not full.
fn add_last_half(acc: Tiles, w0: Half, w1: Half, base: vec4<u32>, half: u32) -> Tiles {
    let at = shape.k / 32u * 8u + 4u * half;
    return add_inputs(acc, w0, w1, inputs_inside(base, at), inputs_inside(base, at + 2u));
}
