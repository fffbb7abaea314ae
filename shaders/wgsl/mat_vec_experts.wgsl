// out = W x with the W of an expert: over x the experts that a row goes to and for each the tiles of its 32 rows, over y the rows of
// the batch. A workgroup is 8 lanes of 4 rows, the columns split between SPLIT slices that are added in order at the end. A matrix
// of several parts has a dispatch for each.
struct Shape {
    // columns; units per row of the planes
    k: u32,
    units: u32,
    // where the part starts in the planes; its first row in the tensor of all experts, and how many it has
    first_row: u32,
    first: u32,
    count: u32,
    // rows of an expert
    n: u32,
    // words / 4 from row to row of x, before the first expert's, and from expert to expert
    x_stride4: u32,
    x_first4: u32,
    x_slot4: u32,
    routes_stride: u32,
    // words from row to row of out, from expert to expert, and before the first
    out_stride: u32,
    out_slot: u32,
    out_column: u32,
    has_bias: u32,
}
// 0 where a row goes to all experts in their order
override ROUTED: u32 = 1u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import quant/{TYPE}
#import shared/float_inputs
#import shared/unit_dot
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read> routes: array<f32>;
const LANES: u32 = 8u;
#import shared/slices

// Row `row` of the tensor in the planes; beyond the part, its last.
fn weights_of(row: u32, unit: u32) -> Unit {
    let at = shape.first_row + min(row - shape.first, shape.count - 1u);
    return load_unit(at / TILE, unit, at % TILE);
}

fn dots(row: u32, unit: u32, x: Inputs) -> vec4<f32> {
    return vec4<f32>(
        dot_unit(weights_of(row, unit), x),
        dot_unit(weights_of(row + LANES, unit), x),
        dot_unit(weights_of(row + 2u * LANES, unit), x),
        dot_unit(weights_of(row + 3u * LANES, unit), x),
    );
}

// Columns beyond k are zero.
fn inputs_at(base: u32, unit: u32) -> Inputs {
    let a = unit * 8u;
    return inputs(array(
        inside(base, a), inside(base, a + 1u), inside(base, a + 2u), inside(base, a + 3u),
        inside(base, a + 4u), inside(base, a + 5u), inside(base, a + 6u), inside(base, a + 7u),
    ));
}

@compute @workgroup_size(8u * SPLIT)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let token = group.y;
    let tiles = (shape.n + TILE - 1u) / TILE;
    let slot = group.x / tiles;
    var expert = slot;
    if (ROUTED != 0u) {
        expert = u32(routes[token * shape.routes_stride + slot]);
    }
    let base = token * shape.x_stride4 + shape.x_first4 + slot * shape.x_slot4;
    let lane = local % LANES;
    let slice = local / LANES;
    let own = group.x % tiles * TILE + lane;
    let row = expert * shape.n + own;
    var acc = vec4<f32>(0.0);
    for (var unit = slice; unit < (shape.k + 31u) / 32u; unit += SPLIT) {
        acc += dots(row, unit, inputs_at(base, unit));
    }
    acc = gathered(slice, lane, acc);
    if (slice != 0u) {
        return;
    }
    for (var j = 0u; j < 4u; j++) {
        let output = own + j * LANES;
        let at = row + j * LANES;
        if (output < shape.n && at - shape.first < shape.count) {
            let b = select(0.0, bias[at], shape.has_bias != 0u);
            out[token * shape.out_stride + slot * shape.out_slot + shape.out_column + output] = acc[j] + b;
        }
    }
}
