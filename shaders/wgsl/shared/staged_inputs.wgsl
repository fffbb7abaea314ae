// The inputs of mat_vec in a narrow format: the workgroup packs a stretch of the row for all its invocations, weighed by an
// RMS norm where NORM asks for it.
#import shared/weighed_inputs
#import shared/packed_weights
#ifdef LEVEL_INT8
const CHUNK: u32 = 192u;
#else
const CHUNK: u32 = 112u;
#endif
alias Inputs = Packed;
var<workgroup> staged: array<Packed, CHUNK>;
var<workgroup> own_partial: array<f32, 256>;
var<private> own_local: u32;

fn four(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weighed(at), weighed(at + 1u), weighed(at + 2u), weighed(at + 3u));
}

// Makes units first..end ready.
fn prepare(local: u32, first: u32, end: u32) {
    own_local = local;
    workgroupBarrier();
    for (var unit = first + local; unit < end; unit += LANES * SPLIT) {
        let at = unit * 8u;
        staged[unit - first] = packed_unit(four(at), four(at + 4u));
    }
    workgroupBarrier();
}

fn whole(unit: u32) -> Inputs {
    return staged[unit % CHUNK];
}

// Rows of packed types are whole.
fn ragged(unit: u32) -> Inputs {
    return staged[0];
}

// The squares of the slice's invocations.
fn own_squares() -> f32 {
    own_partial[own_local] = dot(squares, vec4<f32>(1.0));
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += own_partial[own_local / LANES * LANES + i];
    }
    return sum;
}

fn half_dot(u: Unit, half: u32, x: Sixteen, scale: vec2<f32>) -> f32 {
    return unpacked(affine(u, half), product(weights(u, half), x), scale);
}

fn dot_unit(u: Unit, x: Inputs) -> f32 {
    return half_dot(u, 0u, x.first, x.scales.xz) + half_dot(u, 1u, x.second, x.scales.yw);
}
