// out = W x for many rows x (tokens). Each invocation makes 8 matrix rows x 4 tokens in registers, so that a weight is
// decoded once for four tokens and an input loaded once for eight rows. A workgroup makes two tiles (64 rows) for 4 * GROUPS
// tokens, whose invocations share cached loads.
#import shared/run
#import shared/linear
override GROUPS: u32 = 16u;
const TILES: u32 = 2u;

// Eight columns of four rows or tokens: columns 0-3 and 4-7, one matrix column for each row or token.
struct Block { lo: mat4x4<f32>, hi: mat4x4<f32> }

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

fn scaled(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(a * INPUT_SCALE, b * INPUT_SCALE, c * INPUT_SCALE, d * INPUT_SCALE);
}

#ifdef LEVEL_SUBGROUP
#import shared/lanes
var<private> own_lane: Sharer;
// A unit of four tokens' inputs, spread over the lanes.
alias Source = array<Own, 4>;

fn own_part(at: u32) -> Own {
    let lo = x[at + own_lane.lane] * INPUT_SCALE;
    if (SHARERS == 4u) {
        return Own(lo, x[at + own_lane.lane + 4u] * INPUT_SCALE);
    }
    return Own(lo, lo);
}

fn source(base: vec4<u32>, unit: u32) -> Source {
    let at = base + unit * 8u;
    return Source(own_part(at.x), own_part(at.y), own_part(at.z), own_part(at.w));
}

fn shared_column(s: Source, i: u32) -> mat4x4<f32> {
    let l = own_lane;
    return mat4x4<f32>(from_lane(s[0], l, i), from_lane(s[1], l, i), from_lane(s[2], l, i), from_lane(s[3], l, i));
}

fn inputs(s: Source, i: u32) -> Block {
    return Block(shared_column(s, i), shared_column(s, i + 1u));
}
#else
// Where a unit of four tokens' inputs starts.
alias Source = vec4<u32>;

fn source(base: vec4<u32>, unit: u32) -> Source {
    return base + unit * 8u;
}

// Vec4s i and i + 1 of the unit.
fn inputs(s: Source, i: u32) -> Block {
    let lo = s + i;
    let hi = lo + 1u;
    return Block(scaled(x[lo.x], x[lo.y], x[lo.z], x[lo.w]), scaled(x[hi.x], x[hi.y], x[hi.z], x[hi.w]));
}
#endif

fn inputs_inside(base: vec4<u32>, a: u32) -> Block {
    let lo = scaled(inside(base.x, a), inside(base.y, a), inside(base.z, a), inside(base.w, a));
    let b = a + 1u;
    return Block(lo, scaled(inside(base.x, b), inside(base.y, b), inside(base.z, b), inside(base.w, b)));
}

// Dot products: component j of column t is row j times token t.
fn product(w: Block, x: Block) -> mat4x4<f32> {
    return transpose(w.lo) * x.lo + transpose(w.hi) * x.hi;
}

// The sums of four tokens' inputs, scales undone.
fn sums(a: Block, b: Block) -> vec4<f32> {
    return POWERS * (a.lo + a.hi + b.lo + b.hi);
}

// Half a unit: applies the rows' scales, and their offsets times the sums of the inputs.
fn half_unit(u: array<Unit, 4>, half: u32, x0: Block, x1: Block) -> mat4x4<f32> {
    let p = product(weights(u, 2u * half), x0) + product(weights(u, 2u * half + 1u), x1);
    let a = transpose(mat4x2<f32>(affine(u[0], half), affine(u[1], half), affine(u[2], half), affine(u[3], half)));
    let rows = mat4x4<f32>(a[0] * p[0], a[0] * p[1], a[0] * p[2], a[0] * p[3]);
    if (HAS_OFFSET) {
        let s = sums(x0, x1);
        return rows + mat4x4<f32>(a[1] * s.x, a[1] * s.y, a[1] * s.z, a[1] * s.w);
    }
    return rows;
}

// Adds half a unit to the sums of both tiles.
fn add_half(acc: Tiles, u0: array<Unit, 4>, u1: array<Unit, 4>, half: u32, x0: Block, x1: Block) -> Tiles {
    return Tiles(acc.first + half_unit(u0, half, x0, x1), acc.second + half_unit(u1, half, x0, x1));
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
    let token = 4u * (group.y * GROUPS + select(local / LANES, 0u, GROUPS == 1u));
    // tokens and tiles beyond the last repeat it and are not stored
    let base = min(vec4<u32>(token) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * shape.x_stride4;
    let tile = group.x * TILES;
    let tile0 = shape.first_tile + tile;
    let tile1 = min(tile0 + 1u, shape.first_tile + (shape.n - 1u) / TILE);
    var acc: Tiles;
    for (var unit = 0u; unit < shape.k / 32u; unit++) {
        let u0 = load_rows(tile0, unit, lane);
        let u1 = load_rows(tile1, unit, lane);
        let parts = source(base, unit);
        acc = add_half(acc, u0, u1, 0u, inputs(parts, 0u), inputs(parts, 2u));
        acc = add_half(acc, u0, u1, 1u, inputs(parts, 4u), inputs(parts, 6u));
    }
    if (RAGGED && shape.k % 32u != 0u) {
        let unit = shape.k / 32u;
        let u0 = load_rows(tile0, unit, lane);
        let u1 = load_rows(tile1, unit, lane);
        let at = unit * 8u;
        acc = add_half(acc, u0, u1, 0u, inputs_inside(base, at), inputs_inside(base, at + 2u));
        acc = add_half(acc, u0, u1, 1u, inputs_inside(base, at + 4u), inputs_inside(base, at + 6u));
    }
    store_rows(tile, lane, token, rows, acc.first);
    store_rows(tile + 1u, lane, token, rows, acc.second);
}
