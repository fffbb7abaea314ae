// out = W x for many rows x (tokens). Each invocation makes 8 matrix rows x 4 * QUADS tokens in registers, so that a weight is
// decoded once for its tokens and an input loaded once for eight rows. A workgroup makes two tiles (64 rows) for
// 4 * QUADS * GROUPS tokens, whose invocations share cached loads. Few tokens leave no work for groups: instead, the columns are
// split between SPLIT slices, which are added in order at the end.
#import shared/enable
#import shared/run
#import shared/linear
#ifdef LEVEL_INT8 LEVEL_F16
#import shared/packed_tiles
#else
#import shared/float_tiles
#endif
// One of the two is 1: groups of tokens, or slices of the columns (16 at most).
override GROUPS: u32 = 16u;
override SPLIT: u32 = 1u;
// 1 or 2
override QUADS: u32 = 1u;
const TILES: u32 = 2u;
// [slice][lane]: the sums of four rows of a tile by four tokens.
var<workgroup> partial: array<mat4x4<f32>, 128>;

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

// The sums of one or two quads of tokens.
struct Sums { quad0: Tiles, quad1: Tiles }

fn add_halves(acc: Sums, u0: array<Unit, 4>, u1: array<Unit, 4>, half: u32, parts0: Source, parts1: Source) -> Sums {
    let w0 = half_of_rows(u0, half);
    let w1 = half_of_rows(u1, half);
    let quad0 = add_half(acc.quad0, w0, w1, parts0, half);
    if (QUADS == 1u) {
        return Sums(quad0, acc.quad1);
    }
    return Sums(quad0, add_half(acc.quad1, w0, w1, parts1, half));
}

fn add_ragged(acc: Sums, u0: array<Unit, 4>, u1: array<Unit, 4>, half: u32, base0: vec4<u32>, base1: vec4<u32>) -> Sums {
    let w0 = half_of_rows(u0, half);
    let w1 = half_of_rows(u1, half);
    return Sums(add_last_half(acc.quad0, w0, w1, base0, half), add_last_half(acc.quad1, w0, w1, base1, half));
}

// Token t's sums of all slices, in order.
fn gathered(lane: u32, t: u32) -> vec4<f32> {
    var sum = partial[lane][t];
    for (var other = 1u; other < SPLIT; other++) {
        sum += partial[other * LANES + lane][t];
    }
    return sum;
}

// Stores four tokens' rows of a tile. Where there are slices, each gathers other tokens.
fn store_rows(tile: u32, lane: u32, slice: u32, token: u32, rows: u32, acc: mat4x4<f32>) {
    if (SPLIT > 1u) {
        workgroupBarrier();
        partial[slice * LANES + lane] = acc;
        workgroupBarrier();
    }
    for (var t = slice; t < 4u; t += SPLIT) {
        if (token + t < rows) {
            var sums = acc[t];
            if (SPLIT > 1u) {
                sums = gathered(lane, t);
            }
            for (var j = 0u; j < 4u; j++) {
                store(token + t, tile, j * LANES + lane, sums[j]);
            }
        }
    }
}

@compute @workgroup_size(8u * GROUPS * SPLIT)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
#ifdef LEVEL_SUBGROUP LEVEL_TEXEL
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
#ifdef LEVEL_SUBGROUP LEVEL_TEXEL
    own_lane = sharer(subgroup_lane);
#endif
    let rows = select(run.rows, run.outputs, shape.head != 0u);
    let lane = local % LANES;
    let slice = select(local / LANES, 0u, SPLIT == 1u);
    let token = 4u * QUADS * (group.y * GROUPS + select(local / LANES, 0u, GROUPS == 1u));
    // tokens and tiles beyond the last repeat it and are not stored
    let tokens = vec4<u32>(token) + vec4<u32>(0u, 1u, 2u, 3u);
    let base0 = min(tokens, vec4<u32>(rows - 1u)) * shape.x_stride4;
    let base1 = min(tokens + 4u, vec4<u32>(rows - 1u)) * shape.x_stride4;
    let tile = group.x * TILES;
    let tile0 = shape.first_tile + tile;
    let tile1 = min(tile0 + 1u, shape.first_tile + (shape.n - 1u) / TILE);
    var acc = Sums();
    for (var unit = slice; unit < shape.k / 32u; unit += SPLIT) {
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
    if (RAGGED && shape.k % 32u != 0u && slice == 0u) {
        let u0 = load_rows(tile0, shape.k / 32u, lane);
        let u1 = load_rows(tile1, shape.k / 32u, lane);
        acc = add_ragged(acc, u0, u1, 0u, base0, base1);
        acc = add_ragged(acc, u0, u1, 1u, base0, base1);
    }
    store_rows(tile, lane, slice, token, rows, acc.quad0.first);
    store_rows(tile + 1u, lane, slice, token, rows, acc.quad0.second);
    if (QUADS > 1u) {
        store_rows(tile, lane, slice, token + 4u, rows, acc.quad1.first);
        store_rows(tile + 1u, lane, slice, token + 4u, rows, acc.quad1.second);
    }
}
