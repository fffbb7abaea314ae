// out = W x for one row x. A workgroup makes one or two tiles of 32 rows: 8 lanes of 4 rows of each, the columns split between
// SPLIT slices that are added in order at the end. Two tiles suit adapters that gain nothing from more invocations.
//
// NORM: x is RMS-normed first. The norm's factor is common to all sums and comes last, so that the squares are summed beside
// the products. GLU (1 + the activation): the two tiles are gate and up of a gated unit, which is stored instead of either.
#import shared/enable
#import shared/linear
#ifdef LEVEL_INT8 LEVEL_F16
#import shared/staged_inputs
#else
#import shared/inputs
#endif
#import shared/activation
#import shared/slices
override TILES: u32 = 1u;
override GLU: u32 = 0u;
var<workgroup> partial_squares: array<f32, 32>;
fn dot_rows(tile: u32, unit: u32, lane: u32, x: Inputs) -> vec4<f32> {
    return vec4<f32>(
        dot_unit(load_unit(tile, unit, lane), x),
        dot_unit(load_unit(tile, unit, lane + LANES), x),
        dot_unit(load_unit(tile, unit, lane + 2u * LANES), x),
        dot_unit(load_unit(tile, unit, lane + 3u * LANES), x),
    );
}

// What the norm divides by, from the squares of all slices.
fn norm_factor(slice: u32) -> f32 {
    var sum = own_squares();
    if (SPLIT > 1u) {
        partial_squares[slice] = sum;
        workgroupBarrier();
        sum = 0.0;
        for (var other = 0u; other < SPLIT; other++) {
            sum += partial_squares[other];
        }
    }
    return inverseSqrt(sum / f32(shape.k) + shape.eps);
}

fn store_rows(tile: u32, lane: u32, values: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        store(0u, tile, j * LANES + lane, values[j]);
    }
}

// The gated unit of rows of two tiles: up's biases follow the gate's.
fn store_gated(tile: u32, lane: u32, gate: vec4<f32>, up: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let output = tile * TILE + j * LANES + lane;
        if (output < shape.n) {
            var g = gate[j];
            var u = up[j];
            if (shape.has_bias != 0u) {
                g += bias[output];
                u += bias[shape.pair * TILE + output];
            }
            out[output] = activated(GLU - 1u, g) * linear_part(GLU - 1u, u);
        }
    }
}

@compute @workgroup_size(8u * SPLIT)
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
    let gated = GLU > 0u;
    let two = gated || TILES > 1u;
    let tile = group.x * select(TILES, 1u, gated);
    let tile0 = shape.first_tile + tile;
    // a tile beyond the last repeats it and is not stored
    let next = min(tile0 + 1u, shape.first_tile + (shape.n - 1u) / TILE);
    let tile1 = select(next, tile0 + shape.pair, gated);
    let lane = local % LANES;
    let slice = select(local / LANES, 0u, SPLIT == 1u);
    let full = shape.k / 32u;
    var acc0 = vec4<f32>(0.0);
    var acc1 = vec4<f32>(0.0);
    for (var first = 0u; first < full; first += CHUNK) {
        let end = first + min(full - first, CHUNK);
        prepare(local, first, end);
        for (var unit = first + slice; unit < end; unit += SPLIT) {
            let x = whole(unit);
            acc0 += dot_rows(tile0, unit, lane, x);
            if (two) {
                acc1 += dot_rows(tile1, unit, lane, x);
            }
        }
    }
    if (RAGGED && shape.k % 32u != 0u && slice == 0u) {
        let x = ragged(full);
        acc0 += dot_rows(tile0, full, lane, x);
        acc1 += dot_rows(tile1, full, lane, x);
    }
    acc0 = gathered(slice, lane, acc0);
    if (two) {
        acc1 = gathered(slice, lane, acc1);
    }
    if (NORM != 0u) {
        let factor = norm_factor(slice);
        acc0 *= factor;
        acc1 *= factor;
    }
    if (slice != 0u) {
        return;
    }
    if (gated) {
        store_gated(tile, lane, acc0, acc1);
        return;
    }
    store_rows(tile, lane, acc0);
    if (two) {
        store_rows(tile + 1u, lane, acc1);
    }
}
