// Inputs that neighbouring lanes load for one another: vec4s `lane` and, where only four lanes share, `lane + 4` of a unit's
// eight.
struct Own { lo: vec4<f32>, hi: vec4<f32> }

// Eight, or four in subgroups of four. Consecutive invocations are taken to be consecutive lanes; the self-test confirms it.
override SHARERS: u32 = 8u;
// The first of the lanes that share with this one, and its own place among them.
struct Sharer { first: u32, lane: u32 }

fn sharer(subgroup_lane: u32) -> Sharer {
    let lane = subgroup_lane % SHARERS;
    return Sharer(subgroup_lane - lane, lane);
}

// Vec4 i of the unit, from the lane that holds it.
fn from_lane(own: Own, s: Sharer, i: u32) -> vec4<f32> {
    if (i >= SHARERS) {
        return subgroupShuffle(own.hi, s.first + i - SHARERS);
    }
    return subgroupShuffle(own.lo, s.first + i);
}

fn sum_of_lanes(v: f32, s: Sharer) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < SHARERS; i++) {
        sum += subgroupShuffle(v, s.first + i);
    }
    return sum;
}
