// The columns of a matrix, split between slices of a workgroup; LANES invocations are a slice.
override SPLIT: u32 = 8u;
var<workgroup> partial: array<vec4<f32>, 256>;

// The sums of all slices, in order.
fn gathered(slice: u32, lane: u32, own: vec4<f32>) -> vec4<f32> {
    if (SPLIT == 1u) {
        return own;
    }
    workgroupBarrier();
    partial[slice * LANES + lane] = own;
    workgroupBarrier();
    var sum = partial[lane];
    for (var other = 1u; other < SPLIT; other++) {
        sum += partial[other * LANES + lane];
    }
    return sum;
}
