// out = W x for many rows x (tokens). Each invocation makes 8 matrix rows x 4 * QUADS tokens in registers, so that a weight is
// decoded once for its tokens and an input loaded once for eight rows. A workgroup makes two tiles (64 rows) for
// 4 * QUADS * GROUPS tokens, whose invocations share cached loads.
#import shared/run
#import shared/linear
#import shared/token_inputs
override GROUPS: u32 = 16u;
// 1 or 2
override QUADS: u32 = 1u;
const TILES: u32 = 2u;

// Sums of four rows of two tiles, by four tokens.
struct Tiles { first: mat4x4<f32>, second: mat4x4<f32> }

// The four rows of a tile that an invocation makes, 8 apart.
fn load_rows(tile: u32, unit: u32, lane: u32) -> array<Unit, 4> {
    return array(
        load_unit(tile, unit, lane),
        load_unit(tile, unit, lane + LANES),
        load_unit(tile, unit, lane + 2u * LANES),
        load_unit(tile, unit, lane + 3u * LANES),
    );
}

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

// Adds half a unit to the sums of both tiles.
fn add_half(acc: Tiles, w0: Half, w1: Half, x0: Block, x1: Block) -> Tiles {
    return Tiles(acc.first + half_unit(w0, x0, x1), acc.second + half_unit(w1, x0, x1));
}

// The sums of one or two quads of tokens.
struct Sums { quad0: Tiles, quad1: Tiles }

fn add_halves(acc: Sums, u0: array<Unit, 4>, u1: array<Unit, 4>, half: u32, parts0: Source, parts1: Source) -> Sums {
    let w0 = half_of_rows(u0, half);
    let w1 = half_of_rows(u1, half);
    let i = 4u * half;
    let quad0 = add_half(acc.quad0, w0, w1, inputs(parts0, i), inputs(parts0, i + 2u));
    if (QUADS == 1u) {
        return Sums(quad0, acc.quad1);
    }
    return Sums(quad0, add_half(acc.quad1, w0, w1, inputs(parts1, i), inputs(parts1, i + 2u)));
}

fn add_ragged(acc: Sums, u0: array<Unit, 4>, u1: array<Unit, 4>, half: u32, base0: vec4<u32>, base1: vec4<u32>) -> Sums {
    let w0 = half_of_rows(u0, half);
    let w1 = half_of_rows(u1, half);
    let at = shape.k / 32u * 8u + 4u * half;
    return Sums(
        add_half(acc.quad0, w0, w1, inputs_inside(base0, at), inputs_inside(base0, at + 2u)),
        add_half(acc.quad1, w0, w1, inputs_inside(base1, at), inputs_inside(base1, at + 2u)),
    );
}

fn store_rows(tile: u32, lane: u32, token: u32, rows: u32, acc: mat4x4<f32>) {
    for (var t = 0u; t < 4u; t++) {
        if (token + t < rows) {
            for (var j = 0u; j < 4u; j++) {
                store(token + t, tile, j * LANES + lane, acc[t][j]);
            }
        }
    }
}

@compute @workgroup_size(8u * GROUPS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
#ifdef LEVEL_SUBGROUP
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
#ifdef LEVEL_SUBGROUP
    own_lane = sharer(subgroup_lane);
#endif
    let rows = select(run.rows, run.outputs, shape.head != 0u);
    let lane = local % LANES;
    let token = 4u * QUADS * (group.y * GROUPS + select(local / LANES, 0u, GROUPS == 1u));
    // tokens and tiles beyond the last repeat it and are not stored
    let tokens = vec4<u32>(token) + vec4<u32>(0u, 1u, 2u, 3u);
    let base0 = min(tokens, vec4<u32>(rows - 1u)) * shape.x_stride4;
    let base1 = min(tokens + 4u, vec4<u32>(rows - 1u)) * shape.x_stride4;
    let tile = group.x * TILES;
    let tile0 = shape.first_tile + tile;
    let tile1 = min(tile0 + 1u, shape.first_tile + (shape.n - 1u) / TILE);
    var acc: Sums;
    for (var unit = 0u; unit < shape.k / 32u; unit++) {
        let u0 = load_rows(tile0, unit, lane);
        let u1 = load_rows(tile1, unit, lane);
        let parts0 = source(base0, unit);
        var parts1 = parts0;
        if (QUADS > 1u) {
            parts1 = source(base1, unit);
        }
        acc = add_halves(acc, u0, u1, 0u, parts0, parts1);
        acc = add_halves(acc, u0, u1, 1u, parts0, parts1);
    }
    if (RAGGED && shape.k % 32u != 0u) {
        let u0 = load_rows(tile0, shape.k / 32u, lane);
        let u1 = load_rows(tile1, shape.k / 32u, lane);
        acc = add_ragged(acc, u0, u1, 0u, base0, base1);
        acc = add_ragged(acc, u0, u1, 1u, base0, base1);
    }
    store_rows(tile, lane, token, rows, acc.quad0.first);
    store_rows(tile + 1u, lane, token, rows, acc.quad0.second);
    if (QUADS > 1u) {
        store_rows(tile, lane, token + 4u, rows, acc.quad1.first);
        store_rows(tile + 1u, lane, token + 4u, rows, acc.quad1.second);
    }
}
