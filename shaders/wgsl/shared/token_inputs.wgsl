// The inputs of mat_mat: units of four tokens, eight columns at a time.
#import shared/float_inputs
// Eight columns of four rows or tokens: columns 0-3 and 4-7, one matrix column for each row or token.
struct Block { lo: mat4x4<f32>, hi: mat4x4<f32> }

fn scaled(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(a * INPUT_SCALE, b * INPUT_SCALE, c * INPUT_SCALE, d * INPUT_SCALE);
}

#ifdef LEVEL_SUBGROUP LEVEL_TEXEL
#import shared/lanes
var<private> own_lane: Sharer;
// A unit of four tokens' inputs, spread over the lanes.
alias Source = array<Own, 4>;

fn own_part(at: u32) -> Own {
    let lo = four_floats(x[at + own_lane.lane]) * INPUT_SCALE;
    if (SHARERS == 4u) {
        return Own(lo, four_floats(x[at + own_lane.lane + 4u]) * INPUT_SCALE);
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

fn scaled_inputs(at: vec4<u32>) -> mat4x4<f32> {
    return scaled(four_floats(x[at.x]), four_floats(x[at.y]), four_floats(x[at.z]), four_floats(x[at.w]));
}

// Vec4s i and i + 1 of the unit.
fn inputs(s: Source, i: u32) -> Block {
    let lo = s + i;
    let hi = lo + 1u;
    return Block(scaled_inputs(lo), scaled_inputs(hi));
}
#endif

fn inputs_inside(base: vec4<u32>, a: u32) -> Block {
    let lo = scaled(inside(base.x, a), inside(base.y, a), inside(base.z, a), inside(base.w, a));
    let b = a + 1u;
    return Block(lo, scaled(inside(base.x, b), inside(base.y, b), inside(base.z, b), inside(base.w, b)));
}
