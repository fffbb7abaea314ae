// out = W x for one row x. A workgroup makes one or two tiles of 32 rows: 8 lanes of 4 rows of each, the columns split between
// SPLIT slices that are added in order at the end. SPLIT = 1 and TILES = 2 suit adapters that gain nothing from more
// invocations.
#import shared/linear
override SPLIT: u32 = 16u;
override TILES: u32 = 1u;
var<workgroup> partial: array<vec4<f32>, 256>;

// 32 inputs, scaled, and the sums of their halves.
struct Inputs { v: array<vec4<f32>, 8>, sums: vec2<f32> }

fn inputs(v: array<vec4<f32>, 8>) -> Inputs {
    let first = dot(v[0] + v[1] + v[2] + v[3], vec4<f32>(1.0));
    let second = dot(v[4] + v[5] + v[6] + v[7], vec4<f32>(1.0));
    let s = INPUT_SCALE;
    let scaled = array(v[0] * s, v[1] * s, v[2] * s, v[3] * s, v[4] * s, v[5] * s, v[6] * s, v[7] * s);
    return Inputs(scaled, vec2<f32>(first, second));
}

fn whole(unit: u32) -> Inputs {
    let a = unit * 8u;
    return inputs(array(x[a], x[a + 1u], x[a + 2u], x[a + 3u], x[a + 4u], x[a + 5u], x[a + 6u], x[a + 7u]));
}

fn ragged(unit: u32) -> Inputs {
    let a = unit * 8u;
    return inputs(array(
        inside(0u, a), inside(0u, a + 1u), inside(0u, a + 2u), inside(0u, a + 3u),
        inside(0u, a + 4u), inside(0u, a + 5u), inside(0u, a + 6u), inside(0u, a + 7u),
    ));
}

fn dot_unit(u: Unit, x: Inputs) -> f32 {
    let a = eight(u, 0u);
    let b = eight(u, 1u);
    let c = eight(u, 2u);
    let d = eight(u, 3u);
    let first = dot(a.lo, x.v[0]) + dot(a.hi, x.v[1]) + dot(b.lo, x.v[2]) + dot(b.hi, x.v[3]);
    let second = dot(c.lo, x.v[4]) + dot(c.hi, x.v[5]) + dot(d.lo, x.v[6]) + dot(d.hi, x.v[7]);
    let f = affine(u, 0u);
    let s = affine(u, 1u);
    if (HAS_OFFSET) {
        return f.x * first + s.x * second + f.y * x.sums.x + s.y * x.sums.y;
    }
    return f.x * first + s.x * second;
}

fn dot_rows(tile: u32, unit: u32, lane: u32, x: Inputs) -> vec4<f32> {
    return vec4<f32>(
        dot_unit(load_unit(tile, unit, lane), x),
        dot_unit(load_unit(tile, unit, lane + LANES), x),
        dot_unit(load_unit(tile, unit, lane + 2u * LANES), x),
        dot_unit(load_unit(tile, unit, lane + 3u * LANES), x),
    );
}

// The sums of all slices.
fn gathered(slice: u32, lane: u32, own: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    partial[slice * LANES + lane] = own;
    workgroupBarrier();
    var sum = partial[lane];
    for (var other = 1u; other < SPLIT; other++) {
        sum += partial[other * LANES + lane];
    }
    return sum;
}

fn store_rows(tile: u32, lane: u32, values: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        store(0u, tile, j * LANES + lane, values[j]);
    }
}

@compute @workgroup_size(8, SPLIT)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let tile = group.x * TILES;
    let tile0 = shape.first_tile + tile;
    // a tile beyond the last repeats it and is not stored
    let tile1 = min(tile0 + 1u, shape.first_tile + (shape.n - 1u) / TILE);
    let lane = local.x;
    let slice = select(local.y, 0u, SPLIT == 1u);
    let full = shape.k / 32u;
    var acc0 = vec4<f32>(0.0);
    var acc1 = vec4<f32>(0.0);
    for (var unit = slice; unit < full; unit += SPLIT) {
        let x = whole(unit);
        acc0 += dot_rows(tile0, unit, lane, x);
        if (TILES > 1u) {
            acc1 += dot_rows(tile1, unit, lane, x);
        }
    }
    if (RAGGED && shape.k % 32u != 0u && slice == 0u) {
        let x = ragged(full);
        acc0 += dot_rows(tile0, full, lane, x);
        acc1 += dot_rows(tile1, full, lane, x);
    }
    if (SPLIT > 1u) {
        acc0 = gathered(slice, lane, acc0);
    }
    if (SPLIT > 1u && TILES > 1u) {
        acc1 = gathered(slice, lane, acc1);
    }
    if (slice == 0u) {
        store_rows(tile, lane, acc0);
    }
    if (slice == 0u && TILES > 1u) {
        store_rows(tile + 1u, lane, acc1);
    }
}
