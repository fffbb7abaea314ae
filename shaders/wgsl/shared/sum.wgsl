// The sum of one value per invocation, in a fixed order. Needs `WIDTH`, the invocations of the workgroup: a power of two, at
// most 256.
var<workgroup> partial: array<f32, 256>;

fn sum_of_all(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    return partial[0];
}
