// The inputs of mat_vec as floats, a unit of 32 at a time.
#import shared/weighed_inputs
#import shared/unit_dot
const CHUNK: u32 = 0xFFFFFFFFu;

// Inputs are loaded where they are used.
fn prepare(local: u32, first: u32, end: u32) {
}

#ifdef LEVEL_SUBGROUP LEVEL_TEXEL
#import shared/lanes
var<private> own_lane: Sharer;

// Each lane loads and weighs a part of the unit, for all that share it.
fn whole(unit: u32) -> Inputs {
    let s = own_lane;
    let at = unit * 8u + s.lane;
    var own = Own(weighed(at), vec4<f32>(0.0));
    if (SHARERS == 4u) {
        own.hi = weighed(at + 4u);
    }
    return inputs(array(
        from_lane(own, s, 0u), from_lane(own, s, 1u), from_lane(own, s, 2u), from_lane(own, s, 3u),
        from_lane(own, s, 4u), from_lane(own, s, 5u), from_lane(own, s, 6u), from_lane(own, s, 7u),
    ));
}

fn own_squares() -> f32 {
    return sum_of_lanes(dot(squares, vec4<f32>(1.0)), own_lane);
}
#else
fn whole(unit: u32) -> Inputs {
    let a = unit * 8u;
    return inputs(array(
        weighed(a), weighed(a + 1u), weighed(a + 2u), weighed(a + 3u),
        weighed(a + 4u), weighed(a + 5u), weighed(a + 6u), weighed(a + 7u),
    ));
}

fn own_squares() -> f32 {
    return dot(squares, vec4<f32>(1.0));
}
#endif

// The last unit of a row that does not fill it; such rows are not normed here.
fn ragged(unit: u32) -> Inputs {
    let a = unit * 8u;
    return inputs(array(
        inside(0u, a), inside(0u, a + 1u), inside(0u, a + 2u), inside(0u, a + 3u),
        inside(0u, a + 4u), inside(0u, a + 5u), inside(0u, a + 6u), inside(0u, a + 7u),
    ));
}
